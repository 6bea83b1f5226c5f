/** Reads and writes the records in session directories, and removes leftovers. */
import { randomBytes } from 'node:crypto'
import { existsSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { type SidecarRecord, sidecarRecord } from '../../api/sidecar-record.schema.ts'
import { readJson, writeAtomic } from '../../host/files.ts'
import { type Home, sessionDir } from '../../host/home.ts'
import { tryLock } from '../../host/lock.ts'
import { identifyProcess } from '../../host/process/process.ts'

const RECORD_BYTES = 64 * 1024
/** Prefix of directories that are being removed. */
const ASIDE = '.gone-'
const DAY_MS = 86_400_000
/** Logs are kept this long for a look at a recent fault. */
const LOG_MS = 7 * DAY_MS

export function writeRecord(dir: string, record: SidecarRecord): void {
  writeAtomic(join(dir, 'sidecar.json'), JSON.stringify(record, null, 2))
}

export function readRecord(home: Home, key: string): SidecarRecord | null {
  const parsed = sidecarRecord.safeParse(readJson(join(sessionDir(home, key), 'sidecar.json'), RECORD_BYTES))
  return parsed.success ? parsed.data : null
}

/** Returns the keys of sessions that have a directory. */
export function sessionKeys(home: Home): string[] {
  try {
    return readdirSync(home.run).filter((key) => /^(cc|mcp|op)-/.test(key))
  } catch {
    return []
  }
}

/**
 * Removes a directory whose lock the caller has. It is renamed first, so that a newcomer gets a directory of its own.
 * Otherwise the lock would go before the other files, which might be the newcomer's by then.
 */
export function removeLocked(dir: string): void {
  const aside = join(dirname(dir), ASIDE)
  try {
    renameSync(dir, `${aside}${randomBytes(8).toString('hex')}`)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  // Includes leftovers of a remover that died.
  for (const name of readdirSync(dirname(dir)).filter((name) => name.startsWith(ASIDE))) {
    rmSync(join(dirname(dir), name), { recursive: true, force: true })
  }
}

/**
 * Removes what no witness will: directories whose sidecar died before it wrote a record, and old logs of sessions that
 * are over.
 */
export function sweepLeftovers(home: Home, now: number): void {
  for (const key of sessionKeys(home)) {
    if (isLeftover(home, key, now)) removeUnused(sessionDir(home, key))
  }
  const keys = new Set(sessionKeys(home))
  for (const path of entries(join(home.root, 'logs'))) {
    const isOver = !keys.has(basename(path).replace(/\.log(\.1)?$/, ''))
    if (isOver && now - changedAt(path) > LOG_MS) rmSync(path, { force: true })
  }
}

function isLeftover(home: Home, key: string, now: number): boolean {
  const dir = sessionDir(home, key)
  if (existsSync(join(dir, 'sidecar.json'))) return false
  const pid = /^(?:cc|mcp)-(\d+)$/.exec(key)?.[1]
  if (pid && !identifyProcess(Number(pid))) return true
  // The pid may have come round: a client that starts writes into the directory that it finds.
  return now - Math.max(changedAt(dir), ...entries(dir).map(changedAt)) > DAY_MS
}

function removeUnused(dir: string): void {
  const lock = tryLock(join(dir, 'lock'))
  try {
    if (lock) removeLocked(dir)
  } finally {
    lock?.release()
  }
}

function entries(dir: string): string[] {
  try {
    return readdirSync(dir).map((name) => join(dir, name))
  } catch {
    return []
  }
}

function changedAt(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0
}
