/**
 * The protocols of a run's supervisor. Two, both lines of JSON: the line to its starter (its descriptor 3),
 * and the run's own socket, one request and one answer per connection. Pure.
 */
import * as z from 'zod/mini'
import { processIdentity, reasonCode } from '../wire/envelope.schema.ts'
import { limits } from '../wire/limits.ts'
import { isName, isRunId } from '../wire/names.ts'
import { runKind, usage } from '../wire/run.schema.ts'
import { isProject } from '../wire/subjects.ts'

const runId = z.string().check(z.refine(isRunId))
const name = z.string().check(z.refine(isName))
const milliseconds = z.int().check(z.minimum(0), z.maximum(2_147_483_647))
/** The clients' ids are UUIDs; it becomes part of a path. */
const sessionId = z.string().check(z.regex(/^[\w-]{1,128}$/))
const signal = z.string().check(z.regex(/^SIG[A-Z0-9]{1,12}$/))

/** The run to start, and its owner. */
export const runSpec = z.object({
  v: z.literal(1),
  run: runId,
  name,
  owner: name,
  project: z.string().check(z.refine(isProject)),
  /** The runs above it, the root first. */
  lineage: z.array(runId).check(z.maxLength(limits.lineage)),
  command: z.array(z.string()).check(z.minLength(1), z.maxLength(limits.commandWords)),
  cwd: z.string().check(z.minLength(1), z.maxLength(4096)),
  /** Its output goes to logs, and no command waits for it. */
  detach: z.boolean(),
  timeoutMs: z.nullable(milliseconds),
  /** Absent: a process. */
  runKind: z.optional(runKind),
  /** The process that publishes its events. Absent: a supervisor; for unsupervised sessions and subagents a sidecar. */
  teller: z.optional(z.literal('sidecar')),
  /** With a supervised session: the client's id of the conversation that it is started with, if known before. */
  session: z.optional(sessionId),
  /** The client's own daemon has the session's process; absent: it is the supervisor's child. */
  background: z.optional(z.literal(true)),
  /** The command's standard input; absent: empty. */
  input: z.optional(z.string().check(z.maxLength(limits.promptChars))),
  /** The JSON Schema that a session's result has to fit. */
  schema: z.optional(z.unknown()),
  /** The events that wake its owner besides its end and its waiting. */
  notify: z.optional(z.literal('progress')),
  /** It wakes no owner: a session that a person started owns itself. */
  attended: z.optional(z.boolean()),
  /** A process that runs already: watched instead of started. `command` says what it was seen to be. */
  attach: z.optional(processIdentity),
})
export type RunSpec = z.output<typeof runSpec>

/** From the starter: first the spec, then signals to pass on. */
export const toSupervisor = z.union([z.object({ start: runSpec }), z.object({ signal })])

const ended = z.object({
  runId: z.string(),
  state: z.enum(['completed', 'failed', 'cancelled', 'terminated']),
  reason: z.string(),
  reasonCode: z.optional(z.string()),
  exitCode: z.nullable(z.int()),
  signal: z.nullable(z.string()),
  durationMs: z.int(),
  stderrTail: z.string(),
})
export type EndedRun = z.output<typeof ended>

/** To the starter. */
export type FromSupervisor =
  | { started: { runId: string; pid: number } }
  /** `exit`: 126 not executable, 127 not found, 125 anything else; `mesh spawn` has codes of its own. Nothing was run. */
  | { refused: { exit: 125 | 126 | 127; code: string; message: string; hint: string } }
  | { ended: EndedRun }

/** A supervised session as its sidecar sees it. Sent after each change; the answer is the event's number. */
const sessionReport = z.object({
  op: z.literal('session'),
  /** The client's id of its conversation. */
  session: sessionId,
  /** Its name on the mesh. */
  name,
  state: z.enum(['running', 'waiting', 'idle', 'ended']),
  /** With waiting: for what. */
  text: z.optional(z.string().check(z.maxLength(limits.progressChars))),
  /** With idle and ended: its last message, as the client reported it. */
  result: z.optional(z.string().check(z.maxLength(limits.resultChars))),
  /** With idle and ended: an error that the client reported instead of a message. */
  error: z.optional(
    z.object({
      kind: z.string().check(z.maxLength(limits.reason)),
      message: z.string().check(z.maxLength(limits.evidence)),
    }),
  ),
  usage: z.optional(usage),
  /** With ended: how, in the client's words (`exit`, `logout`). */
  reason: z.optional(z.string().check(z.maxLength(limits.reason))),
  /** With ended: how, for programs; absent from sidecars of earlier releases. */
  reasonCode: z.optional(reasonCode),
  /** The client's own record of the conversation. */
  transcript: z.optional(z.string().check(z.maxLength(16_384))),
})
export type SessionReport = z.output<typeof sessionReport>

/** On the run's socket. */
export const runRequest = z.union([
  z.object({
    op: z.literal('progress'),
    text: z.string().check(z.minLength(1), z.maxLength(limits.progressChars)),
    percent: z.optional(z.number().check(z.minimum(0), z.maximum(100))),
  }),
  z.object({ op: z.literal('stop'), by: name, signal, graceMs: milliseconds }),
  sessionReport,
  /** The session's own word that its work is over; `result` is JSON. */
  z.object({
    op: z.literal('done'),
    failed: z.boolean(),
    result: z.optional(z.string().check(z.maxLength(limits.resultChars))),
  }),
])
export type RunRequest = z.output<typeof runRequest>

/** Progress: its number; stop: how the run ended; done: what of the result does not fit, and nothing was done then. */
export type RunAnswer =
  | { seq: number }
  | { misfits: string[] }
  | { ended: EndedRun }
  | { error: { code: string; message: string; hint: string } }
