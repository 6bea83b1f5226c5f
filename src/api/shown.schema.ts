/** Sessions and messages as answers show them. Part of the operations table. Pure. */
import * as z from 'zod/mini'
import { cause, door, pairState } from '../wire/envelope.schema.ts'

export const time = z.string()
/** Its grammar is checked by the handler, which answers `bad_name`. */
export const someName = z.string().check(z.maxLength(4096))
export const id = z.string().check(z.maxLength(64))
export const timeoutMs = z.int().check(z.minimum(0), z.maximum(2_147_483_647))

/** A sidecar answers none of the two last ones: its callers make them of status and cause. */
export const shownStatus = z.enum([
  'starting',
  'busy',
  'idle',
  'waiting',
  'paused',
  'unreachable',
  'lost',
  'gone',
  'failed',
  'compacting',
])
export const sendState = z.enum([
  'queued',
  'stored',
  'delivered',
  'handed',
  'held',
  'surfaced',
  'replied',
  'expired',
  'dead_lettered',
])

export const session = z.object({
  name: z.string(),
  status: shownStatus,
  /** What it does or waits for; null if nothing is known. Sidecars of 0.1.0 leave it out, and `since`. */
  cause: z.optional(z.nullable(cause)),
  /** Since when it does or waits for that, else has its status; null if that is not known. */
  since: z.optional(z.nullable(time)),
  harness: z.string(),
  host: z.string(),
  pid: z.int(),
  cwd: z.string(),
  lastActivityAt: time,
  /** Doors proven or available, best first. */
  wake: z.array(z.string()),
  /** All doors of its client: proven (since when), available, or none: it leads nowhere now. */
  doors: z.array(z.extend(door, { state: z.enum(['available', 'proven', 'none']) })),
  /** Null with `lost` and `gone`: only its own sidecar counts them. */
  unread: z.nullable(z.int()),
  /** The title that a person gave it in its client; null without one. Sidecars of 0.1.0 leave it out. */
  title: z.optional(z.nullable(z.string())),
  /** False: its model reads messages and cannot send any, since a sandbox shuts its commands in. */
  speaks: z.optional(z.boolean()),
  /** Peers that it answers and that answer it, without a person: after `limit` rounds their messages are held. */
  budget: z.optional(z.array(pairState)),
  /** Messages of other sessions are not let in: `hold` keeps `held` of them for a person, `refuse` keeps none. */
  inbound: z.optional(z.enum(['hold', 'refuse'])),
  held: z.optional(z.int()),
  epoch: z.int(),
  /** With `lost` and `gone`: since when and why. */
  endedAt: z.optional(time),
  reason: z.optional(z.string()),
  version: z.optional(z.string()),
})

export const message = z.object({
  id: z.string(),
  from: z.string(),
  to: z.string(),
  text: z.string(),
  sentAt: time,
  thread: z.nullable(z.string()),
  replyTo: z.nullable(z.string()),
  intent: z.nullable(z.string()),
  verified: z.boolean(),
  /** It may have been shown before. */
  repeat: z.boolean(),
  /** A person at a shell sent it. Sidecars of 0.1.0 leave this and the next one out. */
  person: z.optional(z.boolean()),
  /**
   * It was said to a conversation that had the name before this one: whose, when that ended, and that one's question if
   * it is the answer.
   */
  earlier: z.optional(
    z.nullable(z.object({ session: z.string(), endedAt: z.nullable(time), question: z.nullable(z.string()) })),
  ),
  /** News of mesh itself: nobody said it, and nobody waits for an answer. */
  author: z.optional(z.literal('mesh')),
})
