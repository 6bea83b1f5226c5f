/** Converts inbox entries to what readers see: the model through a door, people and programs through `mesh inbox`. */
import type { Message } from '../../api/ops.schema.ts'
import type { Entry } from '../../core/mail/inbox.ts'
import type { Shown } from '../../core/render.ts'

/** Returns a message for a model; of a large body only the beginning. */
export function shownOf(entry: Entry): Shown {
  const { body } = entry.envelope
  const text = 'text' in body ? body.text : body.preview
  const truncated = 'text' in body ? {} : { truncatedBytes: body.size - Buffer.byteLength(body.preview) }
  return { ...messageOf(entry, text), ...truncated, hops: entry.envelope.hops }
}

/** Returns a message for `mesh inbox`. `text` is the whole body. */
export function messageOf(entry: Entry, text: string): Message {
  const { envelope, verified, repeat } = entry
  return {
    id: envelope.id,
    from: envelope.from.name,
    to: envelope.to,
    text,
    sentAt: envelope.sentAt,
    thread: envelope.thread ?? null,
    replyTo: envelope.replyTo ?? null,
    intent: envelope.intent ?? null,
    verified,
    repeat,
  }
}
