/** Maintains the names record of this session: claims it, changes it by compare-and-set, and ends it. */

import { setTimeout as sleep } from 'node:timers/promises'
import { isShell } from '../../core/names/kinds.ts'
import { type Claim, type Claimant, decideClaim, deposed, leftBehind } from '../../core/names/names.ts'
import { MeshError } from '../../errors.ts'
import { operatorSession } from '../../harness/shell.ts'
import { isOfOtherSpace, processState } from '../../host/process/process.ts'
import { compareAndSet, untilWritten } from '../../link/until.ts'
import type { Entry } from '../../nats/bucket.ts'
import type { ProjectStore } from '../../nats/project-store.ts'
import type { NameRecord } from '../../wire/envelope.schema.ts'
import { type SessionEnd, sessionEnd } from '../../wire/session-end.ts'
import type { Session } from '../session.ts'

const MOVE_LOOKS = 10
const MOVE_LOOK_MS = 100

export type Claimed = Omit<Claim, 'expect'>

/** Returns the name of the durable consumer of a name's owner. */
export function durableOf(record: Pick<NameRecord, 'name' | 'epoch'>): string {
  return `${record.name}-${record.epoch}`
}

/**
 * Judges a record's process: an owned one is dead only if this machine can see that, a lost one alive only if it can.
 */
function isAlive(record: NameRecord): boolean {
  const state = processState(record.process)
  return record.state === 'lost' ? state === 'alive' || state === 'paused' : state !== 'dead'
}

/** A person's sidecar has the lock of its directory: one of another process space that had it before is dead. */
function isPredecessor({ session, harness }: Pick<Claimant, 'session' | 'harness'>, record: NameRecord): boolean {
  return isShell(harness) && record.session === session && isOfOtherSpace(record.process)
}

export class Registry {
  readonly #session: Pick<Session, 'names'>
  #record: NameRecord | null = null
  #revision = 0

  constructor(session: Pick<Session, 'names'>) {
    this.#session = session
  }

