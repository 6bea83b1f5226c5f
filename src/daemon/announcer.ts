/**
 * Tells what a run's journal has to tell: one event after the other, each expected behind the one before, so that order
 * and the one end hold whoever else writes, and however long this process was asleep.
 */
import type { KeyObject } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { recordAfter } from '../core/run.ts'
import { MeshError } from '../errors.ts'
import type { RunStore } from '../nats/run-store.ts'
import { decodeEvent, encodeEvent, phaseOf } from '../wire/codec.ts'
import type { RunEvent, RunRecord } from '../wire/run.schema.ts'
import { eventSubject } from '../wire/subjects.ts'
import type { Journal } from './journal.ts'
import type { Logger } from './log.ts'
import type { RunStep } from './run-files.ts'

const RETRY_MS = 250
const POLL_MS = 10

interface AnnouncerOptions {
  journal: Journal<RunStep>
  steps: readonly RunStep[]
  key: KeyObject
  /** The run's record before its first event. */
  record: RunRecord
  log: Logger
  /** Everything is told, or need not be any more. */
  onDone?(): void
}

export class Announcer {
  readonly #options: AnnouncerOptions
  readonly #events: RunEvent[] = []
  /** Number of the last event that the engine has. */
  #told = 0
  /** Its position in the stream; null when not known. */
  #position: number | null = null
  #superseded = false
  #recorded: RunRecord
  #isRecorded = true
  #store: RunStore | null = null
  #running = false
  #retry: NodeJS.Timeout | null = null

  constructor(options: AnnouncerOptions) {
    this.#options = options
    this.#recorded = options.record
    for (const step of options.steps) {
      if (step.t === 'event') this.#events.push(step.event)
      else if (step.t === 'told') this.#told = step.seq
      else if (step.t === 'superseded') this.#superseded = true
    }
    if (this.#told === 0) this.#position = 0
  }

  /** The last event, told or not. */
  get last(): RunEvent | undefined {
    return this.#events.at(-1)
  }

  /** Events that wait to be told. */
  get waiting(): number {
    return this.#superseded ? 0 : this.#events.length - this.#told
  }

  /** Nothing is to be told any more: the end was, by us or by somebody else. */
  get done(): boolean {
    const { last } = this
    const isToldWhole = last !== undefined && phaseOf(last.type) === 'end' && this.waiting === 0
    return this.#superseded || (isToldWhole && this.#isRecorded)
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

  /** Tells what waits and closes; at most for `ms`. */
  async settle(store: RunStore, ms: number): Promise<void> {
    const deadline = performance.now() + ms
    this.attach(store)
    while ((this.waiting > 0 || !this.#isRecorded || this.#running) && performance.now() < deadline)
      await delay(POLL_MS)
    this.close()
  }

  /** Writes an event down, on disk, and tells it when the engine is there. A disk that is full does not silence it. */
  push(event: RunEvent): void {
    this.#note({ t: 'event', event }, true)
    this.#events.push(event)
    this.#pump()
  }

  #pump(): void {
    if (this.#running || this.#retry) return
    this.#running = true
    void this.#tellAll().finally(() => {
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

  async #tellAll(): Promise<void> {
    try {
      for (let store = this.#store; store && this.waiting > 0; store = this.#store) {
        await this.#tell(store, this.#events[this.#told]!)
      }
      if (this.#store && !this.#isRecorded) await this.#record(this.#store)
    } catch (error) {
      // Whether it was stored is not known: the line tells.
      this.#position = null
      this.#options.log.debug({ error: MeshError.from(error).toBody() }, 'event not told yet')
    }
  }

  async #tell(store: RunStore, event: RunEvent): Promise<void> {
    if (this.#position === null) return this.#read(store)
    const { run, owner, from } = event
    const subject = eventSubject(store.project, owner, run, phaseOf(event.type), from)
    const bytes = encodeEvent(event, this.#options.key)
    const position = await store.append(run, subject, bytes, `${from.member}.${event.id}`, this.#position)
    this.#position = position
    if (position === null) return
    this.#noteTold(event.seq)
    await this.#record(store)
  }

  /** Finds out from the line itself what of our events it has, and whether somebody else ended the run. */
  async #read(store: RunStore): Promise<void> {
    const { run, from } = this.#events[0]!
    const line = await store.line(run)
    let told = 0
    for (const { subject, data } of line) {
      const read = decodeEvent(store.project, subject, data, () => undefined)
      if ('undecodable' in read || read.event.from.member !== from.member) continue
      const mine = this.#events[read.event.seq - 1]
      if (mine?.id === read.event.id && mine.type === read.event.type) told = Math.max(told, read.event.seq)
      else if (phaseOf(read.event.type) === 'end') return this.#supersede(read.event)
    }
    // Also less than we thought: a damaged store lost it, and it goes again.
    if (told !== this.#told) this.#noteTold(told)
    this.#position = line.at(-1)?.seq ?? 0
    if (told > 0) await this.#record(store)
  }

  #supersede({ seq, type, from }: RunEvent): void {
    this.#options.log.warn({ seq, type, from }, 'somebody else told the end')
    this.#superseded = true
    this.#note({ t: 'superseded', seq }, true)
  }

  #noteTold(seq: number): void {
    this.#told = seq
    this.#note({ t: 'told', seq }, false)
  }

  /** Writes down where the run stands. The events are the truth; a failure here is made good with the next try. */
  async #record(store: RunStore): Promise<void> {
    if (this.#told < this.#recorded.seq) this.#recorded = this.#options.record
    for (const event of this.#events.slice(this.#recorded.seq, this.#told)) {
      this.#recorded = { ...this.#recorded, ...recordAfter(this.#recorded, event) }
    }
    this.#isRecorded = false
    await store.records.put(this.#recorded.id, this.#recorded)
    this.#isRecorded = true
  }

  #note(step: RunStep, sync: boolean): void {
    try {
      this.#options.journal.append([step], sync)
    } catch (error) {
      this.#options.log.error({ error: MeshError.from(error).toBody() }, 'journal not written')
    }
  }
}
