/** Tells senders what became of their messages, and learns what became of one's own. */

import { isOfRun, isOwnMade } from '../../core/mail/addresses.ts'
import type { ControlAnswer } from '../../core/mail/control.ts'
import type { Entry } from '../../core/mail/inbox.ts'
import { isDirect } from '../../core/mail/recipients.ts'
import type { Logger } from '../../host/log.ts'
import { LOCAL_MEMBER } from '../../link/keys.ts'
import type { ProjectStore } from '../../nats/project-store.ts'
import type { Envelope, Receipt, ReceiptState } from '../../wire/envelope.schema.ts'
import type { Sender as Address } from '../../wire/subjects.ts'
import type { Session } from '../session.ts'

/** Receipts that wait while the engine is away; the oldest are given up first. */
const WAITING = 1000
const RETRY_MS = 1000
/** Receipts heard that are remembered. */
const RECENT = 256
const REACHED: Record<'delivered' | 'surfaced' | 'replied', readonly ReceiptState[]> = {
  delivered: ['delivered', 'handed', 'held', 'surfaced', 'replied'],
  surfaced: ['surfaced', 'replied'],
  replied: ['replied'],
}

export class Receipts {
  readonly #log: Logger
  readonly #waiting: { to: string; told: Receipt }[] = []
  /** The last ones heard: one is heard before it is stored, and so before somebody who asks for it can find it. */
  readonly #recent: Receipt[] = []
  readonly #watched = new Map<string, Set<(told: Receipt) => void>>()
  #store: ProjectStore | null = null
  #unfollow: (() => void) | null = null
  #flushing: Promise<void> | null = null
  #retry: NodeJS.Timeout | null = null
  #soon: NodeJS.Immediate | null = null

  constructor(log: Logger) {
    this.#log = log
  }

  /** The engine is there: what waits is told, and what others told meanwhile is read. */
  async attach(store: ProjectStore, name: string): Promise<void> {
    this.detach()
    this.#store = store
    this.#unfollow = store.followReceipts(name, (told) => this.#hear(told))
    void this.flush()
    for (const id of this.#watched.keys()) {
      for (const told of await store.receiptsOf(id)) this.#hear(told)
    }
  }

  detach(): void {
    this.#unfollow?.()
    this.#unfollow = null
    this.#store = null
  }

  /** Tells the sender of a message; kept and told later when the engine is away. */
  tell(to: Address, by: Receipt['by'], step: Omit<Receipt, 'v' | 'kind' | 'at' | 'by'>): void {
    const told: Receipt = { v: 1, kind: 'receipt', at: new Date().toISOString(), by, ...step }
    this.#waiting.push({ to: to.name, told })
    // The first may be under way.
    if (this.#waiting.length > WAITING) this.#waiting.splice(1, 1)
    // What the receipt is about goes on first: whoever waits for the message has it sooner.
    this.#soon ??= setImmediate(() => {
      this.#soon = null
      void this.flush()
    })
  }

  /** Resolves with the first receipt that shows that a message got that far; null when the signal came first. */
  reached(id: string, goal: 'delivered' | 'surfaced', signal: AbortSignal): Promise<Receipt | null> {
    return this.first(id, (state) => REACHED[goal].includes(state), signal)
  }

  /** Resolves with the first receipt of a message in a state that `fits`; null when the signal came first. */
  first(id: string, fits: (state: ReceiptState) => boolean, signal: AbortSignal): Promise<Receipt | null> {
    return new Promise((resolve) => {
      const finish = (told: Receipt | null) => {
        this.#unwatch(id, hear)
        signal.removeEventListener('abort', abort)
        resolve(told)
      }
      const hear = (told: Receipt) => {
        if (fits(told.state)) finish(told)
      }
      const abort = () => finish(null)
      signal.addEventListener('abort', abort, { once: true })
      const listeners = this.#watched.get(id) ?? new Set()
      this.#watched.set(id, listeners.add(hear))
      // It may have got there before we asked.
      for (const told of this.#recent) if (told.id === id) hear(told)
      if (signal.aborted) return finish(null)
      void this.#store
        ?.receiptsOf(id)
        .then((all) => all.forEach(hear))
        .catch(() => {})
    })
  }

  #unwatch(id: string, hear: (told: Receipt) => void): void {
    const listeners = this.#watched.get(id)
    listeners?.delete(hear)
    if (listeners?.size === 0) this.#watched.delete(id)
  }

  #hear(told: Receipt): void {
    this.#recent.push(told)
    if (this.#recent.length > RECENT) this.#recent.shift()
    for (const hear of [...(this.#watched.get(told.id) ?? [])]) hear(told)
  }

  /** Resolves once everything was told, or cannot be told now. */
  flush(): Promise<void> {
    this.#flushing ??= this.#flush().finally(() => {
      this.#flushing = null
      // Told in the very moment in which the last one was done.
      if (this.#store && this.#waiting.length > 0 && !this.#retry) void this.flush()
    })
    return this.#flushing
  }

  async #flush(): Promise<void> {
    try {
      while (this.#store && this.#waiting.length > 0) {
        const { to, told } = this.#waiting[0]!
        await this.#store.publishReceipt(to, told)
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

type Told = 'delivered' | 'held' | 'handed' | 'surfaced'

/** What a sidecar told by itself has no sender who waits to hear of it; but runs are traced. */
export function isToldOf(to: string): boolean {
  return !isOwnMade(to) || isOfRun(to)
}

/** Sends receipts of the steps that others' messages take here. */
export class Steps {
  readonly #receipts: Receipts
  readonly #session: Pick<Session, 'record'>

  constructor(receipts: Receipts, session: Pick<Session, 'record'>) {
    this.#receipts = receipts
    this.#session = session
  }

  /** `door`: what it went through. */
  note({ id, from }: Pick<Envelope, 'id' | 'from'>, state: Told, evidence: string, door?: string): void {
    const { name, epoch } = this.#session.record
    const told = { id, state, evidence, ...(door === undefined ? {} : { door }) }
    this.#receipts.tell(from, { member: LOCAL_MEMBER, name, epoch }, told)
  }

  /** The answer to a control message. */
  answer({ id, from }: Pick<Envelope, 'id' | 'from'>, answer: ControlAnswer): void {
    const { name, epoch } = this.#session.record
    this.#receipts.tell(from, { member: LOCAL_MEMBER, name, epoch }, { id, state: 'delivered', ...answer })
  }

  /** A step on the way: everybody's and topics' messages have many readers, and only that they were read is told. */
  noteAll(entries: readonly Entry[], state: Exclude<Told, 'surfaced'>, evidence: string): void {
    for (const { envelope } of entries)
      if (isDirect(envelope) && isToldOf(envelope.to)) this.note(envelope, state, evidence)
  }
}