  /** The record as last read or written. Throws `mesh_down` before the first claim. */
  get record(): NameRecord {
    if (this.#record) return this.#record
    throw new MeshError('mesh_down', 'this session has not joined the mesh yet')
  }

  get claimed(): boolean {
    return this.#record !== null
  }

  /**
   * Claims a name, or confirms the current one. Racing sessions each end with a name of their own. Calls `leave` before
   * the record becomes that of another name or epoch.
   */
  async claim(store: ProjectStore, claimant: Omit<Claimant, 'highWater'>, leave: () => void): Promise<Claimed> {
    const messages = store.messagesState()
    const attempt = async (earlier: number) => {
      const [entries, { lastSeq }] = await Promise.all([this.#session.names(), messages])
      const records = entries.map(({ value }) => value)
      const decision = decideClaim({ ...claimant, highWater: lastSeq }, records, (record) => {
        return isAlive(record) && !isPredecessor(claimant, record)
      })
      // The session that moved here may be about to report its end.
      const isExpected = claimant.movedAt !== undefined && ['new', 'suffixed'].includes(decision.outcome)
      if (isExpected && earlier < MOVE_LOOKS) return sleep(MOVE_LOOK_MS, null)
      const { name } = decision.record
      const { expect } = decision
      // A key that is taken although it has no record contains garbage: at the second try that gives way.
      const absent = earlier === 0 ? () => 0 : () => store.names.vacancy(name)
      const revision = expect === 'absent' ? await absent() : revisionOf(entries, name)
      const written = revision === null ? null : await store.names.update(name, decision.record, revision)
      if (written === null) return null
      if (!this.#record || durableOf(this.#record) !== durableOf(decision.record)) leave()
      this.#record = decision.record
      this.#revision = written
      if (expect !== 'absent' && expect.epoch !== decision.record.epoch) await store.deleteDurable(durableOf(expect))
      for (const left of leftBehind(decision.record, records)) await this.#leaveBehind(store, left, claimant.now)
      return decision
    }
    return untilWritten('the table of names', attempt)
  }

  /** Records that the conversation has ended in this process and may be resumed in another. */
  async #leaveBehind(store: ProjectStore, left: NameRecord, at: string): Promise<void> {
    const isOver = { ...sessionEnd('resumed_other'), at, witness: this.record.name, isOver: true }
    await witness(store, left, isOver)
  }

  /** Changes this session's record. Throws `conflict` when another session owns the name. */
  async change(store: ProjectStore, edit: (record: NameRecord) => NameRecord): Promise<NameRecord> {
    const attempt = async (earlier: number) => {
      if (earlier > 0) await this.refresh(store)
      const next = edit(this.record)
      const written = await store.names.update(next.name, next, this.#revision)
      if (written === null) return null
      this.#revision = written
      this.#record = next
      return next
    }
    return untilWritten('the names record', attempt)
  }

  /** Reads this session's record again. Throws `conflict` when another session owns the name. */
  async refresh(store: ProjectStore): Promise<NameRecord> {
    const mine = this.record
    const current = await store.names.get(mine.name)
    if (deposed(mine, current?.value ?? null)) {
      throw new MeshError('conflict', `the name ${mine.name} has another holder now`)
    }
    this.#record = current!.value
    this.#revision = current!.revision
    return current!.value
  }

  /**
   * Removes positions beyond the end of a stream that went back, which would keep new mail from this session. Resolves
   * to whether there were any.
   */
  async fitTo(store: ProjectStore): Promise<boolean> {
    const { lastSeq } = await store.messagesState()
    if (fitted(this.record, lastSeq) === this.record) return false
    await this.change(store, (record) => fitted(record, lastSeq))
    return true
  }

  /** Records the end of the session. Its name waits for its return or for a successor. */
  async end(store: ProjectStore, end: SessionEnd, at: string): Promise<void> {
    await this.change(store, (record) => ended(record, { ...end, at, witness: record.name }))
  }

  /** Takes another name, or takes one back that leads here. `leaveFormer` then makes the old name lead to it. */
  async rename(store: ProjectStore, name: string): Promise<void> {
    const previous = await this.refresh(store)
    if (name === previous.name)
      throw new MeshError('name_taken', `this session is ${name} already`, { hint: 'mesh whoami' })
    const there = await store.names.get(name)
    if (there && !(there.value.renamedTo && (await holderOf(store, name))?.name === previous.name))
      throw taken(there.value)
    const { lastSeq } = await store.messagesState()
    const session = isShell(previous.harness) ? operatorSession(name) : previous.session
    const formerly = { name: previous.name, until: lastSeq, epoch: previous.epoch }
    // Under a name that it had before it counts anew.
    const epoch = there ? Math.max(previous.epoch, there.value.epoch) + 1 : previous.epoch
    const record: NameRecord = { ...previous, name, session, epoch, formerly }
    const written = await store.names.update(name, record, there?.revision ?? 0)
    if (written === null) throw new MeshError('name_taken', `the name ${name} was just taken`)
    this.#record = record
    this.#revision = written
  }

  /**
   * Makes the former name lead to this one after a rename, also one that was interrupted. Returns the former name's
   * record.
   */
  async leaveFormer(store: ProjectStore, at: string): Promise<NameRecord | null> {
    const { formerly, name, epoch, session } = this.record
    if (!formerly) return null
    const own = [session, operatorSession(formerly.name)]
    return compareAndSet<NameRecord, NameRecord, NameRecord | null>(store.names, formerly.name, ({ value: old }) => {
      const isOurs = old && old.epoch <= (formerly.epoch ?? epoch) && own.includes(old.session)
      if (!isOurs || old.renamedTo) return { write: null, result: old }
      const left = { ...ended(old, { ...sessionEnd('renamed'), at, witness: name }), session: '', renamedTo: name }
      const next = { ...left, since: formerly.until, topics: [], roles: [] }
      return { write: next, result: next }
    })
  }
}

/** Returns the record of the current owner of `name`, renames followed; null if the name was never owned. */
export function holderOf(store: ProjectStore, name: string): Promise<NameRecord | null> {
  return followName(name, async (one) => (await store.names.get(one))?.value ?? null)
}

/** Follows renames from `name` through the records that `read` returns. */
export async function followName(
  name: string,
  read: (name: string) => Promise<NameRecord | null>,
): Promise<NameRecord | null> {
  for (const seen = new Set<string>(); ; ) {
    const record = await read(name)
    if (!record?.renamedTo || seen.has(name)) return record
    seen.add(name)
    name = record.renamedTo
  }
}

/** Returns the record of an ended session as its witness writes it. */
export function ended(record: NameRecord, end: SessionEnd & { at: string; witness: string }): NameRecord {
  const { code: reasonCode, reason, at: endedAt, witness } = end
  return { ...record, state: 'gone', endedAt, reason: reason.slice(0, 200), reasonCode, witness }
}

/**
 * Writes `gone` for a session that this machine saw end, unless it returned. `isOver`: its own sidecar reported the
 * end. Resolves to true if it is gone now, whichever sidecar recorded that.
 */
export function witness(
  store: ProjectStore,
  seen: { name: string; epoch: number },
  end: SessionEnd & { at: string; witness: string; isOver: boolean },
): Promise<boolean> {
  return compareAndSet<NameRecord, NameRecord, boolean>(store.names, seen.name, ({ value: current }) => {
    if (!current || current.epoch !== seen.epoch) return { write: null, result: false }
    if (current.state === 'gone') return { write: null, result: true }
    if (!end.isOver && isAlive(current)) return { write: null, result: false }
    return { write: ended(current, end), result: true }
  })
}

function taken({ name, state, reason }: NameRecord): MeshError {
  if (state !== 'gone') return new MeshError('name_taken', `the name ${name} is taken`)
  const hint = `take another, or drop it with its mail: mesh forget ${name}`
  return new MeshError('name_taken', `the name ${name} is taken: it is gone (${reason}) and may return`, { hint })
}

function revisionOf(entries: readonly Entry<NameRecord>[], name: string): number {
  return entries.find(({ key }) => key === name)?.revision ?? 0
}

/** Returns the record without positions beyond `lastSeq`; the same record if it has none. */
function fitted(record: NameRecord, lastSeq: number): NameRecord {
  const { since, topics, formerly } = record
  if (Math.max(since, formerly?.until ?? 0, ...topics.map((topic) => topic.since)) <= lastSeq) return record
  const fit = (position: number) => Math.min(position, lastSeq)
  return {
    ...record,
    since: fit(since),
    topics: topics.map((topic) => ({ ...topic, since: fit(topic.since) })),
    ...(formerly ? { formerly: { ...formerly, until: fit(formerly.until) } } : {}),
  }
}
