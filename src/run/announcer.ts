/**
 * Publishes the events of a run's journal: one after the other, each expected behind the one before. So order and the
 * one end are kept whichever other process writes, and however long this one was asleep.
 */
import type { KeyObject } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { recordAfter } from '../core/runs/run.ts'
import { MeshError } from '../errors.ts'
import type { Journal } from '../host/journal.ts'
import type { Logger } from '../host/log.ts'
import { untilWritten } from '../link/until.ts'
import type { RunStore } from '../nats/run-store.ts'
import { decodeEvent, encodeEvent, phaseOf } from '../wire/codec.ts'
import type { EventType, RunEvent, RunRecord } from '../wire/run.schema.ts'
import { eventSubject } from '../wire/subjects.ts'
import type { RunStep } from './dir.ts'

const RETRY_MS = 250
const POLL_MS = 10
/** Events that the engine has are kept for when it turns out to have lost them; this many. */
const KEPT = 64
/** Others are read by those that look. */
const WAKING: readonly EventType[] = ['run_waiting', 'run_idle']

interface AnnouncerOptions {
  journal: Journal<RunStep>
  steps: readonly RunStep[]
  key: KeyObject
  /** The run's record before its first event. */
  record: RunRecord
  log: Logger
  /** Called when everything is published, or need not be any more. */
  onDone?(): void
}

export class Announcer {
  readonly #options: AnnouncerOptions
  /** The latest events; those before them, `base` many, are published and forgotten. */
  #events: RunEvent[] = []
  #base = 0
  /** Number of the last event that the engine has. */
  #published = 0
  /** Its position in the stream; null when not known. */
  #position: number | null = null
  #superseded = false
  #recorded: RunRecord
  /** The record's revision; null when not known. */
  #revision: number | null = null
  #isRecorded = true
  #store: RunStore | null = null
  #running = false
  #retry: NodeJS.Timeout | null = null

