/** What a live sidecar leaves beside its socket, for the mesh command and for witnesses. */
import { readdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import * as z from 'zod/mini'
import { readJson, writeAtomic } from '../host/files.ts'
import { type Home, sessionDir } from '../host/home.ts'
import { processIdentity } from '../wire/envelope.schema.ts'
import { isName } from '../wire/names.ts'
import { isProject } from '../wire/subjects.ts'

const RECORD_BYTES = 64 * 1024

const sidecarRecord = z.object({
  /** The sidecar's own process. */
  sidecar: processIdentity,
  pid: z.int(),
  name: z.string().check(z.refine(isName)),
  epoch: z.int(),
  project: z.string().check(z.refine(isProject)),
  harness: z.string(),
  sessionId: z.string(),
  /** The process that is the session. */
  process: processIdentity,
  version: z.string(),
  startedAt: z.string(),
  /** The session ended, and the sidecar was about to tell it. */
  ended: z.optional(z.object({ reason: z.string(), at: z.string() })),
})
export type SidecarRecord = z.output<typeof sidecarRecord>

export function writeRecord(dir: string, record: SidecarRecord): void {
  writeAtomic(join(dir, 'sidecar.json'), JSON.stringify(record, null, 2))
}

export function readRecord(home: Home, key: string): SidecarRecord | null {
  const parsed = sidecarRecord.safeParse(readJson(join(sessionDir(home, key), 'sidecar.json'), RECORD_BYTES))
  return parsed.success ? parsed.data : null
}

/** Keys of the sessions that have a directory. */
export function sessionKeys(home: Home): string[] {
  try {
    return readdirSync(home.run).filter((key) => /^(cc|op)-/.test(key))
  } catch {
    return []
  }
}

/** Nobody will come back to this session directory. */
export function removeDir(dir: string): void {
  rmSync(dir, { recursive: true, force: true })
}

/** A renamed session takes its files along; what an earlier holder of the new name left is gone with that name. */
export function moveDir(from: string, to: string): void {
  removeDir(to)
  renameSync(from, to)
}
