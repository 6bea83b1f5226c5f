/**
 * The protocol of a sidecar's socket: the operations table. From it come the handlers' types, the command line's typed
 * calls and the MCP tools. Every operation is `POST /v0/<op>` with one JSON object. Pure.
 */
import * as z from 'zod/mini'
import { cause, door } from '../wire/envelope.schema.ts'
import { fileOps } from './file-ops.schema.ts'
import { mailOps } from './mail-ops.schema.ts'
import type { Marks, ToolMark } from './op.ts'
import { runOps } from './run-ops.schema.ts'
import { type message, type sendState, session, shownStatus, someName, time } from './shown.schema.ts'
import { stateOps } from './state-ops.schema.ts'
import { taskOps } from './task-ops.schema.ts'

export type { ToolMark } from './op.ts'
export { sendState } from './shown.schema.ts'

const nothing = z.object({})
const member = z.object({ name: z.string(), members: z.array(z.string()) })
const reads: ToolMark = { effect: 'reads' }
const changes: ToolMark = { effect: 'changes' }

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
      cause: z.optional(z.nullable(cause)),
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
    about: 'The roles of the project and who has them.',
    tool: reads,
    request: nothing,
    response: z.array(member),
  },
  rename: {
    about: 'Give this session another name; its mail comes along.',
    tool: changes,
    isOnce: true,
    request: z.object({ name: someName }),
    response: z.object({ name: z.string(), previous: z.string() }),
  },
  forget: {
    about: 'Remove a name that is gone, with its unread mail.',
    tool: { effect: 'removes' },
    isOnce: true,
    request: z.object({ name: someName }),
    response: z.object({ name: z.string(), unread: z.int() }),
  },
  ...mailOps,
  ...taskOps,
  ...fileOps,
  ...stateOps,
  ...runOps,
  health: {
    about:
      'What this sidecar sees of itself and of the engine. For mesh doctor; answers also while the engine is away.',
    tool: null,
    isLocal: true,
    request: nothing,
    response: z.object({
      /** Null until the session has joined. */
      name: z.nullable(z.string()),
      version: z.string(),
      connected: z.boolean(),
      doors: z.array(door),
      /** Words of its client about its own state that this release does not know. Sidecars of 0.1.0 leave it out. */
      unknownWords: z.optional(z.array(z.string())),
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
    isLocal: true,
    isOnce: true,
    request: nothing,
    response: z.object({ stopped: z.boolean() }),
  },
} as const satisfies Record<string, Marks & { request: z.ZodMiniType; response: z.ZodMiniType }>

export type Op = keyof typeof ops
/** The operations that are not called again when their answer was lost. */
export type OnceOp = { [O in Op]: (typeof ops)[O] extends { isOnce: true } ? O : never }[Op]
export type Request<O extends Op> = z.input<(typeof ops)[O]['request']>
export type Parsed<O extends Op> = z.output<(typeof ops)[O]['request']>
export type Response<O extends Op> = z.output<(typeof ops)[O]['response']>
export type Session = z.output<typeof session>
export type Message = z.output<typeof message>
export type ShownStatus = z.output<typeof shownStatus>
export type SendState = z.output<typeof sendState>
