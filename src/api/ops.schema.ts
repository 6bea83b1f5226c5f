/**
 * What crosses a sidecar's socket: the operations table. From it come the handlers' types, the command line's typed
 * calls and the MCP tools. Every operation is `POST /v0/<op>` with one JSON object. Pure.
 */
import * as z from 'zod/mini'
import { door, intent, pairState } from '../wire/envelope.schema.ts'
import { limits } from '../wire/limits.ts'
import { fileOps } from './file-ops.schema.ts'
import { runOps } from './run-ops.schema.ts'
import { stateOps } from './state-ops.schema.ts'
import { taskOps } from './task-ops.schema.ts'

const time = z.string()
/** Grammar is checked by the handler, which answers `bad_name`. */
const someName = z.string().check(z.maxLength(4096))
const id = z.string().check(z.maxLength(64))
const timeoutMs = z.int().check(z.minimum(0), z.maximum(2_147_483_647))

const shownStatus = z.enum(['starting', 'busy', 'idle', 'waiting', 'paused', 'unreachable', 'lost', 'gone'])
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

const session = z.object({
  name: z.string(),
  status: shownStatus,
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
  /** Peers that it answers and that answer it, without a person: after `limit` rounds their messages are held. */
  budget: z.optional(z.array(pairState)),
  epoch: z.int(),
  /** With `lost` and `gone`: since when and why. */
  endedAt: z.optional(time),
  reason: z.optional(z.string()),
  version: z.optional(z.string()),
})

const message = z.object({
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
})

const waited = z.union([
  message,
  z.object({
    type: z.enum(['session_idle', 'session_ended', 'session_lost']),
    name: z.string(),
    status: shownStatus,
    at: time,
    reason: z.optional(z.string()),
  }),
])

const sent = z.object({
  id: z.string(),
  state: sendState,
  to: z.string(),
  /** What the sender should know, for example that the recipient is gone and the mail waits. */
  note: z.optional(z.string()),
  reply: z.optional(message),
  /** With `reply`: given back in `taken` once the reply has been shown. */
  handover: z.optional(z.string()),
})

const content = {
  /** Made by the caller, so that a retry is the same message. */
  id,
  text: z.string(),
  intent: z.optional(intent.check(z.describe('what it is for: request (asks for an answer), info, …'))),
  wait: z.optional(
    z
      .enum(['stored', 'delivered', 'surfaced', 'reply'])
      .check(z.describe('block until it got that far; surfaced: the recipient read it; reply: an answer came')),
  ),
  timeoutMs: z.optional(timeoutMs.check(z.describe('stop waiting after this long; default: never'))),
}
const replyTo = id.check(z.describe('the message that this one answers: its id, or the beginning that was shown'))
const nothing = z.object({})
const member = z.object({ name: z.string(), members: z.array(z.string()) })

/** How an operation is offered as an MCP tool. */
export interface ToolMark {
  effect: 'reads' | 'changes' | 'removes'
  /** Fields that the caller makes, not the model. */
  made?: 'id' | 'op'
  /** The answer may hold messages, which a model reads as rendered text only. */
  messages?: true
  /** The answer holds other words of peers, which a model reads as such: no structured result. */
  words?: true
}

const reads: ToolMark = { effect: 'reads' }
const changes: ToolMark = { effect: 'changes' }
const sends: ToolMark = { effect: 'changes', made: 'id', messages: true }
const takes: ToolMark = { effect: 'changes', messages: true }

