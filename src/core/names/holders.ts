/** Decides which conversation a message was said to: a name is an address, and its holders change. Pure. */
import type { Envelope, NameRecord } from '../../wire/envelope.schema.ts'

export type Holder = NonNullable<NameRecord['holders']>[number]

/**
 * Returns the conversation before this one that the message was said to; null if it was said to this one, or to none in
 * particular. A sender of an earlier release does not say whom it saw: then its place in the stream tells, where it has one.
 */
export function earlierHolder(
  { name, session, holders = [] }: Pick<NameRecord, 'name' | 'session' | 'holders'>,
  { seq, envelope: { to, toEpoch } }: { seq: number; envelope: Pick<Envelope, 'to' | 'toEpoch'> },
): Holder | null {
  if (to !== name || (toEpoch === undefined && seq === 0)) return null
  const holder = holders.find(({ until, high }) => (toEpoch === undefined ? seq <= high : toEpoch <= until))
  return holder && holder.session !== session ? holder : null
}
