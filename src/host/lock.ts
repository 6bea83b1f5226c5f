/**
 * Lock files between processes. A lock names its holder, so one whose holder is dead is broken.
 *
 * Breaking: a lock carries a random token that never comes back. A process that breaks the dead lock T first creates
 * `<path>.break-T`, reads the lock again, and removes it only if it still is T. The holder of T is dead and there is
 * one breaker of T at a time, so nothing can replace T between that read and the removal. A breaker that dies leaves a
 * file that is a lock like any other, and is broken the same way.
 *
 * A holder in another process space cannot be judged by its pid. One within a space (a sandbox, a container) holds its lock
 * file with the kernel besides, from before it is there: once nobody does, that holder is dead.
 */
import { randomBytes } from 'node:crypto'
import { closeSync, linkSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { MeshError } from '../errors.ts'
import type { ProcessIdentity } from '../wire/envelope.schema.ts'
import { fileError, readText } from './files.ts'
import { type Held, isHeld, openHeld } from './hold.ts'
import { hostName, identifyProcess, isAbsent, isOfOtherSpace, processState } from './process/process.ts'
import { isNested } from './process/space.ts'

const LOCK_BYTES = 4096
/** Each try may break one file that a dead process left. */
const TRIES = 10
const POLL_MS = 5

/** Hint for a lock whose holder cannot be judged on this host. */
const FOREIGN_HINT = 'if that host is gone or was renamed: mesh down, then mesh up'
/** Hint for what belongs to another process space of this machine. */
export const SPACE_HINT = 'use mesh from there, outside of this sandbox or container'

export interface Lock {
  release(): void
}

interface LockRecord {
  token: string
  /** Null for a damaged file: locks appear whole, so only a power loss leaves one, and its holder died with it. */
  owner: ProcessIdentity | null
  /** The holder has the file open and held, for whoever cannot see its process. */
  isHeld: boolean
}

let self: ProcessIdentity | null = null

/** Takes the lock; null if a live process (or one of another host) has it. Throws `denied`, `store_full`. */
export function tryLock(path: string): Lock | null {
  for (let i = 0; i < TRIES; i++) {
    const record = readLock(path)
    const lock = record ? null : claim(path)
    if (lock) return lock
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
  const hint = owner && isForeign(owner) ? hintFor(owner) : 'try again; if that process hangs, end it'
  const who = owner ? `process ${owner.pid} on ${whereabouts(owner)}` : 'another process'
  return new MeshError('timeout', `${path} is locked by ${who}`, { hint })
}

/** The host of a lock's holder for people, and that it is in another process space of this one. */
export function whereabouts(owner: ProcessIdentity): string {
  return owner.host === hostName() && isForeign(owner) ? `${owner.host}, in another process space` : owner.host
}

/** Returns what to do about a lock whose holder cannot be judged here. */
export function hintFor(owner: ProcessIdentity): string {
  return isOfOtherSpace(owner) || owner.host === hostName() ? SPACE_HINT : FOREIGN_HINT
}

/** Returns the process that has the lock; null if none has, or it is dead. */
export function lockOwner(path: string): ProcessIdentity | null {
  const record = readLock(path)
  return record && !isDead(path, record) ? record.owner : null
}

/** Returns the process that has the lock if it is one of another host or of another process space. */
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

function isUnusedHere(path: string, record: LockRecord): boolean {
  return isDead(path, record) || (record.owner !== null && isAbsent(record.owner))
}

function claim(path: string): Lock | null {
  const token = randomBytes(8).toString('hex')
  const temporary = `${path}.tmp-${randomBytes(8).toString('hex')}`
  let held: Held | null = null
  self ??= identifyProcess(process.pid)
  try {
    if (isNested()) held = openHeld(temporary)
    const record = { ...self, token, ...(held?.isHeld ? { held: true } : {}) }
    writeFileSync(held?.fd ?? temporary, JSON.stringify(record), { flag: 'wx', mode: 0o600 })
    linkSync(temporary, path)
  } catch (error) {
    if (held) closeSync(held.fd)
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return null
    throw fileError(error, path)
  } finally {
    rmSync(temporary, { force: true })
  }
  return {
    release: () => {
      if (readLock(path)?.token === token) rmSync(path, { force: true })
      if (held) closeSync(held.fd)
      held = null
    },
  }
}

/** Reads the lock at once: one that goes away between two reads would look damaged. */
function readLock(path: string): LockRecord | null {
  const text = readText(path, LOCK_BYTES)
  return text === null ? null : (parseLock(text) ?? { token: 'damaged', owner: null, isHeld: false })
}

function parseLock(text: string): LockRecord | null {
  const { host, boot, pid, start, token, space, held } = parseObject(text)
  if (typeof token !== 'string' || !/^[0-9a-f]{16}$/.test(token)) return null
  if (typeof host !== 'string' || typeof boot !== 'string') return null
  if (typeof pid !== 'number' || typeof start !== 'string') return null
  const owner = { host, boot, pid, start, ...(typeof space === 'string' ? { space } : {}) }
  return { token, owner, isHeld: held === true }
}

function parseObject(text: string): Record<string, unknown> {
  try {
    return (JSON.parse(text) ?? {}) as Record<string, unknown>
  } catch {
    return {}
  }
}

type IsOver = (path: string, record: LockRecord) => boolean

function isDead(path: string, record: LockRecord): boolean {
  if (record.owner === null || processState(record.owner) === 'dead') return true
  return record.isHeld && isOfOtherSpace(record.owner) && !isHeld(path)
}

/** True if the lock may be tried again: it was broken, since it `isOver`, or has changed. */
function breakLock(path: string, record: LockRecord, isOver: IsOver): boolean {
  if (!isOver(path, record)) return false
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
function removeLock(path: string, isOver: IsOver): void {
  const prefix = `${basename(path)}.`
  for (const name of readdirSync(dirname(path))) {
    if (!name.startsWith(prefix) || !/\.(tmp|break)-[0-9a-z]+$/.test(name)) continue
    const other = join(dirname(path), name)
    const left = readLock(other)
    if (left?.owner && isOver(other, left)) rmSync(other, { force: true })
  }
  rmSync(path, { force: true })
}
