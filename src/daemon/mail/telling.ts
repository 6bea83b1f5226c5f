/** What the senders of messages are told of them, by receipts. */
import { type Entry, isOfRun, isOwnMade } from '../../core/mail/inbox.ts'
import { LOCAL_MEMBER } from '../../link/keys.ts'
import type { Envelope, NameRecord } from '../../wire/envelope.schema.ts'
import { isDirect } from './intake.ts'
import type { Receipts } from './receipts.ts'

type Told = 'delivered' | 'held' | 'handed' | 'surfaced'

/** What a sidecar told by itself has no sender who waits to hear of it; but runs are traced. */
export function isToldOf(to: string): boolean {
  return !isOwnMade(to) || isOfRun(to)
}

export class Telling {
  readonly #receipts: Receipts
  readonly #me: () => NameRecord

  constructor(receipts: Receipts, me: () => NameRecord) {
    this.#receipts = receipts
    this.#me = me
  }

  /** `door`: what it went through. */
  one({ id, from }: Pick<Envelope, 'id' | 'from'>, state: Told, evidence: string, door?: string): void {
    const { name, epoch } = this.#me()
    const told = { id, state, evidence, ...(door === undefined ? {} : { door }) }
    this.#receipts.tell(from, { member: LOCAL_MEMBER, name, epoch }, told)
  }

  /** A step on the way: everybody's and topics' messages have many readers, and only that they were read is told. */
  step(entries: readonly Entry[], state: Exclude<Told, 'surfaced'>, evidence: string): void {
    for (const { envelope } of entries)
      if (isDirect(envelope) && isToldOf(envelope.to)) this.one(envelope, state, evidence)
  }
}
