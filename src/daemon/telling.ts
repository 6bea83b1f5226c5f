/** What the senders of messages are told of them, by receipts. */
import { type Entry, isOwnMade } from '../core/inbox.ts'
import type { Envelope, NameRecord } from '../wire/envelope.schema.ts'
import { isDirect } from './intake.ts'
import { LOCAL_MEMBER } from './keys.ts'
import type { Receipts } from './receipts.ts'

type Told = 'delivered' | 'held' | 'handed' | 'surfaced'

export class Telling {
  readonly #receipts: Receipts
  readonly #me: () => NameRecord

  constructor(receipts: Receipts, me: () => NameRecord) {
    this.#receipts = receipts
    this.#me = me
  }

  /** `door`: what it went through. */
  one({ id, from }: Envelope, state: Told, evidence: string, door?: string): void {
    const { name, epoch } = this.#me()
    const told = { id, state, evidence, ...(door === undefined ? {} : { door }) }
    this.#receipts.tell(from, { member: LOCAL_MEMBER, name, epoch }, told)
  }

  /** A step on the way: everybody's and topics' messages have many readers, and only that they were read is told. */
  step(entries: readonly Entry[], state: Exclude<Told, 'surfaced'>, evidence: string): void {
    for (const { envelope } of entries)
      if (isDirect(envelope) && !isOwnMade(envelope.to)) this.one(envelope, state, evidence)
  }
}
