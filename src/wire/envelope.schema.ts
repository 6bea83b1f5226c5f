/**
 * The records that cross machines: one schema per kind, each with its version. Readers are tolerant: unknown
 * fields are ignored, an unknown version or kind is reported as unsupported. Pure.
 */
import * as z from 'zod/mini'
import { limits } from './limits.ts'
import { patterns } from './names.ts'
import { projectPattern } from './subjects.ts'

export const name = z.string().check(z.maxLength(limits.name), z.regex(patterns.name, 'not a session name'))
const token = z.string().check(z.maxLength(limits.name), z.regex(patterns.token, 'not a name'))
const messageId = z.string().check(z.regex(patterns.messageId, 'not a message id'))
/** ISO 8601 in UTC; zod's own pattern allows any number of fractional digits. */
export const time = z.iso.datetime().check(z.maxLength(40))
export const count = z.int().check(z.minimum(0))
export const projectId = z.string().check(z.regex(projectPattern, 'not a project'))
const recipient = z
  .string()
  .check(z.maxLength(limits.name + 'topic:'.length), z.regex(patterns.recipient, 'not a recipient'))

/** The sender's wish: `request` asks for an answer; others are free words, unknown ones are shown as they are. */
export const intent = z.string().check(z.regex(/^[a-z][a-z_-]{0,31}$/))

/** Why something ended, for programs. A newer release may have codes that this one does not know. */
export const reasonCode = z.string().check(z.regex(/^[a-z][a-z_]{0,31}$/))

/** Intents of messages between sidecars: settled there, never shown to a reader. Only sidecars may send them. */
export const controlIntents = ['ping', 'budget_resume', 'edited'] as const

export const sender = z.object({
  /** The machine account; its key signs. */
  member: token,
  name,
  /** The name's epoch when this was sent: it grows with each owner. */
  epoch: count,
})

export const body = z.union([
  /** At most `inlineBodyBytes` of UTF-8, which is never less than its characters. */
  z.object({ text: z.string().check(z.maxLength(limits.inlineBodyBytes)) }),
  z.object({
    /** SHA-256 of the UTF-8 text, hex: its name in the object store. */
    object: z.string().check(z.regex(/^[0-9a-f]{64}$/)),
    /** UTF-8 bytes of the text. */
    size: count.check(z.maximum(limits.bodyBytes)),
    /** The text's beginning. */
    preview: z.string().check(z.maxLength(limits.previewChars)),
  }),
])

export const envelope = z.object({
  v: z.literal(1),
  kind: z.literal('message'),
  id: messageId,
  project: projectId,
  from: sender,
  to: recipient,
  /** The epoch of the recipient's name that the sender saw: it speaks to that holder. Absent for topics, roles and all. */
  toEpoch: z.optional(count),
  /** Runs from 1 per sender, sender's epoch and recipient: a gap means a loss. */
  seq: z.int().check(z.minimum(1)),
  sentAt: time,
  thread: z.optional(z.string().check(z.maxLength(limits.thread))),
  replyTo: z.optional(messageId),
  intent: z.optional(intent),
  /** News that the sender's sidecar made: nobody said it. Absent: the session's own words. */
  author: z.optional(z.literal('mesh')),
  /** Number of replies that led to this one. */
  hops: count.check(z.maximum(limits.hops)),
  body,
  /** Ed25519 over the canonical form of all other fields, base64url. */
  sig: z.optional(z.string().check(z.maxLength(128))),
})
export type Envelope = z.output<typeof envelope>

export const receiptState = z.enum(['delivered', 'handed', 'held', 'surfaced', 'replied', 'expired', 'dead_lettered'])
export type ReceiptState = z.output<typeof receiptState>

const doorName = z.string().check(z.maxLength(32))

/** A receipt: published to the sender of a message when something happened to it. */
export const receipt = z.object({
  v: z.literal(1),
  kind: z.literal('receipt'),
  id: messageId,
  state: receiptState,
  at: time,
  by: sender,
  /** The evidence, for people. */
  evidence: z.string().check(z.maxLength(200)),
  /** With `surfaced`: the door it went through. */
  door: z.optional(doorName),
  /** With `replied`: the answer's id. */
  reply: z.optional(messageId),
  /** With `delivered`: the message asked its reader's sidecar for something that it refuses. */
  refused: z.optional(z.literal(true)),
})
export type Receipt = z.output<typeof receipt>

