/** The version of this program, as the build defined it. */

declare const MESH_VERSION: string | undefined

export const version: string = typeof MESH_VERSION === 'string' ? MESH_VERSION : '0.0.0'

/** True when two programs of these versions may talk to each other: same major and minor. */
export function compatible(a: string, b: string): boolean {
  return minorOf(a) === minorOf(b)
}

function minorOf(text: string): string {
  return text.split('.').slice(0, 2).join('.')
}
