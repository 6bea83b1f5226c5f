/**
 * The messages that a sidecar has to send and has sent: one lane per recipient, FIFO, one message of a lane in flight. Rebuilt
 * from journal lines. Gives out the sequence numbers per recipient. Pure.
 */

export interface Outgoing {
  id: string
  subject: string
  to: string
  /** Runs from 1 per recipient and epoch. */
  seq: number
  /** The sender's epoch when it was written. */
  epoch: number
  /** The encoded envelope. */
  bytes: Uint8Array
  /** Milliseconds. */
  at: number
}

/** A line of the outbox file. */
export type OutboxStep =
  | { t: 'put'; id: string; subject: string; to: string; seq: number; epoch: number; at: number; envelope: string }
  | { t: 'stored'; id: string; position: number; at: number }
  /** The engine refused it for good: it will never be sent. */
  | { t: 'refused'; id: string }
  /** Sequence numbers given out so far, first line of a compacted file. */
  | { t: 'counters'; epoch: number; next: [string, number][] }

export interface Sent {
  message: Outgoing
  /** Position in the stream; null while it waits. */
  position: number | null
  storedAt: number | null
}

/** Gives each message memory of its own: a small `Buffer.from` would keep the 8 KB alive that it shares with others. */
const encoder = new TextEncoder()
/** Bytes that a message takes in memory beside its envelope. */
const OVERHEAD_BYTES = 512

export class Outbox {
  /** Bytes of stored messages that are kept; the oldest go first. */
  readonly #sentBytes: number
  /** Bytes of the stored messages that are here. */
  #kept = 0
  readonly #messages = new Map<string, Sent>()
  /** Ids that wait or are in flight, oldest first: a day of sent messages is not looked through for each new one. */
  readonly #unstored = new Set<string>()
  readonly #inFlight = new Set<string>()
  readonly #next = new Map<string, number>()
  #epoch = 0

  constructor(sentBytes = Number.POSITIVE_INFINITY) {
    this.#sentBytes = sentBytes
  }

  apply(step: OutboxStep): void {
    switch (step.t) {
      case 'counters':
        this.#enter(step.epoch)
        for (const [to, next] of step.next) this.#count(step.epoch, to, next)
        return
      case 'put': {
        const { id, subject, to, seq, epoch, at } = step
        const message = { id, subject, to, seq, epoch, at, bytes: encoder.encode(step.envelope) }
        this.#messages.set(id, { message, position: null, storedAt: null })
        this.#unstored.add(id)
        this.#enter(epoch)
        this.#count(epoch, to, seq + 1)
        return
      }
      case 'stored': {
        const sent = this.#messages.get(step.id)
        if (sent && sent.position === null) this.#kept += sizeOf(sent)
        if (sent) Object.assign(sent, { position: step.position, storedAt: step.at })
        this.#unstored.delete(step.id)
        this.#inFlight.delete(step.id)
        this.#trim()
        return
      }
      case 'refused':
        this.#takeBack(step.id)
        this.#unstored.delete(step.id)
        this.#inFlight.delete(step.id)
    }
  }

  #trim(): void {
    for (const [id, sent] of this.#messages) {
      if (this.#kept <= this.#sentBytes) return
      if (sent.position !== null) this.#forget(id, sent)
    }
  }

  #forget(id: string, sent: Sent): void {
    this.#kept -= sizeOf(sent)
    this.#messages.delete(id)
  }

  /** The last number given is given again: a hole would look like a loss. */
  #takeBack(id: string): void {
    const message = this.#messages.get(id)?.message
    this.#messages.delete(id)
    if (message?.epoch !== this.#epoch || this.#next.get(message.to) !== message.seq + 1) return
    this.#next.set(message.to, message.seq)
  }

  /** A new epoch counts from 1 again. */
  #enter(epoch: number): void {
    if (epoch <= this.#epoch) return
    this.#epoch = epoch
    this.#next.clear()
  }

  #count(epoch: number, to: string, next: number): void {
    if (epoch === this.#epoch) this.#next.set(to, Math.max(this.#next.get(to) ?? 1, next))
  }

  /** The number that the next message to this recipient gets. */
  nextSeq(epoch: number, to: string): number {
    return epoch > this.#epoch ? 1 : (this.#next.get(to) ?? 1)
  }

  get(id: string): Sent | undefined {
    return this.#messages.get(id)
  }

  /** The last `count` messages that were written, newest first. */
  latest(count: number): Outgoing[] {
    return [...this.#messages.values()]
      .slice(-count)
      .map(({ message }) => message)
      .reverse()
  }

  /** Ids that begin with `prefix`. */
  idsFrom(prefix: string): string[] {
    return [...this.#messages.keys()].filter((id) => id.startsWith(prefix))
  }

  /** The first waiting message of each lane that has none in flight; they count as in flight from now on. */
  take(): Outgoing[] {
    const busy = new Set([...this.#inFlight].map((id) => this.#messages.get(id)?.message.subject))
    const ready: Outgoing[] = []
    for (const message of this.waiting()) {
      if (busy.has(message.subject)) continue
      busy.add(message.subject)
      this.#inFlight.add(message.id)
      ready.push(message)
    }
    return ready
  }

  /** It was not acknowledged: it is the first of its lane again. */
  release(id: string): void {
    this.#inFlight.delete(id)
  }

  /** Messages that wait or are in flight, oldest first. */
  waiting(): Outgoing[] {
    return [...this.#unstored].map((id) => this.#messages.get(id)!.message)
  }

  /** Number of messages that wait or are in flight. */
  get size(): number {
    return this.#unstored.size
  }

  /** Takes back that these are stored. Returns their ids. */
  lose(lost: readonly Sent[]): string[] {
    for (const sent of lost) {
      this.#kept -= sizeOf(sent)
      Object.assign(sent, { position: null, storedAt: null })
    }
    // In the order in which they were written: what was lost goes before what never went.
    this.#unstored.clear()
    for (const [id, { position }] of this.#messages) if (position === null) this.#unstored.add(id)
    return lost.map(({ message }) => message.id)
  }

  /** Stored messages, the highest position first. */
  stored(): Sent[] {
    const stored = [...this.#messages.values()].filter(({ position }) => position !== null)
    return stored.sort((a, b) => b.position! - a.position!)
  }

  /** Forgets what was stored before `before` (milliseconds). Returns the steps of a compacted file, to be read at once. */
  compact(before: number): Iterable<OutboxStep> {
    for (const [id, sent] of [...this.#messages]) {
      if (sent.storedAt !== null && sent.storedAt < before) this.#forget(id, sent)
    }
    return this.#steps()
  }

  *#steps(): Generator<OutboxStep> {
    yield { t: 'counters', epoch: this.#epoch, next: [...this.#next] }
    for (const [id, { message, position, storedAt }] of this.#messages) {
      const { subject, to, seq, epoch, at, bytes } = message
      yield { t: 'put', id, subject, to, seq, epoch, at, envelope: Buffer.from(bytes).toString() }
      if (position !== null) yield { t: 'stored', id, position, at: storedAt ?? at }
    }
  }
}

function sizeOf({ message }: Sent): number {
  return message.bytes.length + OVERHEAD_BYTES
}