/** A process that cannot be mistaken for another: pids come round, start times and boots do not. */
export const processIdentity = z.object({
  host: z.string().check(z.maxLength(255)),
  boot: z.string().check(z.maxLength(128)),
  pid: z.int().check(z.minimum(1)),
  /** The operating system's own start time of the process, opaque. */
  start: z.string().check(z.maxLength(64)),
  /** The space in which it has that pid: a PID namespace of Linux. Absent: the system has one, or an earlier release wrote it. */
  space: z.optional(z.string().check(z.maxLength(64))),
})
export type ProcessIdentity = z.output<typeof processIdentity>

/** True if both are the same process. What an earlier release wrote has no space. */
export function isSameProcess(a: ProcessIdentity, b: ProcessIdentity): boolean {
  const isSameSpace = a.space === undefined || b.space === undefined || a.space === b.space
  return isSameSpace && a.host === b.host && a.boot === b.boot && a.pid === b.pid && a.start === b.start
}

export const membership = z.object({
  name: token,
  /** Stream position when joined: what came before is not for this session. */
  since: count,
})

/** A name of the project, in the names bucket. Changed by compare-and-set; taking it over is epoch + 1. */
export const nameRecord = z.object({
  v: z.literal(1),
  kind: z.literal('name'),
  name,
  epoch: z.int().check(z.minimum(1)),
  member: token,
  /** The conversation (`session_id`), or what stands for one. */
  session: z.string().check(z.maxLength(128)),
  /** The process that is the session (the agent's client), for witnesses. */
  process: processIdentity,
  /** The run that it is. Absent: a person's, or one of an earlier release. */
  run: z.optional(z.string().check(z.regex(patterns.runId, 'not a run id'))),
  harness: z.string().check(z.maxLength(32)),
  cwd: z.string().check(z.maxLength(4096)),
  worktree: z.string().check(z.maxLength(4096)),
  state: z.enum(['held', 'lost', 'gone']),
  /** When it was lost or ended; then why, and who saw it. */
  endedAt: z.optional(time),
  reason: z.optional(z.string().check(z.maxLength(200))),
  /** The reason for programs: `killed`, `idle`. Absent in what earlier releases wrote. */
  reasonCode: z.optional(reasonCode),
  witness: z.optional(z.string().check(z.maxLength(limits.name))),
  lastActivityAt: z.optional(time),
  topics: z.array(membership).check(z.maxLength(limits.memberships)),
  roles: z.array(token).check(z.maxLength(limits.memberships)),
  /** Mail at or before this stream position was never for this name. */
  since: count,
  /** After a rename: mail to the former name up to this position belongs to this one. `epoch`: that it had under it. */
  formerly: z.optional(z.object({ name, until: count, epoch: z.optional(count) })),
  /** On the former name: who it is now. */
  renamedTo: z.optional(name),
  /** The owner of the name before this epoch. */
  previous: z.optional(z.object({ session: z.string().check(z.maxLength(128)), endedAt: z.optional(time) })),
  /**
   * Other conversations that held the name before this one, the latest last: up to which epoch and stream position, and
   * when that ended. A resumed conversation is no other.
   */
  holders: z.optional(
    z
      .array(
        z.object({ session: z.string().check(z.maxLength(128)), until: count, high: count, endedAt: z.optional(time) }),
      )
      .check(z.maxLength(limits.earlierSessions)),
  ),
  /** To whom its holder gave what it coordinated, the latest last: what is kept under `handoff.<op>` is theirs from then on. */
  handedOver: z.optional(
    z
      .array(z.object({ op: z.string().check(z.regex(/^[0-9a-f]{32}$/)), to: name, at: time }))
      .check(z.maxLength(limits.handoffs)),
  ),
  /** Conversations that had the name before the present one, the latest first. */
  earlier: z.optional(z.array(z.string().check(z.maxLength(128))).check(z.maxLength(limits.earlierSessions))),
})
export type NameRecord = z.output<typeof nameRecord>

export const sessionStatus = z.enum(['starting', 'busy', 'idle', 'waiting', 'paused'])
export type SessionStatus = z.output<typeof sessionStatus>

