/**
 * The life of a run, whatever its kind: `spawned → running (waiting, idle) → completed | failed | cancelled | terminated`.
 * One terminal event, nothing behind it, and events numbered without gaps. Pure.
 */
import { MeshError } from '../../errors.ts'
import type { EventType, RunEvent, RunKind, RunRecord, RunState, TerminalType } from '../../wire/run.schema.ts'

const TERMINAL: Readonly<Record<TerminalType, RunState>> = {
  run_completed: 'completed',
  run_failed: 'failed',
  run_cancelled: 'cancelled',
  run_terminated: 'terminated',
}

/** Exit codes of a command that waited for a run which ended so. */
const EXITS: Readonly<Partial<Record<RunState, number>>> = { failed: 10, terminated: 11, cancelled: 12 }

export interface Run {
  kind: RunKind
  state: RunState
  /** Number of the last event. */
  seq: number
}

/** An event as far as a run's life goes. */
export type Step = Pick<RunEvent, 'type' | 'seq' | 'runKind'> & { pid?: number | undefined }

export function isTerminal(type: EventType): type is TerminalType {
  return Object.hasOwn(TERMINAL, type)
}

export function isOver(state: RunState): boolean {
  return Object.values(TERMINAL).includes(state)
}

/** The exit code of `mesh wait`: 0 while a run goes on or completed. */
export function exitOf(state: RunState): number {
  return EXITS[state] ?? 0
}

/** Returns the run after an event. Throws `conflict` for a move that no run makes: a bug of the event's maker. */
export function advance(run: Run | null, step: Step): Run {
  const why = refusal(run, step)
  if (why) throw new MeshError('conflict', why)
  return { kind: step.runKind, state: stateAfter(step), seq: step.seq }
}

/** Says why an event cannot come now; null when it can. */
export function refusal(run: Run | null, { type, seq, runKind }: Step): string | null {
  if (seq !== (run?.seq ?? 0) + 1) return `event ${seq} does not follow event ${run?.seq ?? 0}`
  if (!run) return type === 'run_spawned' ? null : `${type} before run_spawned`
  if (runKind !== run.kind) return `a ${run.kind} does not become a ${runKind}`
  if (isOver(run.state)) return `${type} after the run ${run.state}`
  if (type === 'run_spawned') return 'a run is spawned once'
  if (type === 'run_idle' && run.kind === 'process') return 'a process has no turns to end'
  return null
}

function stateAfter({ type, pid }: Step): RunState {
  if (isTerminal(type)) return TERMINAL[type]
  if (type === 'run_waiting') return 'waiting'
  if (type === 'run_idle') return 'idle'
  // A process runs from the moment that it is; a session is spawned until it shows a first sign.
  return type === 'run_spawned' && pid === undefined ? 'spawned' : 'running'
}

/** Folds events as they were read. Impossible ones are skipped: readers meet what others wrote. */
export function fold(steps: readonly Step[]): Run | null {
  let run: Run | null = null
  for (const step of steps) if (refusal(run, step) === null) run = advance(run, step)
  return run
}

type Progress = Omit<RunRecord, 'v' | 'kind' | 'project' | 'id' | 'runKind' | 'name' | 'owner' | 'lineage' | 'member'>

/** Returns a run's record after an event. */
export function recordAfter(record: Progress, event: RunEvent): Progress {
  const { seq, state } = { seq: event.seq, state: stateAfter(event) }
  if (isTerminal(event.type)) {
    const { reason, reasonCode, suspect, exitCode, signal, durationMs, at: endedAt } = event
    return { ...record, seq, state, endedAt, ...defined({ reason, reasonCode, suspect, exitCode, signal, durationMs }) }
  }
  const { text, percent, reason, reasonCode } = event
  const { reason: _, reasonCode: _code, ...rest } = record
  // Of a turn that failed; the next step is after it.
  if (event.type === 'run_idle') return { ...rest, seq, state, ...defined({ reason, reasonCode }) }
  return { ...rest, seq, state, ...(event.type === 'run_progress' ? defined({ text, percent }) : {}) }
}

function defined<T extends object>(fields: T): T {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as T
}
