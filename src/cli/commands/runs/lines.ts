/** Runs and their events as people read them at a terminal. What a command wrote is escaped and indented. */
import type { ShownEvent, ShownRun } from '../../../api/run-ops.schema.ts'
import { visible } from '../../../core/render.ts'
import { columns, indent, oneLine } from '../../show/columns.ts'
import { ago } from '../../show/time.ts'
import { timeIn, type View } from '../../show/view.ts'
import { fit } from '../../show/width.ts'

const TITLES = ['RUN', 'NAME', 'STATE', 'OWNER', 'STARTED', 'HOST', 'PID']
/** The last ones, which a terminal shows with --verbose. */
const INNER_TITLES = 2

/** Exit codes of `mesh wait` for a run that did not complete. */
const EXITS: Readonly<Record<string, number>> = { run_failed: 10, run_terminated: 11, run_cancelled: 12 }

/** Returns the exit code for the first run that did not complete. */
export function exitOf(events: readonly ShownEvent[]): number {
  return events.map(({ type }) => EXITS[type] ?? 0).find((code) => code > 0) ?? 0
}

/** True if nothing comes after the event. */
export function isEnd({ type }: ShownEvent): boolean {
  return type === 'run_completed' || type in EXITS
}

/** Returns a table of runs. */
export function runListing(runs: readonly ShownRun[], view: View): string[] {
  if (runs.length === 0) return ['no runs in this project']
  const rows = [TITLES, ...runs.map((run) => cells(run, view.now))]
  return columns(view.full ? rows : rows.map((row) => row.slice(0, -INNER_TITLES)), view.width)
}

function cells(run: ShownRun, now: number): string[] {
  const { runId, name, owner, startedAt, host, pid } = run
  const words = [runId.slice(0, 12), name, stateOf(run), owner, `${ago(startedAt, now)} ago`, host ?? '-']
  return [...words.map(oneLine), String(pid ?? '-')]
}

export function stateOf({ state, reason, suspect, supervised, text, percent }: ShownRun): string {
  const doubt = suspect ? `, suspect: ${suspect}` : ''
  if (reason) return `${reason.startsWith(state) ? reason : `${state}: ${reason}`}${doubt}`
  const marks = [supervised === false && 'unsupervised', percent !== undefined && `${percent} %`, text].filter(Boolean)
  return marks.length > 0 ? `${state} (${marks.join(', ')})` : state
}

/** Returns a line per run, below its parent's. A run whose parent is not in the list is a root. */
export function runTree(runs: readonly ShownRun[], view: View): string[] {
  if (runs.length === 0) return ['no runs in this project']
  const known = new Set(runs.map(({ runId }) => runId))
  const below = (parent: string | null, depth: number): string[] =>
    runs
      .filter((run) => (run.parent !== null && known.has(run.parent) ? run.parent : null) === parent)
      .flatMap((run) => [
        `${'  '.repeat(depth)}${run.runId.slice(0, 12)} ${oneLine(`${run.name}, ${stateOf(run)}, of ${run.owner}`)}`,
        ...below(run.runId, depth + 1),
      ])
  return below(null, 0).map((line) => fit(line, view.lineWidth))
}

/** Returns an event as one line; below an end stand its last words and its result, whole. */
export function eventLines(event: ShownEvent, view: View): string {
  const { at, type, runId, name, owner, reason, suspect, text, percent, pid, verified, stderrTail, result } = event
  const { earlier } = event
  const details = [
    reason,
    suspect && `suspect: ${suspect}`,
    percent !== undefined && `${percent} %`,
    text,
    type === 'run_spawned' && pid !== undefined && `pid ${pid}`,
    !verified && 'not verified',
  ]
  const line = `${timeIn(view, at)} ${type} ${runId.slice(0, 12)} ${name} of ${owner}`
  const shown = details.filter(Boolean).join(', ')
  const last = [stderrTail, result, earlier]
    .filter((words) => words)
    .map((words) => `\n${indent(visible(words!.trimEnd()))}`)
  return `${fit(oneLine(shown ? `${line}: ${shown}` : line), view.lineWidth)}${last.join('')}`
}
