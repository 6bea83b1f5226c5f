/** Runs and their events as people read them at a terminal. What a command wrote is escaped and indented. */
import type { ShownEvent, ShownRun } from '../../../api/run-ops.schema.ts'
import { visible } from '../../../core/render.ts'
import { ago, columns, oneLine } from '../../input/units.ts'
import { indent } from '../mail/messages.ts'

/** What `mesh wait` exits with when the run did not complete (CLI.md). */
const EXITS: Readonly<Record<string, number>> = { run_failed: 10, run_terminated: 11, run_cancelled: 12 }

export function exitOf(events: readonly ShownEvent[]): number {
  return events.map(({ type }) => EXITS[type] ?? 0).find((code) => code > 0) ?? 0
}

/** Nothing comes after it. */
export function isEnd({ type }: ShownEvent): boolean {
  return type === 'run_completed' || type in EXITS
}

/** A table of runs. */
export function runListing(runs: readonly ShownRun[]): string[] {
  if (runs.length === 0) return ['no runs in this project']
  return columns([['RUN', 'NAME', 'STATE', 'OWNER', 'STARTED', 'HOST', 'PID'], ...runs.map(row)])
}

function row(run: ShownRun): string[] {
  const { runId, name, owner, startedAt, host, pid } = run
  const words = [runId.slice(0, 12), name, stateOf(run), owner, `${ago(startedAt, Date.now())} ago`, host ?? '-']
  return [...words.map(oneLine), String(pid ?? '-')]
}

export function stateOf({ state, reason, supervised, text, percent }: ShownRun): string {
  if (reason) return reason.startsWith(state) ? reason : `${state}: ${reason}`
  const marks = [supervised === false && 'unsupervised', percent !== undefined && `${percent} %`, text].filter(Boolean)
  return marks.length > 0 ? `${state} (${marks.join(', ')})` : state
}

/** Each run below its parent. One whose parent is not in the list is a root. */
export function runTree(runs: readonly ShownRun[]): string[] {
  if (runs.length === 0) return ['no runs in this project']
  const known = new Set(runs.map(({ runId }) => runId))
  const below = (parent: string | null, depth: number): string[] =>
    runs
      .filter((run) => (run.parent !== null && known.has(run.parent) ? run.parent : null) === parent)
      .flatMap((run) => [
        `${'  '.repeat(depth)}${run.runId.slice(0, 12)} ${oneLine(`${run.name}, ${stateOf(run)}, of ${run.owner}`)}`,
        ...below(run.runId, depth + 1),
      ])
  return below(null, 0)
}

/** An event on one line; an end with its last words below. */
export function eventLines(event: ShownEvent): string {
  const { at, type, runId, name, owner, reason, suspect, text, percent, pid, verified, stderrTail, result } = event
  const details = [
    reason,
    suspect && `suspect: ${suspect}`,
    percent !== undefined && `${percent} %`,
    text,
    type === 'run_spawned' && pid !== undefined && `pid ${pid}`,
    !verified && 'not verified',
  ]
  const line = `${at} ${type} ${runId.slice(0, 12)} ${name} of ${owner}`
  const told = details.filter(Boolean).join(', ')
  const last = [stderrTail, result].filter((words) => words).map((words) => `\n${indent(visible(words!.trimEnd()))}`)
  return `${oneLine(told ? `${line}: ${told}` : line)}${last.join('')}`
}
