/**
 * What crosses to a run's supervisor. Two ways, both lines of JSON: the line to whoever started it (its descriptor 3),
 * and the run's own socket, one request and one answer per connection. Pure.
 */
import * as z from 'zod/mini'
import { limits } from '../wire/limits.ts'
import { isName, isRunId } from '../wire/names.ts'
import { isProject } from '../wire/subjects.ts'

const runId = z.string().check(z.refine(isRunId))
const name = z.string().check(z.refine(isName))
const milliseconds = z.int().check(z.minimum(0), z.maximum(2_147_483_647))
const signal = z.string().check(z.regex(/^SIG[A-Z0-9]{1,12}$/))

/** What to run, for whom. */
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
  /** Its output goes to logs, and nobody waits for it. */
  detach: z.boolean(),
  timeoutMs: z.nullable(milliseconds),
})
export type RunSpec = z.output<typeof runSpec>

/** From the starter: first the spec, then signals to pass on. */
export const toSupervisor = z.union([z.object({ start: runSpec }), z.object({ signal })])

const ended = z.object({
  runId: z.string(),
  state: z.enum(['completed', 'failed', 'cancelled', 'terminated']),
  reason: z.string(),
  exitCode: z.nullable(z.int()),
  signal: z.nullable(z.string()),
  durationMs: z.int(),
  stderrTail: z.string(),
})
export type EndedRun = z.output<typeof ended>

/** To the starter. */
export type FromSupervisor =
  | { started: { runId: string; pid: number } }
  /** `exit`: 126 not executable, 127 not found, 125 anything else. Nothing was run. */
  | { refused: { exit: 125 | 126 | 127; code: string; message: string; hint: string } }
  | { ended: EndedRun }

/** On the run's socket. */
export const runRequest = z.union([
  z.object({
    op: z.literal('progress'),
    text: z.string().check(z.minLength(1), z.maxLength(limits.progressChars)),
    percent: z.optional(z.number().check(z.minimum(0), z.maximum(100))),
  }),
  z.object({ op: z.literal('stop'), by: name, signal, graceMs: milliseconds }),
])
export type RunRequest = z.output<typeof runRequest>

/** Progress: its number; stop: how the run ended. */
export type RunAnswer =
  | { seq: number }
  | { ended: EndedRun }
  | { error: { code: string; message: string; hint: string } }
