/** Decides which sessions read a message. Pure. */
import type { Envelope, NameRecord } from '../../wire/envelope.schema.ts'
import { parseRecipient } from '../../wire/names.ts'

/** Returns true if the owner of `record` reads the message: mail to its name, everybody's, and of topics since it joined. */
export function isFor(record: NameRecord, { seq, envelope }: { seq: number; envelope: Envelope }): boolean {
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

/** Messages to all and to topics have many readers: their senders get only the receipt that they were read. */
export function isDirect({ to }: Envelope): boolean {
  return !to.startsWith('topic:') && to !== '@all'
}
