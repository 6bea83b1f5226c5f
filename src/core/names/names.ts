/** Decides who gets which name, from records. Writing the decision (by compare-and-set) is the caller's. Pure. */
import { isSameProcess, type NameRecord, type ProcessIdentity } from '../../wire/envelope.schema.ts'
import { limits } from '../../wire/limits.ts'
import { checkName, suffixed } from '../../wire/names.ts'
import { isOwned } from './kinds.ts'

export interface Claimant {
  /** The name that it would like. */
  desired: string
  /** True if a person asked for just this name (`MESH_NAME`, `--as`); otherwise it comes from the branch or the worktree. */
  explicit: boolean
  /** The conversation; `operator:<name>` for an operator. */
  session: string
  /** A copy of another conversation: it leaves the names that ended sessions had to those. */
  fork?: boolean
  /** When a session was moved here: the one that ended right after goes on in this one (ISO 8601). */
  movedAt?: string
  process: ProcessIdentity
  /** The run that it is; none for a person. */
  run?: string | null
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
  /** The record to write. */
  record: NameRecord
  /** The record that the write replaces. If the bucket has another, read again and decide again. */
  expect: 'absent' | NameRecord
  outcome: 'new' | 'kept' | 'resumed' | 'taken_over' | 'suffixed'
  /** With `taken_over`: the record of the one who had the name. */
  previous?: NameRecord
  /** Another living process speaks for the same conversation: its record. */
  twin?: NameRecord
  /** A name that this conversation had and another one has now, with its mail. */
  heir?: NameRecord
}

/** A session that was moved is back within this long. */
const MOVE_MS = 30_000

/**
 * Decides the name of a conversation that begins, in a new process or in one that had another.
 *
 * 1. Its own record: `kept` (same epoch) by the same process, also if another conversation had the name there meanwhile;
 *    `resumed` (epoch + 1) when no process speaks for it any more.
 * 2. The name that its process owns: `kept`. `/clear` and the like begin another conversation in the same process.
 * 3. That of the session that was moved here: `resumed`.
 * 4. The desired name: `new` when nobody has it, `taken_over` (epoch + 1, mail, topics and roles come along) when its
 *    holder has ended and was of the same member and worktree, or the name was asked for explicitly.
 *    A name that its holder left by a rename is `new` to the next one (epoch + 1, mail from the rename on).
 * 5. The next suffix that is free in the same sense: `suffixed`, or `taken_over`.
 *
 * A fork takes nothing over but what was asked for explicitly: what it was copied from may come back.
 *
 * For an owned record, `alive` returns whether a witness would not find its process dead; for one in state `lost`,
 * whether its process is seen to live. A `lost` owner keeps its name, except from its own conversation.
 * Throws `bad_name`.
 */
export function decideClaim(
  claimant: Claimant,
  records: readonly NameRecord[],
  alive: (record: NameRecord) => boolean,
): Claim {
  checkName(claimant.desired)
  const claim =
    claimOwn(claimant, records, alive) ??
    claimOwned(claimant, records) ??
    claimMoved(claimant, records) ??
    claimFree(claimant, records, alive)
  if (claim.outcome === 'resumed') return claim
  const others = records
    .filter(({ name, member }) => name !== claim.record.name && member === claimant.member)
    .toSorted((a, b) => latest(b, a))
  const twin = others.find((record) => isTwin(claimant, record, alive))
  const heir = twin ? undefined : others.find((record) => isHeirOf(record, claimant))
  return { ...claim, ...(twin ? { twin } : {}), ...(heir ? { heir } : {}) }
}

/** Names that a process owns besides the one it has now: it had them for another conversation, which is over in it. */
export function leftBehind(mine: NameRecord, records: readonly NameRecord[]): NameRecord[] {
  return records.filter((record) => {
    const isOther = record.name !== mine.name && record.name !== mine.formerly?.name
    return (
      isOther && record.state !== 'gone' && record.member === mine.member && isSameProcess(record.process, mine.process)
    )
  })
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
  const mine = ranked.find((record) => record.state !== 'gone' && isSameProcess(record.process, claimant.process))
  if (mine) return keep(claimant, mine)
  const before = records.find((record) => isBack(claimant, record))
  if (before) return keep(claimant, before)
  const best = ranked.find((record) => record.state === 'gone' || !alive(record))
  return best ? resume(claimant, best) : null
}

/** True for the name of this process that the conversation had here before: a copy that was open elsewhere got another. */
function isBack({ session, member, process }: Claimant, record: NameRecord): boolean {
  const isOurs = record.state !== 'gone' && !record.renamedTo && record.member === member
  return isOurs && isSameProcess(record.process, process) && (record.earlier ?? []).includes(session)
}

/** Also of a session that was renamed, or whose conversation changed while its sidecar was away. */
function claimOwned(claimant: Claimant, records: readonly NameRecord[]): Claim | null {
  const own = records.filter((record) => {
    const hasName = record.state !== 'gone' && !record.renamedTo && record.member === claimant.member
    return hasName && isSameProcess(record.process, claimant.process)
  })
  const [best] = own.toSorted((a, b) => rank(claimant, b, own) - rank(claimant, a, own) || latest(b, a))
  return best ? keep(claimant, best) : null
}

