/** Converts inbox entries to what readers see: the model through a door, people and programs through `mesh inbox`. */
import type { Message } from '../../api/ops.schema.ts'
import type { Entry } from '../../core/mail/inbox.ts'
import { earlierHolder } from '../../core/names/holders.ts'
import type { Shown } from '../../core/render.ts'
import type { NameRecord } from '../../wire/envelope.schema.ts'
import type { Sender } from '../mail/outbox.ts'

/** A session that messages are shown to. */
export interface Recipient {
  readonly record: Pick<NameRecord, 'name' | 'session' | 'holders'>
  readonly sender: Pick<Sender, 'said'>
}

/** The conversation before this one that a message was said to, and the question of that conversation that it answers. */
export type Earlier = NonNullable<Message['earlier']>

/** Returns null for a message to the present conversation, or to none in particular. */
export function earlierOf({ record, sender }: Recipient, entry: Entry): Earlier | null {
  const holder = entry.aside ? null : earlierHolder(record, entry)
  if (!holder) return null
  const { replyTo } = entry.envelope
  const question = replyTo === undefined ? null : sender.said(replyTo)
  return { session: holder.session, endedAt: holder.endedAt ?? null, question }
}

/** Returns a message for a model; of a large body only the beginning. */
export function shownOf(session: Recipient, entry: Entry): Shown {
  const { body } = entry.envelope
  const text = 'text' in body ? body.text : body.preview
  const truncated = 'text' in body ? {} : { truncatedBytes: body.size - Buffer.byteLength(body.preview) }
  return { ...messageOf(session, entry, text), ...truncated, hops: entry.envelope.hops }
}

/** Returns a message for `mesh inbox`. `text` is the whole body. */
export function messageOf(session: Recipient, entry: Entry, text: string): Message {
  const { envelope, verified, repeat, person = false } = entry
  const isNews = verified && envelope.author === 'mesh'
  return {
    id: envelope.id,
    from: isNews ? 'mesh' : envelope.from.name,
    to: envelope.to,
    text,
    sentAt: envelope.sentAt,
    thread: envelope.thread ?? null,
    replyTo: envelope.replyTo ?? null,
    intent: envelope.intent ?? null,
    verified,
    repeat,
    person: person && !isNews,
    earlier: earlierOf(session, entry),
    ...(isNews ? { author: 'mesh' } : {}),
  }
}
