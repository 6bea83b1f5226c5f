/** Runs in the engine: their events, of which each run has one gapless line with one end, and their records. */
import { type JetStreamClient, type JetStreamManager, jetstream, jetstreamManager } from '@nats-io/jetstream'
import type { NatsConnection } from 'nats'
import { runRecord } from '../wire/run.schema.ts'
import { eventFilter, storedEventFilter, storeNames } from '../wire/subjects.ts'
import { Bucket } from './bucket.ts'
import { readFrom } from './direct.ts'
import { isConflict, isNotFound, toMeshError } from './errors.ts'
import type { Delivery } from './mail.ts'
import { ensureRunStreams } from './streams.ts'
import { type StoreListener, Writes } from './writes.ts'

const PUBLISH_TIMEOUT_MS = 2000

export interface StoredEvent extends Delivery {
  /** When the engine stored it, by its clock. */
  at: number
}

export class RunStore {
  readonly project: string
  readonly records: Bucket<typeof runRecord>
  readonly #nc: NatsConnection
  readonly #js: JetStreamClient
  readonly #jsm: JetStreamManager
  readonly #listeners: readonly StoreListener[]
  readonly #writes: Writes

  private constructor(
    project: string,
    { nc, js, jsm, writes }: { nc: NatsConnection; js: JetStreamClient; jsm: JetStreamManager; writes: Writes },
    listeners: readonly StoreListener[],
    records: Bucket<typeof runRecord>,
  ) {
    this.project = project
    this.#nc = nc
    this.#js = js
    this.#jsm = jsm
    this.#listeners = listeners
    this.#writes = writes
    this.records = records
  }

  /** Opens what runs of the project are kept in and makes what is missing. Throws `mesh_down`, `store_full`. */
  static async open(nc: NatsConnection, project: string, listeners: readonly StoreListener[] = []): Promise<RunStore> {
    try {
      const jsm = await jetstreamManager(nc, { checkAPI: false, timeout: PUBLISH_TIMEOUT_MS })
      await ensureRunStreams(jsm, project, new Writes(nc, listeners))
      return await RunStore.bind(nc, jsm, project, listeners)
    } catch (error) {
      throw toMeshError(error)
    }
  }

  /** Opens what is there already. */
  static async bind(
    nc: NatsConnection,
    jsm: JetStreamManager,
    project: string,
    listeners: readonly StoreListener[],
  ): Promise<RunStore> {
    const js = jetstream(nc, { checkAPI: false, timeout: PUBLISH_TIMEOUT_MS })
    const engine = { nc, js, jsm, writes: new Writes(nc, listeners) }
    const records = await Bucket.open({ ...engine, name: storeNames(project).runs, schema: runRecord })
    return new RunStore(project, engine, listeners, records)
  }

  /** Returns the runs of another project over this connection. */
  async sibling(project: string): Promise<RunStore> {
    return project === this.project ? this : RunStore.open(this.#nc, project, this.#listeners)
  }

  /**
   * Appends an event to its run's line, expecting that the line's last event is at position `after` (0: there is none).
   * Resolves to the position; null: the line has another last event, read it. Of racing callers exactly one wins, however
   * long ago the others read (`Nats-Expected-Last-Subject-Sequence-Subject`, nats-server 2.11).
   */
  async append(
    run: string,
    subject: string,
    bytes: Uint8Array,
    messageId: string,
    after: number,
  ): Promise<number | null> {
    const expect = { lastSubjectSequence: after, lastSubjectSequenceSubject: eventFilter(this.project, { run }) }
    try {
      return await this.#writes.do(storeNames(this.project).events, async () => {
        return (await this.#js.publish(subject, bytes, { msgID: messageId, expect, timeout: PUBLISH_TIMEOUT_MS })).seq
      })
    } catch (error) {
      if (isConflict(error)) return null
      throw toMeshError(error)
    }
  }

  /** The events of one run, oldest first. */
  async line(run: string): Promise<StoredEvent[]> {
    return this.read({ run })
  }

  /** Events, oldest first, from position `seq` on. */
  async read(scope: Parameters<typeof eventFilter>[1], seq = 1): Promise<StoredEvent[]> {
    const { events } = storeNames(this.project)
    const stored = await readFrom({ nc: this.#nc, jsm: this.#jsm }, events, eventFilter(this.project, scope), seq)
    return stored.map((message) => ({
      subject: message.subject,
      data: message.data,
      seq: message.seq,
      at: message.time.getTime(),
    }))
  }

  /** The end of a run; null while there is none. */
  async end(run: string): Promise<Delivery | null> {
    return (await this.read({ run, phase: 'end' })).at(-1) ?? null
  }

  /** The position behind the last event. */
  async next(): Promise<number> {
    try {
      const info = await this.#jsm.streams.info(storeNames(this.project).events)
      return info.state.last_seq + 1
    } catch (error) {
      if (isNotFound(error)) return 1
      throw toMeshError(error)
    }
  }

  /** Calls `onEvent` as events are stored, until the returned function is called. Missed ones are read by position. */
  follow(scope: Parameters<typeof eventFilter>[1], onEvent: () => void): () => void {
    try {
      const subscription = this.#nc.subscribe(storedEventFilter(this.project, scope), {
        callback: (error) => {
          if (!error) onEvent()
        },
      })
      return () => subscription.unsubscribe()
    } catch (error) {
      throw toMeshError(error)
    }
  }
}