export const door = z.object({
  name: doorName,
  /** `proven` when a message went through it, else `available`. */
  state: z.enum(['available', 'proven']),
  provenAt: z.optional(time),
})
export type DoorState = z.output<typeof door>

/** The rounds in which a session and a peer answered each other without a person. */
export const pairState = z.object({
  with: name,
  rounds: count,
  limit: count,
  /** Messages of the peer that wait until the people let it go on. */
  held: count,
  /** When the first round, or the hold, began. */
  since: time,
})
export type PairState = z.output<typeof pairState>

const causeName = z.string().check(z.maxLength(limits.causeName))
const causeText = z.string().check(z.maxLength(limits.causeText))

/**
 * What a session does, or waits for, beside its status: a reader refuses a status that it does not know. A newer release
 * may have kinds that this one does not know. Its words are a client's and a model's: escape them where they are shown.
 */
export const cause = z.object({
  /** `tool`, `permission`, `question`, `dialog`, `session`, `run`, `message`, `task`, `error`, `compacting`, `shell`, `unknown`. */
  kind: z.string().check(z.regex(/^[a-z][a-z_]{0,31}$/)),
  since: time,
  /** With `tool`: the tool. With `session`: the session whose answer, idleness or end is awaited, or several. */
  name: z.optional(causeName),
  /** With `permission`: the tool that asks for it. */
  tool: z.optional(causeName),
  /** With `tool` and `permission`: the beginning of the call's input. */
  input: z.optional(causeText),
  /** With `run`: the run that is awaited, or several. */
  run: z.optional(causeName),
  /** With `error`: its kind, in the words of the client or its service. */
  error: z.optional(causeName),
  /** The question, the error's message, or the client's own words. */
  text: z.optional(causeText),
})
export type Cause = z.output<typeof cause>

/** A session's heartbeat, in the presence bucket under its name. */
export const presence = z.object({
  v: z.literal(1),
  kind: z.literal('presence'),
  name,
  epoch: z.int().check(z.minimum(1)),
  status: sessionStatus,
  /** Since when it has that status. Absent in what earlier releases wrote. */
  since: z.optional(time),
  cause: z.catch(z.optional(cause), undefined),
  lastActivityAt: time,
  /** Open ones, best first. */
  doors: z.array(door).check(z.maxLength(16)),
  /** Doors of its client that lead nowhere now. Beside `doors`, because a reader refuses a state that it does not know. */
  shut: z.optional(z.array(doorName).check(z.maxLength(16))),
  unread: count,
  /** The title that a person gave it in its client. */
  title: z.optional(z.string().check(z.maxLength(limits.sessionTitle))),
  /** False: its model reads messages and has no way to send one. */
  speaks: z.optional(z.boolean()),
  budget: z.optional(z.array(pairState).check(z.maxLength(limits.pairsShown))),
  /** Messages of other sessions are not let in: `hold` keeps `held` of them for a person, `refuse` keeps none. */
  inbound: z.optional(z.enum(['hold', 'refuse'])),
  held: z.optional(count),
  /** Version of the sidecar's program. */
  version: z.string().check(z.maxLength(32)),
})
export type Presence = z.output<typeof presence>

/** The positions that a name has read, in the surfaced bucket: everything up to `high` but the listed positions. */
export const surfaced = z.object({
  v: z.literal(1),
  kind: z.literal('surfaced'),
  epoch: z.int().check(z.minimum(1)),
  high: count,
  unread: z.array(count).check(z.maxLength(limits.unread * 2)),
})
export type Surfaced = z.output<typeof surfaced>

/** The session that took a role's message, in the takers bucket. Retaken by compare-and-set when the taker is gone. */
export const taker = z.object({
  v: z.literal(1),
  kind: z.literal('taker'),
  name,
  epoch: z.int().check(z.minimum(1)),
  /** Stream position of the message. */
  seq: count,
  state: z.enum(['taken', 'surfaced']),
})
export type Taker = z.output<typeof taker>

/** A member's public key (Ed25519, raw, base64url), in the members bucket. Pinned by readers on first sight. */
export const memberRecord = z.object({
  v: z.literal(1),
  kind: z.literal('member'),
  member: token,
  key: z.string().check(z.regex(/^[A-Za-z0-9_-]{43}$/)),
})
