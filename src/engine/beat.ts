/**
 * The beat of the engine's sessions, for machines that share a mesh home and see neither each other's processes nor the
 * kernel's locks, as a virtual machine and its host: while it is fresh their engine is left alone.
 */
import { statSync, utimesSync, writeFileSync } from 'node:fs'
import { uptime } from 'node:os'
import { join } from 'node:path'
import { readText } from '../host/files.ts'
import type { Home } from '../host/home.ts'
import { bootId } from '../host/process/process.ts'
import { readRecord } from './record.ts'

export const BEAT_MS = 10_000
const STALE_MS = 30_000
/** Many sessions beat; one of them is enough. */
const AGAIN_MS = 5000
const BOOT_BYTES = 128

/** Notes that a session of the engine of this machine lives. */
export function beatFor(home: Home): void {
  const path = beatPath(home)
  if (readRecord(home)?.boot !== bootId()) return
  try {
    if (readText(path, BOOT_BYTES) !== bootId()) writeFileSync(path, bootId(), { mode: 0o600 })
    else if (ageOf(path) > AGAIN_MS) utimesSync(path, new Date(), new Date())
  } catch {
    // A full disk or a removed home is reported by what needs it.
  }
}

/** True if another machine's sessions live: what was written before this machine started may be its own, of an earlier boot. */
export function beatsElsewhere(home: Home): boolean {
  const path = beatPath(home)
  const boot = readText(path, BOOT_BYTES)
  const age = ageOf(path)
  return boot !== null && boot !== '' && boot !== bootId() && age < Math.min(STALE_MS, uptime() * 1000)
}

function ageOf(path: string): number {
  return Date.now() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0)
}

function beatPath(home: Home): string {
  return join(home.engine, 'beat')
}
