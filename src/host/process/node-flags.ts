/**
 * Flags with which Node runs sidecars and supervisors: little memory before speed, since there is one per session and
 * per run and it mostly waits. Under traffic 83 MB resident and 40 private become 55 and 17, for a tenth more CPU (Node 20); idle they
 * do nothing. Lite mode has no WebAssembly, so `fetch` cannot be used. Without `--no-jitless` it is slower still.
 */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { readJson, writeAtomic } from '../files.ts'
import type { Home } from '../home.ts'

/** Every Node from 20 to 26 takes these; 20 and 22 then say on standard error that they switch off WebAssembly. */
export const plainFlags: readonly string[] = ['--lite-mode', '--no-jitless']
/** Sets of flags in the order in which they are tried. A supervisor's standard error is its command's, so they must be silent. */
const CANDIDATES: readonly (readonly string[])[] = [[...plainFlags, '--no-expose-wasm'], plainFlags]
const ASK_MS = 10_000
const KNOWN_BYTES = 64 * 1024

/**
 * Returns the V8 flags that this Node takes without a word. Each Node is asked once, by running it, and the answer is
 * kept in `node-flags.json` of the mesh home.
 */
export function nodeFlags(home: Home): readonly string[] {
  const path = join(home.root, 'node-flags.json')
  const key = `${process.execPath} ${process.version} ${process.arch}`
  const value = readJson(path, KNOWN_BYTES)
  const known = value && typeof value === 'object' ? (value as Record<string, unknown>) : {}
  const remembered = CANDIDATES.find((flags) => flags.join(' ') === known[key])
  if (remembered) return remembered
  const flags = CANDIDATES.find(isTaken)
  if (flags) remember(path, { ...known, [key]: flags.join(' ') })
  return flags ?? []
}

function isTaken(flags: readonly string[]): boolean {
  const options = { encoding: 'utf8', env: {}, timeout: ASK_MS } as const
  const { status, stderr } = spawnSync(process.execPath, [...flags, '-e', '0'], options)
  return status === 0 && stderr === ''
}

function remember(path: string, known: object): void {
  try {
    writeAtomic(path, `${JSON.stringify(known)}\n`)
  } catch {
    // A full disk is reported by what needs it; this Node is asked again.
  }
}
