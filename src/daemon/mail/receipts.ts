/** Sends receipts for other sessions' messages, and reads those for its own. */

import { isOfRun, isOwnMade } from '../../core/mail/addresses.ts'
import type { ControlAnswer } from '../../core/mail/control.ts'
import type { Entry } from '../../core/mail/inbox.ts'
import { isDirect } from '../../core/mail/recipients.ts'
import type { Logger } from '../../host/log.ts'
import { localSender } from '../../link/keys.ts'
import type { ProjectStore } from '../../nats/project-store.ts'
import type { Envelope, Receipt, ReceiptState } from '../../wire/envelope.schema.ts'
import type { Sender as Address } from '../../wire/subjects.ts'
import type { Session } from '../session.ts'

/** Number of receipts that wait while the engine is away; the oldest are dropped first. */
const WAITING = 1000
const RETRY_MS = 1000
/** Number of heard receipts that are remembered. */
const RECENT = 256
const REACHED: Record<'delivered' | 'surfaced' | 'replied', readonly ReceiptState[]> = {
  delivered: ['delivered', 'handed', 'held', 'surfaced', 'replied'],
  surfaced: ['surfaced', 'replied'],
  replied: ['replied'],
}

export class Receipts {
  readonly #log: Logger
  readonly #waiting: { to: string; receipt: Receipt }[] = []
  /** Latest receipts heard. A receipt is heard before it is stored, so before a lookup could find it. */
  readonly #recent: Receipt[] = []
  readonly #watched = new Map<string, Set<(receipt: Receipt) => void>>()
  #store: ProjectStore | null = null
  #unfollow: (() => void) | null = null
  #flushing: Promise<void> | null = null
  #retry: NodeJS.Timeout | null = null
  #soon: NodeJS.Immediate | null = null

  constructor(log: Logger) {
    this.#log = log
  }

  /** Sends waiting receipts over a new connection, and reads those that others sent meanwhile. */
  async attach(store: ProjectStore, name: string): Promise<void> {
    this.detach()
    this.#store = store
    this.#unfollow = store.followReceipts(name, (receipt) => this.#hear(receipt))
    void this.flush()
    for (const id of this.#watched.keys()) {
      for (const receipt of await store.receiptsOf(id)) this.#hear(receipt)
    }
  }

  detach(): void {
    this.#unfollow?.()
    this.#unfollow = null
    this.#store = null
  }

  /** Sends a receipt to the sender of a message; later, if the engine is away. */
  send(to: Address, by: Receipt['by'], step: Omit<Receipt, 'v' | 'kind' | 'at' | 'by'>): void {
    const receipt: Receipt = { v: 1, kind: 'receipt', at: new Date().toISOString(), by, ...step }
    this.#waiting.push({ to: to.name, receipt })
    // The first may be under way.
    if (this.#waiting.length > WAITING) this.#waiting.splice(1, 1)
    // The message of the receipt goes first, so that a call waiting for it has it sooner.
    this.#soon ??= setImmediate(() => {
      this.#soon = null
      void this.flush()
    })
  }

  /** Resolves with the first receipt that proves `goal` for a message; null when the signal aborts first. */
  reached(id: string, goal: 'delivered' | 'surfaced', signal: AbortSignal): Promise<Receipt | null> {
    return this.first(id, (state) => REACHED[goal].includes(state), signal)
  }

  /** Resolves with the first receipt of a message in a state that `fits`; null when the signal aborts first. */
  first(id: string, fits: (state: ReceiptState) => boolean, signal: AbortSignal): Promise<Receipt | null> {
    return new Promise((resolve) => {
      const finish = (receipt: Receipt | null) => {
        this.#unwatch(id, hear)
        signal.removeEventListener('abort', abort)
        resolve(receipt)
      }
      const hear = (receipt: Receipt) => {
        if (fits(receipt.state)) finish(receipt)
      }
      const abort = () => finish(null)
      signal.addEventListener('abort', abort, { once: true })
      const listeners = this.#watched.get(id) ?? new Set()
      this.#watched.set(id, listeners.add(hear))
      // It may have got there before we asked.
      for (const receipt of this.#recent) if (receipt.id === id) hear(receipt)
      if (signal.aborted) return finish(null)
      void this.#store
        ?.receiptsOf(id)
        .then((all) => all.forEach(hear))
        .catch(() => {})
    })
  }

  #unwatch(id: string, hear: (receipt: Receipt) => void): void {
    const listeners = this.#watched.get(id)
    listeners?.delete(hear)
    if (listeners?.size === 0) this.#watched.delete(id)
  }

  #hear(receipt: Receipt): void {
    this.#recent.push(receipt)
    if (this.#recent.length > RECENT) this.#recent.shift()
    for (const hear of [...(this.#watched.get(receipt.id) ?? [])]) hear(receipt)
  }

  /** Resolves once every receipt was sent, or cannot be sent now. */
  flush(): Promise<void> {
    this.#flushing ??= this.#flush().finally(() => {
      this.#flushing = null
      // A receipt may have come just as the last one was done.
      if (this.#store && this.#waiting.length > 0 && !this.#retry) void this.flush()
    })
    return this.#flushing
  }

  async #flush(): Promise<void> {
    try {
      while (this.#store && this.#waiting.length > 0) {
        const { to, receipt } = this.#waiting[0]!
        await this.#store.publishReceipt(to, receipt)
        this.#waiting.shift()
      }
    } catch (error) {
      this.#log.debug({ error }, 'receipts wait')
      this.#retry ??= setTimeout(() => {
        this.#retry = null
        void this.flush()
      }, RETRY_MS).unref()
    }
  }
}

type Step = 'delivered' | 'held' | 'handed' | 'surfaced' | 'dead_lettered'

/**
 * Returns false for mail that a sidecar made for its own session, as no sender waits for a receipt. Runs are traced.
 */
export function hasReceipts(to: string): boolean {
  return !isOwnMade(to) || isOfRun(to)
}

/** Sends receipts for the steps that received messages take here. */
export class Steps {
  readonly #receipts: Receipts
  readonly #session: Pick<Session, 'record'>

  constructor(receipts: Receipts, session: Pick<Session, 'record'>) {
    this.#receipts = receipts
    this.#session = session
  }

  /** Sends a receipt for a step. `door`: the door that the message went through. */
  note({ id, from }: Pick<Envelope, 'id' | 'from'>, state: Step, evidence: string, door?: string): void {
    const step = { id, state, evidence, ...(door === undefined ? {} : { door }) }
    this.#receipts.send(from, localSender(this.#session.record), step)
  }

  /** Sends the receipt that answers a control message. */
  answer({ id, from }: Pick<Envelope, 'id' | 'from'>, answer: ControlAnswer): void {
    this.#receipts.send(from, localSender(this.#session.record), { id, state: 'delivered', ...answer })
  }

  /**
   * Sends receipts for a step on the way. Messages to all and to topics have many readers, and get a receipt only once
   * read.
   */
  noteAll(entries: readonly Entry[], state: Exclude<Step, 'surfaced'>, evidence: string): void {
    for (const { envelope } of entries)
      if (isDirect(envelope) && hasReceipts(envelope.to)) this.note(envelope, state, evidence)
  }
}
