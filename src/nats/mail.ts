/**
 * Reads mail: a durable pull consumer that is made again whenever it is gone. The consumer's ack is only flow control;
 * what has been read is the surfaced record.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import {
  AckPolicy,
  type ConsumerMessages,
  DeliverPolicy,
  type JetStreamClient,
  type JetStreamManager,
  type JsMsg,
} from '@nats-io/jetstream'
import { isNotFound, toMeshError } from './errors.ts'
import type { Writes } from './writes.ts'

export interface Delivery {
  subject: string
  data: Uint8Array
  /** Position in the stream. */
  seq: number
}

interface MailOptions {
  stream: string
  durable: string
  filters: string[]
  /** The first position to read. Asked again whenever the consumer has to be made. */
  startSeq(): number
}

const MAX_ACK_PENDING = 1000
const ACK_WAIT_MS = 30_000
/** A durable without a reader is removed by the engine after this long; its mail is not. */
const INACTIVE_MS = 30 * 24 * 3600 * 1000
const BACKOFF_MS = { first: 50, most: 5000 }
const PULL_MESSAGES = 100
const PULL_EXPIRES_MS = 30_000
const ROLE_PULL_MS = 5000
/** A message that a reader leaves to others comes back after this long, twice as long each time. */
const LEFT_MS = { first: 250, most: 10_000 }

/** The outcome of a role's message: done with, free again at once, or for any other reader. */
export type RoleVerdict = 'settled' | 'back' | 'left'

const nanos = (ms: number) => ms * 1_000_000

export class MailReader {
  readonly #js: JetStreamClient
  readonly #jsm: JetStreamManager
  readonly #options: MailOptions
  readonly #onDelivery: (delivery: Delivery) => Promise<void>
  readonly #onTrouble: (error: Error) => void
  #messages: ConsumerMessages | null = null
  #stopped = false
  #running: Promise<void> = Promise.resolve()

  constructor(
    js: JetStreamClient,
    jsm: JetStreamManager,
    options: MailOptions,
    onDelivery: (delivery: Delivery) => Promise<void>,
    onTrouble: (error: Error) => void,
  ) {
    this.#js = js
    this.#jsm = jsm
    this.#options = options
    this.#onDelivery = onDelivery
    this.#onTrouble = onTrouble
  }

  /**
   * Makes the consumer anew at `startSeq` and reads until `stop`. `onDelivery` resolved means journalled: then acked.
   * Resolves to how many messages wait.
   */
  async start(): Promise<number> {
    const waiting = await this.#create()
    this.#running = this.#run()
    return waiting
  }

  /** Resolves when no delivery is under way any more. */
  stop(): Promise<void> {
    this.#stopped = true
    this.#messages?.stop()
    return this.#running
  }

  async #run(): Promise<void> {
    let backoff: number = BACKOFF_MS.first
    while (!this.#stopped) {
      try {
        await this.#consume()
        backoff = BACKOFF_MS.first
      } catch (error) {
        if (!this.#stopped) this.#onTrouble(toMeshError(error))
      }
      if (!this.#stopped) await sleep(backoff * (0.5 + Math.random()))
      // Another reader may have the durable by now.
      if (this.#stopped) return
      backoff = Math.min(backoff * 2, BACKOFF_MS.most)
      await this.#create().catch((error) => this.#onTrouble(error))
    }
  }

  async #consume(): Promise<void> {
    const consumer = await this.#js.consumers.get(this.#options.stream, this.#options.durable)
    const messages = await consumer.consume({
      max_messages: PULL_MESSAGES,
      expires: PULL_EXPIRES_MS,
      // Without it consume() hangs for ever once its durable is deleted.
      abort_on_missing_resource: true,
    })
    this.#messages = messages
    if (this.#stopped) messages.stop()
    for await (const message of messages) {
      if (this.#stopped) return
      await this.#onDelivery({ subject: message.subject, data: message.data, seq: message.seq })
      // Flow control only, and a system call: a call that waits for the message goes first.
      setImmediate(() => acknowledge(message))
    }
  }

  async #create(): Promise<number> {
    const { stream, durable, filters, startSeq } = this.#options
    try {
      await this.#jsm.consumers.delete(stream, durable).catch((error) => {
        if (!isNotFound(error)) throw error
      })
      const made = await this.#jsm.consumers.add(stream, {
        durable_name: durable,
        filter_subjects: filters,
        deliver_policy: DeliverPolicy.StartSequence,
        opt_start_seq: Math.max(1, startSeq()),
        ack_policy: AckPolicy.Explicit,
        ack_wait: nanos(ACK_WAIT_MS),
        max_ack_pending: MAX_ACK_PENDING,
        // Made anew at every connection: kept on disk it would cost an fsync each time, and every start of the engine.
        mem_storage: true,
        inactive_threshold: nanos(INACTIVE_MS),
      })
      return made.num_pending
    } catch (error) {
      throw toMeshError(error)
    }
  }
}

/** Without it the message comes again, and is known. */
function acknowledge(message: JsMsg): void {
  try {
    message.ack()
  } catch {
    // The connection has been closed meanwhile.
  }
}

interface RoleEngine {
  js: JetStreamClient
  jsm: JetStreamManager
  writes: Writes
}

/** A role's shared durable: the reader that pulls gets the next message. */
export class RoleReader {
  readonly #engine: RoleEngine
  readonly #stream: string
  readonly #durable: string
  readonly #filter: string

  constructor(engine: RoleEngine, stream: string, durable: string, filter: string) {
    this.#engine = engine
    this.#stream = stream
    this.#durable = durable
    this.#filter = filter
  }

  /** Makes the durable if it is missing; an existing one goes on where it was. */
  async ensure(): Promise<void> {
    const { jsm, writes } = this.#engine
    const durable = {
      durable_name: this.#durable,
      filter_subject: this.#filter,
      deliver_policy: DeliverPolicy.All,
      ack_policy: AckPolicy.Explicit,
      ack_wait: nanos(ACK_WAIT_MS),
      max_ack_pending: MAX_ACK_PENDING,
      inactive_threshold: nanos(INACTIVE_MS),
    }
    await writes.do(this.#stream, () => jsm.consumers.add(this.#stream, durable))
  }

  /** The next message, or null when none came within a few seconds. `decide` says what becomes of it. */
  async next(decide: (delivery: Delivery) => Promise<RoleVerdict>): Promise<boolean> {
    const consumer = await this.#engine.js.consumers.get(this.#stream, this.#durable)
    const message: JsMsg | null = await consumer.next({ expires: ROLE_PULL_MS })
    if (!message) return false
    const verdict = await decide({ subject: message.subject, data: message.data, seq: message.seq }).catch(() => 'back')
    if (verdict === 'settled') message.ack()
    else if (verdict === 'left') message.nak(leftFor(message.info.deliveryCount))
    else message.nak()
    return true
  }
}

/** Returns the pause, in milliseconds, before a message that was given out so often is given out again. */
function leftFor(deliveries: number): number {
  return deliveries < 2 ? 0 : Math.min(LEFT_MS.first * 2 ** Math.min(deliveries - 2, 20), LEFT_MS.most)
}
