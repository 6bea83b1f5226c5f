/** Decides who gets which name, from records. Writing the decision (by compare-and-set) is the caller's. Pure. */
import type { NameRecord, ProcessIdentity } from '../wire/envelope.schema.ts'
import { checkName, suffixed } from '../wire/names.ts'

export interface Claimant {
  /** The name that it would like. */
  desired: string
  /** Somebody asked for just this name (`MESH_NAME`, `--as`); otherwise it comes from the branch or the worktree. */
  explicit: boolean
  /** The conversation; `operator:<name>` for an operator. */
  session: string
  process: ProcessIdentity
  member: string
  harness: string
  cwd: string
  worktree: string
  /** ISO 8601. */
  now: string
  /** Last sequence of the messages stream: where a new name's mail begins. */
  highWater: number
}

export interface Claim {
  /** What to write. */
  record: NameRecord
  /** What must be in the bucket for the write to be right; if it is not, read again and decide again. */
  expect: 'absent' | NameRecord
  outcome: 'new' | 'kept' | 'resumed' | 'taken_over' | 'suffixed'
  /** With `taken_over`: the record of the one who had the name. */
  previous?: NameRecord
}

/**
 * Decides the name of a session that starts.
 *
 * 1. Its own record: `kept` (same epoch) by the same process, `resumed` (epoch + 1) when its last process is not alive.
 * 2. The desired name: `new` when nobody has it, `taken_over` (epoch + 1, mail, topics and roles come along) when its
 *    holder has ended and was of the same member and worktree, or the name was asked for explicitly.
 *    A name that its holder left by a rename is `new` to the next one (epoch + 1, mail from the rename on).
 * 3. The next suffix that is free in the same sense: `suffixed`, or `taken_over`.
 *
 * `alive` is asked about records in state `held` only: whether a witness would find the holder's process. A `lost`
 * holder keeps its name, except from its own conversation. Throws `bad_name`.
 */
export function decideClaim(
  claimant: Claimant,
  records: readonly NameRecord[],
  alive: (record: NameRecord) => boolean,
): Claim {
  checkName(claimant.desired)
  return claimOwn(claimant, records, alive) ?? claimFree(claimant, records, alive)
}

/** True when the name is no longer this holder's: taken over, resumed elsewhere, or removed. */
export function deposed(mine: NameRecord, current: NameRecord | null): boolean {
  return current === null || current.epoch !== mine.epoch || current.session !== mine.session
}

type Alive = (record: NameRecord) => boolean

function claimOwn(claimant: Claimant, records: readonly NameRecord[], alive: Alive): Claim | null {
  // A session id is an opaque word that another machine may use as well (`operator:root`): the member is part of it.
  const own = records.filter(
    (record) => record.session === claimant.session && record.member === claimant.member && !record.renamedTo,
  )
  const ranked = own.toSorted((a, b) => rank(claimant, b, own) - rank(claimant, a, own) || latest(b, a))
  const mine = ranked.find((record) => record.state !== 'gone' && sameProcess(record.process, claimant.process))
  if (mine) return keep(claimant, mine)
  const best = ranked.find((record) => record.state !== 'held' || !alive(record))
  return best ? resume(claimant, best) : null
}

/** The desired name first; last a name that this very session was leaving when its sidecar died. */
function rank(claimant: Claimant, record: NameRecord, own: readonly NameRecord[]): number {
  if (own.some((other) => other.formerly?.name === record.name)) return -1
  return record.name === claimant.desired ? 1 : 0
}

/** Later activity is greater; the name makes the order total, so that every sidecar decides alike. */
function latest(a: NameRecord, b: NameRecord): number {
  const [at, bt] = [a.lastActivityAt ?? '', b.lastActivityAt ?? '']
  if (at !== bt) return at < bt ? -1 : 1
  return a.name < b.name ? 1 : -1
}

function claimFree(claimant: Claimant, records: readonly NameRecord[], alive: Alive): Claim {
  const byName = new Map(records.map((record) => [record.name, record]))
  // Suffixes make distinct names, so one more candidate than there are records is always enough.
  for (let n = 1; n <= records.length + 1; n++) {
    const name = suffixed(claimant.desired, n)
    const record = byName.get(name)
    if (!record) return { record: fresh(claimant, name), expect: 'absent', outcome: n === 1 ? 'new' : 'suffixed' }
    if (isSuccessor(claimant, record)) return keep(claimant, record)
    if (!isHeir(claimant, record, n === 1)) continue
    if (record.renamedTo) return moveIn(claimant, record)
    if (hasEnded(record, alive)) return takeOver(claimant, record)
  }
  throw new Error('no free name among more candidates than names')
}

/** The same process under a new conversation: `/clear` happened while its sidecar was away. */
function isSuccessor(claimant: Claimant, record: NameRecord): boolean {
  return record.state !== 'gone' && record.member === claimant.member && sameProcess(record.process, claimant.process)
}

function isHeir(claimant: Claimant, record: NameRecord, isDesired: boolean): boolean {
  if (claimant.explicit && isDesired) return true
  return record.member === claimant.member && record.worktree === claimant.worktree
}

function hasEnded(record: NameRecord, alive: Alive): boolean {
  return record.state === 'gone' || (record.state === 'held' && !alive(record))
}

function sameProcess(a: ProcessIdentity, b: ProcessIdentity): boolean {
  return a.host === b.host && a.boot === b.boot && a.pid === b.pid && a.start === b.start
}

function fresh(claimant: Claimant, name: string): NameRecord {
  return {
    v: 1,
    kind: 'name',
    name,
    epoch: 1,
    ...holder(claimant),
    lastActivityAt: claimant.now,
    topics: [],
    roles: [],
    since: claimant.highWater,
  }
}

function keep(claimant: Claimant, record: NameRecord): Claim {
  return { record: { ...living(record), ...holder(claimant) }, expect: record, outcome: 'kept' }
}

function resume(claimant: Claimant, record: NameRecord): Claim {
  return { record: nextEpoch(claimant, record), expect: record, outcome: 'resumed' }
}

function takeOver(claimant: Claimant, record: NameRecord): Claim {
  const { session, endedAt } = record
  const previous = endedAt === undefined ? { session } : { session, endedAt }
  const next = { ...nextEpoch(claimant, record), previous }
  return { record: next, expect: record, outcome: 'taken_over', previous: record }
}

function nextEpoch(claimant: Claimant, record: NameRecord): NameRecord {
  const { previous: _, ...rest } = living(record)
  return { ...rest, ...holder(claimant), epoch: record.epoch + 1, lastActivityAt: claimant.now }
}

/** A name left by a rename: topics, roles and all mail so far went along. */
function moveIn(claimant: Claimant, record: NameRecord): Claim {
  const { formerly: _, ...next } = nextEpoch(claimant, record)
  const since = Math.max(record.since, claimant.highWater)
  return { record: { ...next, topics: [], roles: [], since }, expect: record, outcome: 'new' }
}

/** The record without the traces of an end. Fields of a newer version stay. */
function living(record: NameRecord): NameRecord {
  const { endedAt: _endedAt, reason: _reason, witness: _witness, renamedTo: _renamedTo, ...rest } = record
  return rest
}

function holder(claimant: Claimant) {
  const { member, session, process, harness, cwd, worktree } = claimant
  return { member, session, process, harness, cwd, worktree, state: 'held' as const }
}