  constructor(options: AnnouncerOptions) {
    this.#options = options
    this.#recorded = options.record
    for (const step of options.steps) {
      if (step.t === 'event') this.#events.push(step.event)
      else if (step.t === 'told') this.#published = step.seq
      else if (step.t === 'superseded') this.#superseded = true
    }
    this.#base = (this.#events[0]?.seq ?? 1) - 1
    if (this.#published === 0) this.#position = 0
    // A run without events has no record either.
    if (this.#events.length === 0) this.#revision = 0
  }

  /** The last event, published or not. */
  get last(): RunEvent | undefined {
    return this.#events.at(-1)
  }

  /** Number of events that wait to be published. */
  get waiting(): number {
    return this.#superseded ? 0 : this.#base + this.#events.length - this.#published
  }

  /** True when nothing is left to publish: the end was, by us or by another process. */
  get done(): boolean {
    const { last } = this
    const isPublished = last !== undefined && phaseOf(last.type) === 'end' && this.waiting === 0
    return this.#superseded || (isPublished && this.#isRecorded)
  }

  attach(store: RunStore): void {
    this.#store = store
    this.#pump()
  }

  detach(): void {
    this.#store = null
  }

  close(): void {
    this.#store = null
    if (this.#retry) clearTimeout(this.#retry)
  }

  /** Publishes what waits and closes; at most for `ms`. */
  async settle(store: RunStore, ms: number): Promise<void> {
    const deadline = performance.now() + ms
    this.attach(store)
    while ((this.waiting > 0 || !this.#isRecorded || this.#running) && performance.now() < deadline)
      await sleep(POLL_MS)
    this.close()
  }

  /** Writes an event to disk and publishes it when the engine is there. A full disk does not silence it. */
  push(event: RunEvent): void {
    this.#note({ t: 'event', event }, true)
    this.#events.push(event)
    this.#pump()
  }

  #pump(): void {
    if (this.#running || this.#retry) return
    this.#running = true
    void this.#publishAll().finally(() => {
      this.#running = false
      if (this.done) this.#options.onDone?.()
      else if (this.#store && (this.waiting > 0 || !this.#isRecorded)) this.#again()
    })
  }

  #again(): void {
    this.#retry ??= setTimeout(() => {
      this.#retry = null
      this.#pump()
    }, RETRY_MS)
  }

  async #publishAll(): Promise<void> {
    try {
      for (let store = this.#store; store && this.waiting > 0; store = this.#store) {
        await this.#publish(store, this.#events[this.#published - this.#base]!)
      }
      if (this.#store && !this.#isRecorded) await this.#record(this.#store)
    } catch (error) {
      // It may have been stored: the run's subject shows whether it was.
      this.#position = null
      this.#options.log.debug({ error: MeshError.from(error).toBody() }, 'event not published yet')
    }
  }

  async #publish(store: RunStore, event: RunEvent): Promise<void> {
    if (this.#position === null) return this.#read(store)
    const { run, from } = event
    const phase = phaseOf(event.type)
    // It wakes the owner of now: the former one may have ended, and another session adopted the run.
    if (phase === 'end' || WAKING.includes(event.type)) await this.#readRecord(store)
    const { owner } = this.#recorded
    const bytes = encodeEvent({ ...event, owner }, this.#options.key)
    const subject = eventSubject(store.project, owner, run, phase, from)
    const position = await store.append(run, subject, bytes, `${from.member}.${event.id}`, this.#position)
    this.#position = position
    if (position === null) return
    this.#notePublished(event.seq)
    await this.#record(store)
  }

  /** Finds out from the stream which of our events it has, and whether another process ended the run. */
  async #read(store: RunStore): Promise<void> {
    const { run, from } = this.#events[0]!
    const line = await store.line(run)
    let published = this.#base
    for (const { subject, data } of line) {
      const read = decodeEvent(store.project, subject, data, () => undefined)
      if ('undecodable' in read || read.event.from.member !== from.member) continue
      const { seq, id, type } = read.event
      if (seq <= this.#base) continue
      const mine = this.#events[seq - 1 - this.#base]
      if (mine?.id === id && mine.type === type) published = Math.max(published, seq)
      else if (phaseOf(type) === 'end') return this.#supersede(read.event)
    }
    // Also less than we thought: a damaged store lost it, and it goes again.
    if (published !== this.#published) this.#notePublished(published)
    this.#position = line.at(-1)?.seq ?? 0
    if (published > 0) await this.#record(store)
  }

  #supersede({ seq, type, from }: RunEvent): void {
    this.#options.log.warn({ seq, type, from }, 'another process published the end')
    this.#superseded = true
    this.#note({ t: 'superseded', seq }, true)
  }

  #notePublished(seq: number): void {
    this.#published = seq
    this.#note({ t: 'told', seq }, false)
  }

  /** Writes down where the run stands. The events are the truth; a failure here is made good with the next try. */
  async #record(store: RunStore): Promise<void> {
    this.#isRecorded = false
    await untilWritten(`the record of ${this.#recorded.id}`, async (earlier) => {
      if (earlier > 0 || this.#revision === null) await this.#readRecord(store)
      const next = this.#recordNow()
      const written = await store.records.update(next.id, next, this.#revision!)
      if (written !== null) this.#recorded = next
      this.#revision = written ?? this.#revision
      return written
    })
    this.#isRecorded = true
    this.#forget()
  }

  /** Reads the owner anew: the run may have been adopted. */
  async #readRecord(store: RunStore): Promise<void> {
    const { id } = this.#recorded
    const { value, revision } = await store.records.look(id)
    this.#revision = revision
    if (!value) return
    const { owner, formerOwners } = value
    this.#recorded = { ...this.#recorded, owner, ...(formerOwners ? { formerOwners } : {}) }
  }

  #recordNow(): RunRecord {
    const { owner, formerOwners, seq } = this.#recorded
    const isBehind = this.#published < seq && this.#base === 0
    const from = isBehind
      ? { ...this.#options.record, owner, ...(formerOwners ? { formerOwners } : {}) }
      : this.#recorded
    let record = from
    for (const event of this.#events) {
      if (event.seq > from.seq && event.seq <= this.#published) record = { ...record, ...recordAfter(record, event) }
    }
    return record
  }

  #forget(): void {
    const over = this.#published - this.#base - KEPT
    if (over <= 0) return
    this.#events = this.#events.slice(over)
    this.#base += over
  }

  #note(step: RunStep, sync: boolean): void {
    try {
      this.#options.journal.append([step], sync)
    } catch (error) {
      this.#options.log.error({ error: MeshError.from(error).toBody() }, 'journal not written')
    }
  }
}
