/**
 * Coordination state on the wire: the document, an immutable object named by its content, and the pointer to the
 * current one, whose history is the document's. Pure.
 */
import * as z from 'zod/mini'
import { count, time } from './envelope.schema.ts'
import { limits } from './limits.ts'
import { patterns } from './names.ts'
import { actor, operationId, taskId } from './task.schema.ts'

/** Never a path, a subject or a property's name: documents keep their entries in a list. */
export const stateKey = z.string().check(z.regex(patterns.stateKey, 'not a key'))
const stateValue = z.string().check(z.maxLength(limits.stateBytes))
const stateNote = z.string().check(z.minLength(1), z.maxLength(limits.stateNoteChars))

const stateEntry = z.object({
  key: stateKey,
  value: stateValue,
  /** Revision of the document in which it was set last. */
  rev: count,
  at: time,
  by: actor.shape.name,
})
export type StateEntry = z.output<typeof stateEntry>

export const stateDocument = z.object({
  v: z.literal(1),
  kind: z.literal('state_document'),
  /** In the order in which they were set last, newest last. */
  entries: z.array(stateEntry).check(z.maxLength(limits.stateKeys)),
  /** Newest last. */
  notes: z.array(z.object({ at: time, by: actor.shape.name, text: stateNote })).check(z.maxLength(limits.stateNotes)),
})
export type StateDocument = z.output<typeof stateDocument>

export const statePointer = z.object({
  v: z.literal(1),
  kind: z.literal('state'),
  /** The epoch of the name's owner: one with an older epoch is refused. 0: a shared document. */
  epoch: count,
  /** Grows by one with each change of the document. 0: there is none yet. */
  rev: count,
  /** The document: SHA-256 of its bytes, hex. Absent with rev 0. */
  object: z.optional(z.string().check(z.regex(/^[0-9a-f]{64}$/))),
  /** Bytes of the object. */
  size: count,
  /** The change that made this revision. Absent with rev 0. */
  change: z.optional(
    z.object({
      op: operationId,
      at: time,
      by: actor,
      /** `set`, `rm`, `note`, … ; unknown words are shown as they are. */
      what: z.string().check(z.regex(/^[a-z][a-z_-]{0,31}$/)),
      key: z.optional(stateKey),
    }),
  ),
  /** The last operations and the revisions that they made, newest last. */
  recent: z.array(z.object({ op: operationId, rev: count })).check(z.maxLength(limits.stateRecent)),
  /** Under `handoff.<op>`: a document on its way to another session, with what goes along. */
  handoff: z.optional(
    z.object({
      from: actor,
      to: actor.shape.name,
      /** Positions of messages that are unread, or read and not answered. */
      mail: z.array(count).check(z.maxLength(limits.unread)),
      tasks: z.array(taskId).check(z.maxLength(limits.unread)),
    }),
  ),
})
export type StatePointer = z.output<typeof statePointer>
