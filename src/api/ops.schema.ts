/**
 * What crosses a sidecar's socket: the operations table. From it come the handlers' types, the command line's typed
 * calls and later the MCP tools. Every operation is `POST /v0/<op>` with one JSON object. Pure.
 */
import { z } from 'zod'
import { door, intent } from '../wire/envelope.schema.ts'
import { limits } from '../wire/limits.ts'

const time = z.string()
/** Grammar is checked by the handler, which answers `bad_name`. */
const someName = z.string().max(4096)
const id = z.string().max(64)
const timeoutMs = z.int().min(0).max(2_147_483_647)

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
  doors: z.array(door),
  unread: z.int(),
  epoch: z.int(),
  /** With `lost` and `gone`: since when and why. */
  endedAt: time.optional(),
  reason: z.string().optional(),
  version: z.string().optional(),
})

const message = z.object({
  id: z.string(),
  from: z.string(),
  to: z.string(),
  text: z.string(),
  sentAt: time,
  thread: z.string().nullable(),
  replyTo: z.string().nullable(),
  intent: z.string().nullable(),
  verified: z.boolean(),
  /** It may have been shown before. */
  repeat: z.boolean(),
})

const waited = z.union([
  message,
  z.object({ type: z.enum(['session_idle', 'session_ended']), name: z.string(), status: shownStatus, at: time, reason: z.string().optional() }),
])

const sent = z.object({
  id: z.string(),
  state: sendState,
  to: z.string(),
  /** What the sender should know, for example that the recipient is gone and the mail waits. */
  note: z.string().optional(),
  reply: message.optional(),
  /** With `reply`: given back in `taken` once the reply has been shown. */
  handover: z.string().optional(),
})

const content = {
  /** Made by the caller, so that a retry is the same message. */
  id,
  text: z.string(),
  intent: intent.optional(),
  wait: z.enum(['stored', 'delivered', 'surfaced', 'reply']).optional(),
  timeoutMs: timeoutMs.optional(),
}
const nothing = z.object({})
const member = z.object({ name: z.string(), members: z.array(z.string()) })

export const ops = {
  whoami: {
    about: 'The session that this sidecar represents.',
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
    }),
  },
  ps: {
    about: 'The sessions of the project and the state of each.',
    request: nothing,
    response: z.array(session),
  },
  alive: {
    about: 'One session; not_found if there is none of that name.',
    request: z.object({ name: someName }),
    response: session.extend({ alive: z.boolean() }),
  },
  send: {
    about: 'Send a message to a session (NAME), a topic (topic:T), a role (role:R) or everybody (@all).',
    request: z.object({
      ...content,
      to: someName,
      thread: z.string().min(1).max(limits.thread).optional(),
      replyTo: id.optional(),
    }),
    response: sent,
  },
  reply: {
    about: 'Answer a message by its id: to its sender, in its thread.',
    request: z.object({ ...content, replyTo: id }),
    response: sent,
  },
  inbox: {
    about: 'Unread messages, oldest first. Without peek they are handed over, and are read once `taken` is called.',
    request: z.object({ peek: z.boolean().optional(), limit: z.int().min(1).max(limits.inboxBatch).optional() }),
    response: z.object({ messages: z.array(message), more: z.int(), handover: z.string().optional() }),
  },
  wait: {
    about:
      'Block until something happened: the next message (no targets), a named session is idle or ends, a message is replied to.',
    request: z.object({
      targets: z.array(someName).max(limits.recipients),
      /** For sessions: what to wait for. Default: idle or end. */
      until: z.enum(['idle', 'end', 'message']).optional(),
      /** Wait for all targets instead of the first. */
      all: z.boolean().optional(),
      timeoutMs: timeoutMs.optional(),
    }),
    response: z.object({ results: z.array(waited), handover: z.string().optional() }),
  },
  taken: {
    about: 'The messages of this hand-over have been shown to the reader.',
    request: z.object({ handover: z.string().max(64) }),
    response: z.object({ surfaced: z.int() }),
  },
  trace: {
    about: 'What happened to a message, step by step, each with its evidence.',
    request: z.object({ id }),
    response: z.object({
      id: z.string(),
      steps: z.array(z.object({ state: sendState, at: time, by: z.string(), evidence: z.string() })),
    }),
  },
  topic_join: { about: 'Read a topic from now on.', request: z.object({ topic: someName }), response: member },
  topic_leave: { about: 'No longer read a topic.', request: z.object({ topic: someName }), response: member },
  topic_list: { about: 'The topics of the project and who reads them.', request: nothing, response: z.array(member) },
  role_add: {
    about: 'Take messages of a role when idle; each goes to exactly one taker.',
    request: z.object({ role: someName }),
    response: member,
  },
  role_rm: { about: 'No longer take messages of a role.', request: z.object({ role: someName }), response: member },
  role_list: { about: 'The roles of the project and who holds them.', request: nothing, response: z.array(member) },
  rename: {
    about: 'Give this session another name; its mail comes along.',
    request: z.object({ name: someName }),
    response: z.object({ name: z.string(), previous: z.string() }),
  },
  forget: {
    about: 'Remove a name that is gone, with its unread mail.',
    request: z.object({ name: someName }),
    response: z.object({ name: z.string(), unread: z.int() }),
  },
  stop: {
    about: 'End this sidecar; the session is reported as ended.',
    request: nothing,
    response: z.object({ stopped: z.boolean() }),
  },
} as const satisfies Record<string, { about: string; request: z.ZodType; response: z.ZodType }>

export type Op = keyof typeof ops
export type Request<O extends Op> = z.input<(typeof ops)[O]['request']>
export type Parsed<O extends Op> = z.output<(typeof ops)[O]['request']>
export type Response<O extends Op> = z.output<(typeof ops)[O]['response']>
export type Session = z.output<typeof session>
export type Message = z.output<typeof message>
export type ShownStatus = z.output<typeof shownStatus>
export type SendState = z.output<typeof sendState>
