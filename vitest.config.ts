/** The test suites. `scripts/test.js` runs them one after the other; `npx vitest run --project unit` runs one. */
import { defineConfig } from 'vitest/config'
import manifest from './package.json' with { type: 'json' }

/** Real processes on a shared machine: plain tests wait for conditions, and a ceiling only ends what hangs. */
const ceiling = { testTimeout: 180_000, hookTimeout: 120_000 }

/** A shell script is imported as its text, as by the text loader of the build. */
const shellText = {
  name: 'shell-text',
  transform: (code: string, id: string) =>
    /\.(ba|z|fi)?sh$/.test(id) ? `export default ${JSON.stringify(code)}` : undefined,
}

function suite(name: string, options: object = {}) {
  return { extends: true as const, test: { name, include: [`test/${name}/**/*.test.ts`], ...options } }
}

export default defineConfig({
  plugins: [shellText],
  define: { MESH_VERSION: JSON.stringify(manifest.version) },
  test: {
    projects: [
      suite('unit', ceiling),
      suite('integration', ceiling),
      suite('e2e', ceiling),
      suite('fault', { testTimeout: 300_000, hookTimeout: 60_000 }),
      suite('claude', { testTimeout: 180_000, hookTimeout: 180_000 }),
      suite('node', { testTimeout: 300_000, hookTimeout: 300_000 }),
    ],
  },
})