export const ops = {
  whoami: {
    about: 'The session that this sidecar represents.',
    tool: reads,
    request: nothing,
    response: z.object({
      name: z.string(),
      project: z.string(),
      sessionId: z.string(),
      host: z.string(),
      pid: z.int(),
      harness: z.string(),
      member: z.string(),
      epoch: z.int(),
      status: shownStatus,
      unread: z.int(),
      topics: z.array(z.string()),
      roles: z.array(z.string()),
      connected: z.boolean(),
      version: z.string(),
      /** The run that it is, and those above it, the root first: of what it starts. */
      run: z.optional(z.string()),
      lineage: z.optional(z.array(z.string())),
    }),
  },
  ps: {
    about: 'The sessions of the project and the state of each.',
    tool: reads,
    request: nothing,
    response: z.array(session),
  },
  alive: {
    about: 'One session; not_found if there is none of that name.',
    tool: reads,
    request: z.object({ name: someName }),
    response: z.extend(session, { alive: z.boolean() }),
  },
  send: {
    about:
      'Send a message to a session (NAME), a topic (topic:T), a role (role:R), the people (operator) or everybody (@all).',
    tool: sends,
    request: z.object({
      ...content,
      to: someName.check(z.describe('NAME, topic:T, role:R, operator or @all')),
      thread: z.optional(z.string().check(z.minLength(1), z.maxLength(limits.thread))),
      replyTo: z.optional(replyTo),
    }),
    response: sent,
  },
  reply: {
    about: 'Answer a message by its id: to its sender, in its thread.',
    tool: sends,
    request: z.object({ ...content, replyTo }),
    response: sent,
  },
  inbox: {
    about:
      'Unread messages, oldest first. Without peek, those that are shown count as read. With id: that message, read or not.',
    tool: takes,
    request: z.object({
      id: z.optional(id),
      peek: z.optional(z.boolean()),
      /** One call of many that follow the inbox: held messages stay where they are. */
      follow: z.optional(z.boolean()),
      limit: z.optional(z.int().check(z.minimum(1), z.maximum(limits.inboxBatch))),
    }),
    response: z.object({ messages: z.array(message), more: z.int(), handover: z.optional(z.string()) }),
  },
  wait: {
    about:
      'Block until something happened: the next message (no targets), a named session is idle, ends or is lost, a message is replied to.',
    tool: takes,
    request: z.object({
      targets: z
        .array(someName)
        .check(z.maxLength(limits.recipients), z.describe('names of sessions, or one message id; empty: any message')),
      until: z.optional(z.enum(['idle', 'end', 'message']).check(z.describe('for sessions; default: idle or end'))),
      all: z.optional(z.boolean().check(z.describe('wait for all sessions instead of the first'))),
      timeoutMs: content.timeoutMs,
    }),
    response: z.object({ results: z.array(waited), handover: z.optional(z.string()) }),
  },
  taken: {
    about: 'The messages of this hand-over have been shown to the reader.',
    tool: null,
    request: z.object({
      handover: z.string().check(z.maxLength(64)),
      /** What showed them; default: the mesh command. */
      shownBy: z.optional(z.enum(['command', 'tool'])),
    }),
    response: z.object({ surfaced: z.int() }),
  },
  ping: {
    about:
      'Reach a session: its sidecar answers, nothing reaches the model. With wake its model reads a short message, which proves a door.',
    tool: { effect: 'changes', made: 'id' },
    request: z.object({
      /** Made by the caller, so that a retry is the same message. */
      id,
      name: someName,
      wake: z.optional(z.boolean()),
      timeoutMs: z.optional(timeoutMs),
    }),
    response: z.object({
      name: z.string(),
      status: shownStatus,
      /** With wake: the door that the message went through. */
      door: z.nullable(z.string()),
      /** How far the message got; null: none was sent. */
      state: z.nullable(sendState),
      ms: z.number(),
      evidence: z.string(),
      /** Why it was not reached. */
      problem: z.optional(z.object({ code: z.string(), message: z.string(), hint: z.string() })),
    }),
  },
  trace: {
    about: 'What happened to a message, step by step, each with its evidence.',
    tool: reads,
    request: z.object({ id }),
    response: z.object({
      id: z.string(),
      steps: z.array(z.object({ state: sendState, at: time, by: z.string(), evidence: z.string() })),
    }),
  },
  budget: {
    about: 'How often sessions answered each other without a person, and whose messages are held for that.',
    tool: reads,
    request: nothing,
    response: z.array(z.extend(pairState, { name: z.string() })),
  },
  budget_resume: {
    about:
      'For people only: count the rounds of a session (of all without a name) anew, and let its held messages go on.',
    tool: null,
    request: z.object({ name: z.optional(someName), timeoutMs: z.optional(timeoutMs) }),
    response: z.array(
      z.object({ name: z.string(), with: z.nullable(z.string()), state: sendState, evidence: z.string() }),
    ),
  },
  topic_join: {
    about: 'Read a topic from now on.',
    tool: changes,
    request: z.object({ topic: someName }),
    response: member,
  },
  topic_leave: {
    about: 'No longer read a topic.',
    tool: changes,
    request: z.object({ topic: someName }),
    response: member,
  },
  topic_list: {
    about: 'The topics of the project and who reads them.',
    tool: reads,
    request: nothing,
    response: z.array(member),
  },
  role_add: {
    about: 'Take messages of a role when idle; each goes to exactly one taker.',
    tool: changes,
    request: z.object({ role: someName }),
    response: member,
  },
  role_rm: {
    about: 'No longer take messages of a role.',
    tool: changes,
    request: z.object({ role: someName }),
    response: member,
  },
  role_list: {
    about: 'The roles of the project and who holds them.',
    tool: reads,
    request: nothing,
    response: z.array(member),
  },
  rename: {
    about: 'Give this session another name; its mail comes along.',
    tool: changes,
    request: z.object({ name: someName }),
    response: z.object({ name: z.string(), previous: z.string() }),
  },
  forget: {
    about: 'Remove a name that is gone, with its unread mail.',
    tool: { effect: 'removes' },
    request: z.object({ name: someName }),
    response: z.object({ name: z.string(), unread: z.int() }),
  },
  ...taskOps,
  ...fileOps,
  ...stateOps,
  ...runOps,
  health: {
    about:
      'What this sidecar sees of itself and of the engine. For mesh doctor; answers also while the engine is away.',
    tool: null,
    request: nothing,
    response: z.object({
      /** Null until the session has joined. */
      name: z.nullable(z.string()),
      version: z.string(),
      connected: z.boolean(),
      doors: z.array(door),
      /** The sidecar's own clock. */
      at: time,
      /** Null while the engine is away, or does not answer. */
      engine: z.nullable(
        z.object({
          at: z.nullable(time),
          streams: z.array(z.object({ name: z.string(), messages: z.int(), bytes: z.int() })),
          missing: z.array(z.string()),
        }),
      ),
    }),
  },
  stop: {
    about: 'End this sidecar; the session is reported as ended.',
    tool: null,
    request: nothing,
    response: z.object({ stopped: z.boolean() }),
  },
} as const satisfies Record<
  string,
  { about: string; request: z.ZodMiniType; response: z.ZodMiniType; tool: ToolMark | null }
>

export type Op = keyof typeof ops
export type Request<O extends Op> = z.input<(typeof ops)[O]['request']>
export type Parsed<O extends Op> = z.output<(typeof ops)[O]['request']>
export type Response<O extends Op> = z.output<(typeof ops)[O]['response']>
export type Session = z.output<typeof session>
export type Message = z.output<typeof message>
export type ShownStatus = z.output<typeof shownStatus>
export type SendState = z.output<typeof sendState>
