/** Runs on the wire: the event, one step of a run's life, and the record, where a run stands. Pure. */
import * as z from 'zod/mini'
import { count, name, processIdentity, projectId, reasonCode, sender, time } from './envelope.schema.ts'
import { limits } from './limits.ts'
import { patterns } from './names.ts'

const runId = z.string().check(z.regex(patterns.runId, 'not a run id'))
const reason = z.string().check(z.maxLength(limits.reason))

export const runKind = z.enum(['process', 'session', 'subagent'])
export type RunKind = z.output<typeof runKind>

export const terminalType = z.enum(['run_completed', 'run_failed', 'run_cancelled', 'run_terminated'])
export type TerminalType = z.output<typeof terminalType>

export const eventType = z.enum(['run_spawned', 'run_progress', 'run_waiting', 'run_idle', ...terminalType.options])
export type EventType = z.output<typeof eventType>

export const runState = z.enum([
  'spawned',
  'running',
  'waiting',
  'idle',
  'completed',
  'failed',
  'cancelled',
  'terminated',
])
export type RunState = z.output<typeof runState>

export const usage = z.object({
  inputTokens: count,
  outputTokens: count,
  /** US dollars. */
  cost: z.optional(z.number().check(z.minimum(0))),
})

const identity = {
  v: z.literal(1),
  project: projectId,
  runKind,
  /** Its name for people; not unique. */
  name,
  /** The session that is notified of it. */
  owner: name,
  /** The runs above it, the root first, its parent last. */
  lineage: z.array(runId).check(z.maxLength(limits.lineage)),
}

export const ending = z.object({
  /** Its end in few words: `exit 7`, `signal SIGKILL`, `timeout`, `cancelled by ann`, `supervisor lost`. */
  reason: z.optional(reason),
  /** Code of the reason, for programs: `exited`, `timeout`, `cancelled`. Absent in what earlier releases wrote. */
  reasonCode: z.optional(reasonCode),
  /** The evidence, for people. */
  evidence: z.optional(z.string().check(z.maxLength(limits.evidence))),
  /** Absent when unknown or none. */
  exitCode: z.optional(z.int().check(z.minimum(0), z.maximum(255))),
  signal: z.optional(z.string().check(z.regex(/^SIG[A-Z0-9]{1,12}$/))),
  /** The last words on standard error as they were written: escape them where they are shown. */
  stderrTail: z.optional(z.string().check(z.maxLength(limits.stderrTailBytes))),
  /** The final message or result. */
  result: z.optional(z.string().check(z.maxLength(limits.resultChars))),
  /** It completed, but something speaks against it. */
  suspect: z.optional(reason),
  /** The text that its last words only point to. */
  earlier: z.optional(z.string().check(z.maxLength(limits.earlierChars))),
  /** Its starter waited for it and has its end: its owner is not woken. */
  attended: z.optional(z.boolean()),
  durationMs: z.optional(count),
  usage: z.optional(usage),
})
export type Ending = z.output<typeof ending>

export const runEvent = z.object({
  ...identity,
  kind: z.literal('run_event'),
  /** The idempotency key: the run's id and the event's number. */
  id: z.string().check(z.regex(patterns.eventId, 'not the id of an event')),
  type: eventType,
  run: runId,
  /** The publisher: the run's supervisor under its owner's name, or the witness that found it ended. */
  from: sender,
  /** Runs from 1 per run, without gaps. */
  seq: z.int().check(z.minimum(1)),
  /** When it happened, by the publisher's clock. */
  at: time,
  /** With run_spawned: where. */
  host: z.optional(z.string().check(z.maxLength(255))),
  pid: z.optional(z.int().check(z.minimum(1))),
  /** With run_progress: its owner wants to be woken by it. */
  notify: z.optional(z.boolean()),
  /** With run_progress: what and how much of it; with run_waiting: for what. */
  text: z.optional(z.string().check(z.maxLength(limits.progressChars))),
  percent: z.optional(z.number().check(z.minimum(0), z.maximum(100))),
  ...ending.shape,
  /** Ed25519 over the canonical form of all other fields, base64url. */
  sig: z.optional(z.string().check(z.maxLength(128))),
})
export type RunEvent = z.output<typeof runEvent>

/** The state of a run, in the runs bucket. An index: the events are the truth, and this may be a step behind. */
export const runRecord = z.object({
  ...identity,
  kind: z.literal('run'),
  id: runId,
  /** The owner as of the last adoption: the events' subjects keep the owner of their time. */
  member: z.string().check(z.maxLength(limits.name), z.regex(patterns.token)),
  state: runState,
  /** Number of the last event that this record knows. */
  seq: count,
  startedAt: time,
  endedAt: z.optional(time),
  text: z.optional(z.string().check(z.maxLength(limits.progressChars))),
  percent: z.optional(z.number().check(z.minimum(0), z.maximum(100))),
  reason: z.optional(reason),
  reasonCode: ending.shape.reasonCode,
  suspect: ending.shape.suspect,
  exitCode: ending.shape.exitCode,
  signal: ending.shape.signal,
  durationMs: z.optional(count),
  host: z.optional(z.string().check(z.maxLength(255))),
  pid: z.optional(z.int().check(z.minimum(1))),
  /** The process that watches it, for witnesses. */
  supervisor: z.optional(processIdentity),
  cwd: z.optional(z.string().check(z.maxLength(4096))),
  /** Owners that had ended, or have another name now; the latest last. */
  formerOwners: z.optional(z.array(name).check(z.maxLength(limits.formerOwners))),
})
export type RunRecord = z.output<typeof runRecord>