/** Finds the session by the time alone: if two ended just then, neither is it. */
function claimMoved({ movedAt, ...claimant }: Claimant, records: readonly NameRecord[]): Claim | null {
  const from = Date.parse(movedAt ?? '')
  if (!(Math.abs(Date.parse(claimant.now) - from) < MOVE_MS)) return null
  const ended = records.filter(({ state, member, worktree, harness, renamedTo, endedAt = '' }) => {
    const isOurs = member === claimant.member && worktree === claimant.worktree && harness === claimant.harness
    return isOurs && state === 'gone' && !renamedTo && Date.parse(endedAt) >= from
  })
  return ended.length === 1 ? resume(claimant, ended[0]!) : null
}

function isTwin({ session, process }: Claimant, record: NameRecord, alive: Alive): boolean {
  const isElsewhere = record.session === session && record.state !== 'gone' && !isSameProcess(record.process, process)
  return isElsewhere && !record.renamedTo && alive(record)
}

function isHeirOf(record: NameRecord, { session }: Claimant): boolean {
  return record.session !== session && !record.renamedTo && (record.earlier ?? []).includes(session)
}

/** The desired name first; last a name that this very session was leaving when its sidecar died. */
function rank(claimant: Claimant, record: NameRecord, own: readonly NameRecord[]): number {
  const leads = ({ formerly, epoch }: NameRecord) => formerly?.name === record.name && epoch >= record.epoch
  if (own.some(leads)) return -1
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
    if (!isHeir(claimant, record, n === 1)) continue
    if (record.renamedTo) return moveIn(claimant, record)
    if (claimant.fork && !(claimant.explicit && n === 1)) continue
    if (hasEnded(record, alive)) return takeOver(claimant, record)
  }
  throw new Error('no free name among more candidates than names')
}

function isHeir(claimant: Claimant, record: NameRecord, isDesired: boolean): boolean {
  if (claimant.explicit && isDesired) return true
  return record.member === claimant.member && record.worktree === claimant.worktree
}

function hasEnded(record: NameRecord, alive: Alive): boolean {
  return record.state === 'gone' || (isOwned(record) && !alive(record))
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
  return {
    record: { ...living(record), ...holder(claimant), ...earlier(claimant, record) },
    expect: record,
    outcome: 'kept',
  }
}

function resume(claimant: Claimant, record: NameRecord): Claim {
  return { record: nextEpoch(claimant, record), expect: record, outcome: 'resumed' }
}

function takeOver(claimant: Claimant, record: NameRecord): Claim {
  const { session, endedAt } = record
  const previous = endedAt === undefined ? { session } : { session, endedAt }
  const next = { ...nextEpoch(claimant, record), previous, ...holders(claimant, record) }
  return { record: next, expect: record, outcome: 'taken_over', previous: record }
}

function nextEpoch(claimant: Claimant, record: NameRecord): NameRecord {
  const { previous: _, ...rest } = living(record)
  const changed = { ...holder(claimant), ...earlier(claimant, record) }
  return { ...rest, ...changed, epoch: record.epoch + 1, lastActivityAt: claimant.now }
}

/** The name's former conversations, the latest first, when another one begins. */
function earlier({ session }: Claimant, record: NameRecord): Pick<NameRecord, 'earlier'> {
  if (record.session === session) return {}
  const all = [record.session, ...(record.earlier ?? [])].filter((one) => one !== session && one !== '')
  return { earlier: [...new Set(all)].slice(0, limits.earlierSessions) }
}

/** A name left by a rename: topics, roles and all mail so far went along. */
function moveIn(claimant: Claimant, record: NameRecord): Claim {
  const { formerly: _formerly, earlier: _earlier, ...next } = nextEpoch(claimant, record)
  const since = Math.max(record.since, claimant.highWater)
  const moved = { ...next, ...holders(claimant, record), topics: [], roles: [], since }
  return { record: moved, expect: record, outcome: 'new' }
}

/** The holders before, when another conversation takes the name. */
function holders({ highWater, now }: Claimant, record: NameRecord): Pick<NameRecord, 'holders'> {
  // One whose end nobody has recorded yet had ended by now.
  const { session, epoch: until, endedAt = now } = record
  const last = { session, until, high: highWater, endedAt }
  return { holders: [...(record.holders ?? []), last].slice(-limits.earlierSessions) }
}

/** The record without the traces of an end. Fields of a newer version stay. */
function living(record: NameRecord): NameRecord {
  const { endedAt: _endedAt, reason: _reason, reasonCode: _code, witness: _witness, renamedTo: _to, ...rest } = record
  return rest
}

function holder(claimant: Claimant) {
  const { member, session, process, run, harness, cwd, worktree } = claimant
  return { member, session, process, run: run ?? undefined, harness, cwd, worktree, state: 'held' as const }
}
