/** What a live sidecar leaves beside its socket, for the mesh command and for witnesses. */
import { randomBytes } from 'node:crypto'
import { readdirSync, renameSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import * as z from 'zod/mini'
import { readJson, writeAtomic } from '../host/files.ts'
import { type Home, sessionDir } from '../host/home.ts'
import { processIdentity } from '../wire/envelope.schema.ts'
import { isName } from '../wire/names.ts'
import { isProject } from '../wire/subjects.ts'

const RECORD_BYTES = 64 * 1024
/** Directories on their way out. */
const ASIDE = '.gone-'

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

/**
 * Removes a session's directory, whose lock the caller holds. In one step, so that whoever comes back to it meanwhile
 * has a directory of its own: the lock would go before the socket, and the socket might be a newcomer's by then.
 */
export function removeSession(dir: string): void {
  const aside = join(dirname(dir), ASIDE)
  try {
    renameSync(dir, `${aside}${randomBytes(8).toString('hex')}`)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  // Also what a remover that died left.
  for (const name of readdirSync(dirname(dir)).filter((name) => name.startsWith(ASIDE))) {
    rmSync(join(dirname(dir), name), { recursive: true, force: true })
  }
}

/** A renamed session takes its files along; what an earlier holder of the new name left is gone with that name. */
export function moveDir(from: string, to: string): void {
  rmSync(to, { recursive: true, force: true })
  renameSync(from, to)
}
