/** A shell script is imported as its text, by esbuild's text loader and by a plugin of vitest's. */
declare module '*.sh' {
  const text: string
  export default text
}
