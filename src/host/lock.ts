/**
 * Lock files between processes. A lock names its holder, so one whose holder is dead is broken.
 *
 * Breaking: a lock carries a random token that never comes back. A process that breaks the dead lock T first creates
 * `<path>.break-T`, reads the lock again, and removes it only if it still is T. The holder of T is dead and there is
 * one breaker of T at a time, so nothing can replace T between that read and the removal. A breaker that dies leaves a
 * file that is a lock like any other, and is broken the same way.
 */
import { randomBytes } from 'node:crypto'
import { readdirSync, rmSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { MeshError } from '../errors.ts'
import type { ProcessIdentity } from '../wire/envelope.schema.ts'
import { readText, writeNew } from './files.ts'
import { identifyProcess, isAbsent, processState } from './process/process.ts'

const LOCK_BYTES = 4096
/** Each try may break one file that a dead process left. */
const TRIES = 10
const POLL_MS = 5

/** Hint for a lock whose holder cannot be judged on this host. */
export const FOREIGN_HINT = 'if that host is gone or was renamed: mesh down, then mesh up'

export interface Lock {
  release(): void
}

interface LockRecord {
  token: string
  /** Null for a damaged file: locks appear whole, so only a power loss leaves one, and its holder died with it. */
  owner: ProcessIdentity | null
}

let self: ProcessIdentity | null = null

/** Takes the lock; null if a live process (or one of another host) has it. Throws `denied`, `store_full`. */
export function tryLock(path: string): Lock | null {
  for (let i = 0; i < TRIES; i++) {
    const lock = claim(path)
    if (lock) return lock
    const record = readLock(path)
    if (record && !breakLock(path, record, isDead)) return null
  }
  return null
}

/** Takes the lock, waiting for it. Throws `timeout` after `timeoutMs`. */
export async function lock(path: string, timeoutMs: number): Promise<Lock> {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    const taken = tryLock(path)
    if (taken) return taken
    if (performance.now() >= deadline) throw lockedError(path)
    await sleep(POLL_MS + Math.random() * POLL_MS)
  }
}

function lockedError(path: string): MeshError {
  const owner = lockOwner(path)
  const who = owner ? `process ${owner.pid} on ${owner.host}` : 'another process'
  const hint = owner && isForeign(owner) ? FOREIGN_HINT : 'try again; if that process hangs, end it'
  return new MeshError('timeout', `${path} is locked by ${who}`, { hint })
}

/** Returns the process that has the lock; null if none has, or it is dead. */
export function lockOwner(path: string): ProcessIdentity | null {
  const record = readLock(path)
  return record && !isDead(record) ? record.owner : null
}

/** Returns the process that has the lock if it is one of another host. */
export function foreignOwner(path: string): ProcessIdentity | null {
  const owner = lockOwner(path)
  return owner && isForeign(owner) ? owner : null
}

function isForeign(owner: ProcessIdentity): boolean {
  return processState(owner) === 'unknown'
}

/** Removes a lock that no process of this machine has, be it another host's. Only its user may decide that. */
export function forgetLock(path: string): void {
  for (let i = 0; i < TRIES; i++) {
    const record = readLock(path)
    if (!record || !breakLock(path, record, isUnusedHere)) return
  }
}

function isUnusedHere(record: LockRecord): boolean {
  return record.owner === null || isAbsent(record.owner)
}

function claim(path: string): Lock | null {
  const token = randomBytes(8).toString('hex')
  self ??= identifyProcess(process.pid)
  if (!writeNew(path, JSON.stringify({ ...self, token }))) return null
  return {
    release: () => {
      if (readLock(path)?.token === token) rmSync(path, { force: true })
    },
  }
}

/** Reads the lock at once: one that goes away between two reads would look damaged. */
function readLock(path: string): LockRecord | null {
  const text = readText(path, LOCK_BYTES)
  return text === null ? null : (parseLock(text) ?? { token: 'damaged', owner: null })
}

function parseLock(text: string): LockRecord | null {
  const { host, boot, pid, start, token } = parseObject(text)
  if (typeof token !== 'string' || !/^[0-9a-f]{16}$/.test(token)) return null
  if (typeof host !== 'string' || typeof boot !== 'string') return null
  if (typeof pid !== 'number' || typeof start !== 'string') return null
  return { token, owner: { host, boot, pid, start } }
}

function parseObject(text: string): Record<string, unknown> {
  try {
    return (JSON.parse(text) ?? {}) as Record<string, unknown>
  } catch {
    return {}
  }
}

function isDead(record: LockRecord): boolean {
  return record.owner === null || processState(record.owner) === 'dead'
}

/** True if the lock may be tried again: it was broken, since it `isOver`, or has changed. */
function breakLock(path: string, record: LockRecord, isOver: (record: LockRecord) => boolean): boolean {
  if (!isOver(record)) return false
  const guard = `${path}.break-${record.token}`
  const breaking = claim(guard)
  if (!breaking) {
    const other = readLock(guard)
    return other === null || breakLock(guard, other, isOver)
  }
  try {
    if (readLock(path)?.token === record.token) removeLock(path, isOver)
    return true
  } finally {
    breaking.release()
  }
}

/**
 * Called by the only breaker of the lock. What dead processes left beside it goes first: while the dead lock stands,
 * no other process can have a use for those files.
 */
function removeLock(path: string, isOver: (record: LockRecord) => boolean): void {
  const prefix = `${basename(path)}.`
  for (const name of readdirSync(dirname(path))) {
    if (!name.startsWith(prefix) || !/\.(tmp|break)-[0-9a-z]+$/.test(name)) continue
    const left = readLock(join(dirname(path), name))
    if (left?.owner && isOver(left)) rmSync(join(dirname(path), name), { force: true })
  }
  rmSync(path, { force: true })
}
