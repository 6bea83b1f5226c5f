/**
 * Runs of random histories: after a crash the file is cut at any byte, and what is rebuilt from the rest must be what the
 * model was when that byte was written. A failing history is printed with fast-check's seed and path; MESH_FAULT_SEED
 * repeats a whole run.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'

export const HISTORIES = 1000
export const COMMANDS = 40
const seed = process.env.MESH_FAULT_SEED === undefined ? {} : { seed: Number(process.env.MESH_FAULT_SEED) }
export const runs = { numRuns: HISTORIES, ...seed }

/** Returns a maker of fresh directories, which are removed when the file's tests are over. */
export function freshDirs(): () => string {
  const root = mkdtempSync(join(tmpdir(), 'mesh-model-'))
  let dirs = 0
  afterAll(() => rmSync(root, { recursive: true, force: true }))
  return () => mkdtempSync(join(root, `${dirs++}-`))
}
