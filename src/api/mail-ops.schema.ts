/** The operations on messages. Part of the operations table. Pure. */
import * as z from 'zod/mini'
import { intent, pairState } from '../wire/envelope.schema.ts'
import { limits } from '../wire/limits.ts'
import { awaitedMail, blockedBySend, blockedByWait, type ToolMark } from './op.ts'
import { shownEvent } from './run-ops.schema.ts'
import { id, message, sendState, shownStatus, someName, time, timeoutMs } from './shown.schema.ts'

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
  /** A note for the sender, for example that the recipient is gone and the mail waits. */
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

const reads: ToolMark = { effect: 'reads' }
const sends: ToolMark = { effect: 'changes', made: 'id', messages: true }
const takes: ToolMark = { effect: 'changes', messages: true }

export const mailOps = {
  send: {
    about:
      'Send a message to a session (NAME), a topic (topic:T), a role (role:R), the people (operator) or everybody (@all).',
    tool: sends,
    blocks: blockedBySend,
    isLocal: true,
    isLarge: true,
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
    isLocal: true,
    isLarge: true,
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
      /** Set on calls that follow the inbox one after the other: held messages stay where they are. */
      follow: z.optional(z.boolean()),
      limit: z.optional(z.int().check(z.minimum(1), z.maximum(limits.inboxBatch))),
    }),
    response: z.object({ messages: z.array(message), more: z.int(), handover: z.optional(z.string()) }),
  },
  wait: {
    about:
      'Block until something happened: the next message (no targets), a named session is idle, ends or is lost, a message is replied to. For a session that you spawned: how its run ended, and its result.',
    tool: takes,
    awaits: awaitedMail,
    blocks: blockedByWait,
    request: z.object({
      targets: z.optional(
        z
          .array(someName)
          .check(
            z.maxLength(limits.recipients),
            z.describe('names of sessions, or one message id; none: the next message'),
          ),
      ),
      until: z.optional(z.enum(['idle', 'end', 'message']).check(z.describe('for sessions; default: idle or end'))),
      all: z.optional(z.boolean().check(z.describe('wait for all sessions instead of the first'))),
      timeoutMs: content.timeoutMs,
    }),
    response: z.object({
      results: z.array(waited),
      /** With targets that are sessions the caller spawned: how their runs ended. Sidecars of 0.1.0 leave it out. */
      events: z.optional(z.array(shownEvent)),
      handover: z.optional(z.string()),
    }),
  },
  taken: {
    about: 'The messages of this hand-over have been shown to the reader.',
    tool: null,
    isLocal: true,
    request: z.object({
      handover: z.string().check(z.maxLength(64)),
      /** The door that showed them; default: the mesh command. */
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
      /** The state that the message reached; null: none was sent. */
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
    request: z.object({}),
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
} as const
