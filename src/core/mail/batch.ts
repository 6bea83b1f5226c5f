/** Sizes of messages, and how many of them fit into one answer. Pure. */
import type { Envelope } from '../../wire/envelope.schema.ts'
import { limits } from '../../wire/limits.ts'

/** About the bytes that a message takes in memory. */
export function sizeOf(envelope: Envelope): number {
  return ('text' in envelope.body ? envelope.body.text.length : envelope.body.preview.length) + 512
}

/** The first of `entries` that fit into one answer, at least one: at most `count`, and `limits.inboxBytes` of text. */
export function batchOf<E extends { envelope: Envelope }>(entries: readonly E[], count: number): E[] {
  let bytes = 0
  const over = entries.findIndex(({ envelope: { body } }) => {
    bytes += 'text' in body ? body.text.length : body.size
    return bytes > limits.inboxBytes
  })
  return entries.slice(0, over < 0 ? count : Math.min(count, Math.max(1, over)))
}
