/** What may enter the mailbox: bytes of the stream that are a message, for this session, and not lost on the way. */

import { alarms, type Logger } from '../../host/log.ts'
import type { KeyRing } from '../../link/keys.ts'
import type { Delivery } from '../../nats/mail.ts'
import { decodeEnvelope } from '../../wire/codec.ts'
import type { Envelope, NameRecord } from '../../wire/envelope.schema.ts'
import { parseRecipient } from '../../wire/names.ts'

/** Lanes whose last number is remembered. */
const LANES = 10_000

export interface Arrived {
  seq: number
  envelope: Envelope
  verified: boolean
}

export class Intake {
  readonly #project: string
  readonly #ring: KeyRing
  readonly #log: Logger
  readonly #last = new Map<string, number>()

  constructor(project: string, ring: KeyRing, log: Logger) {
    this.#project = project
    this.#ring = ring
    this.#log = log
  }

  /** The message; null for bytes that are none, which are passed over for good. */
  read({ seq, subject, data }: Delivery): Arrived | null {
    const decoded = decodeEnvelope(this.#project, subject, data, (member) => this.#ring.keyOf(member))
    if (!('undecodable' in decoded)) return { seq, ...decoded }
    this.#log.warn({ seq, why: decoded.undecodable }, 'not a message: passed over')
    return null
  }

  /** Numbers run per sender, epoch and recipient: one that is missing was lost by the store. Forged ones say nothing. */
  noticeGap({ seq: position, envelope, verified }: Arrived): void {
    const { from, to, seq } = envelope
    if (!verified || to.startsWith('role:')) return
    const lane = `${from.member}/${from.name}/${from.epoch}/${to}`
    const last = this.#last.get(lane)
    if (last !== undefined && seq > last + 1) {
      const missing = seq - last - 1
      const gap = { event: alarms.missingMail, from: from.name, to, missing, position }
      this.#log.error(gap, 'messages of this sender are missing')
    }
    this.#last.set(lane, Math.max(seq, last ?? 0))
    if (this.#last.size > LANES) this.#last.delete(this.#last.keys().next().value!)
  }
}

/** Whether the holder of `record` reads the message: mail to its name, everybody's, and of topics since it joined. */
export function isFor(record: NameRecord, { seq, envelope }: Arrived): boolean {
  const to = parseRecipient(envelope.to)
  const isOwn = envelope.from.name === record.name || wasOwn(record, seq, envelope.from.name)
  if (to.kind === 'all') return !isOwn && seq > record.since
  if (to.kind === 'topic') {
    const joined = record.topics.find(({ name }) => name === to.name)
    return !isOwn && joined !== undefined && seq > joined.since
  }
  if (to.kind === 'role' || to.name === record.name) return true
  return wasOwn(record, seq, to.name)
}

/** Up to its rename the former name was this session. */
function wasOwn({ formerly }: NameRecord, seq: number, name: string): boolean {
  return formerly?.name === name && seq <= formerly.until
}

/** Everybody's and topics' messages have many readers: their senders are told only that they were read. */
export function isDirect({ to }: Envelope): boolean {
  return !to.startsWith('topic:') && to !== '@all'
}
