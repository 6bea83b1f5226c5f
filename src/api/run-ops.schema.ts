/** The operations on runs. Part of the operations table. Pure. */
import * as z from 'zod/mini'
import { limits } from '../wire/limits.ts'
import { eventType, runKind, runState, usage } from '../wire/run.schema.ts'
import { awaitedRuns, blockedByRuns } from './op.ts'

/** An id, a beginning of one that may be unique, or a name: of the run that goes on, else of the newest. */
const someRun = z.string().check(z.minLength(1), z.maxLength(4096))
const someName = z.string().check(z.maxLength(4096))
const milliseconds = z.int().check(z.minimum(0), z.maximum(2_147_483_647))
const text = z.optional(z.string())

const ended = {
  reason: text,
  /** The reason for programs. */
  reasonCode: text,
  /** It completed, but something speaks against it. */
  suspect: text,
  exitCode: z.optional(z.int()),
  signal: text,
  durationMs: z.optional(z.int()),
}

const run = z.object({
  runId: z.string(),
  kind: runKind,
  name: z.string(),
  owner: z.string(),
  parent: z.nullable(z.string()),
  lineage: z.array(z.string()),
  state: runState,
  startedAt: z.string(),
  endedAt: text,
  host: z.nullable(z.string()),
  pid: z.nullable(z.int()),
  /** True while a supervisor or a sidecar watches it; null when that cannot be seen from here. */
  supervised: z.nullable(z.boolean()),
  text,
  percent: z.optional(z.number()),
  ...ended,
})
export type ShownRun = z.output<typeof run>

/** What happened to a run, as callers see it. */
export const shownEvent = z.object({
  type: eventType,
  runId: z.string(),
  seq: z.int(),
  at: z.string(),
  kind: runKind,
  name: z.string(),
  owner: z.string(),
  parent: z.nullable(z.string()),
  lineage: z.array(z.string()),
  /** The signature is that of the member it says it is from. */
  verified: z.boolean(),
  evidence: text,
  stderrTail: text,
  result: text,
  /** The text that its last words only point to. */
  earlier: text,
  usage: z.optional(usage),
  text,
  percent: z.optional(z.number()),
  host: text,
  pid: z.optional(z.int()),
  ...ended,
})
export type ShownEvent = z.output<typeof shownEvent>

export const runOps = {
  runs: {
    about:
      'The runs of the project (supervised commands, sessions, subagents), each with its owner and parent: those that go on, and those that ended within a day.',
    tool: { effect: 'reads', words: true },
    request: z.object({
      run: z.optional(someRun.check(z.describe('only this one: its id, a beginning of it, or its name'))),
    }),
    response: z.array(run),
  },
  run_events: {
    about:
      'What happened to runs, oldest first: begun, progress, waiting, idle, ended and why. From a position or a time on; with waitMs until there is some.',
    tool: { effect: 'reads', words: true },
    request: z.object({
      run: z.optional(someRun),
      owner: z.optional(someName),
      /** ISO 8601. */
      since: z.optional(z.string().check(z.maxLength(40))),
      /** A position that an earlier answer gave. */
      from: z.optional(z.int().check(z.minimum(1))),
      waitMs: z.optional(milliseconds),
    }),
    response: z.object({ events: z.array(shownEvent), next: z.int() }),
  },
  run_trace: {
    about: 'What happened to a run, step by step, each with its evidence: from its cause to the eyes of its owner.',
    tool: null,
    request: z.object({ run: someRun }),
    response: z.object({
      id: z.string(),
      name: z.string(),
      owner: z.string(),
      state: runState,
      steps: z.array(
        z.object({
          /** The step of an event, or of its mail: stored, delivered, handed, surfaced ... */
          state: z.string(),
          /** Null when that is not known. */
          at: z.nullable(z.string()),
          by: z.string(),
          evidence: z.string(),
        }),
      ),
    }),
  },
  run_wait: {
    about:
      'Block until one of the runs, or all of them, ended (or are idle, or made progress), and return how: reason, exit code, last words, result. Without it the ends of your own runs arrive as messages.',
    tool: { effect: 'reads', words: true },
    awaits: awaitedRuns,
    blocks: blockedByRuns,
    request: z.object({
      runs: z.array(someRun).check(z.minLength(1), z.maxLength(limits.recipients)),
      all: z.optional(z.boolean()),
      until: z.optional(z.enum(['end', 'idle', 'progress'])),
      timeoutMs: z.optional(milliseconds),
    }),
    response: z.object({ events: z.array(shownEvent) }),
  },
  run_stop: {
    about:
      'End a run of this session: a signal to its whole process group, and SIGKILL after a grace. Resolves to its end.',
    tool: { effect: 'removes', words: true },
    request: z.object({
      run: someRun,
      signal: z.optional(z.string().check(z.regex(/^SIG[A-Z0-9]{1,12}$/))),
      graceMs: z.optional(milliseconds),
      yes: z.optional(z.boolean().check(z.describe('it may be a session that a person started'))),
    }),
    response: shownEvent,
  },
} as const
