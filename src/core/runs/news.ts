/** News of its runs for a session: which events are news, and their words. Pure. */
import type { RunEvent } from '../../wire/run.schema.ts'
import { isTerminal } from './run.ts'

/** Length of a run's last words on standard error, of its result, and of the text that this points to. */
const TAIL_CHARS = 400
const RESULT_CHARS = 4000
const EARLIER_CHARS = 1500

/**
 * True for an event that wakes its owner: an end, a wait for a person, a turn's end, and what the owner asked for. False
 * for one that a waiting call returned.
 */
export function wakes({ type, attended, notify }: Pick<RunEvent, 'type' | 'attended' | 'notify'>): boolean {
  if (attended) return false
  return (
    isTerminal(type) || type === 'run_waiting' || type === 'run_idle' || (type === 'run_progress' && notify === true)
  )
}

/** Returns the key of an event's mail: an end is one mail, however often it is published. */
export function newsKey({ run, id, type }: Pick<RunEvent, 'run' | 'id' | 'type'>): string {
  return isTerminal(type) ? `end of ${run}` : id
}

/** The first line says what happened, the rest is what the run wrote. Its subagent's words a session has from its client. */
export function newsText(event: RunEvent): string {
  const { type, runKind, stderrTail, text } = event
  // What a suspicion rests on is in it.
  const shown = event.suspect === undefined ? event.evidence : undefined
  const result = runKind === 'subagent' ? shown : event.result
  const words = isTerminal(type) || type === 'run_idle' ? result?.slice(0, RESULT_CHARS) : undefined
  const tail = isTerminal(type) && !result ? stderrTail?.trimEnd().slice(-TAIL_CHARS) : undefined
  const more = type === 'run_progress' ? text : undefined
  const earlier = event.earlier && `It had said before that:\n${event.earlier.slice(0, EARLIER_CHARS)}`
  return [summary(event), words, tail, more, earlier]
    .filter((part) => part)
    .join('\n')
    .toWellFormed()
}

/** A run of somebody who was away has another owner now. */
export function adoptedText(run: { id: string; name: string; owner: string }): string {
  return `${run.id.slice(0, 12)} ${run.name}: ${run.owner} took it over while you were away, and gets its end`
}

function summary(event: RunEvent): string {
  const head = `${event.run.slice(0, 12)} ${event.name}`
  return `${head} ${happened(event)}`.replaceAll('\n', ' ')
}

function happened({ type, reason, durationMs, suspect, text, percent }: RunEvent): string {
  if (type === 'run_waiting') return `waits${text ? `: ${text}` : ''}`
  if (type === 'run_idle') return `is idle: its turn ${reason ?? 'ended'}, it waits for a directive`
  if (type === 'run_progress') return percent === undefined ? 'progress' : `progress ${percent} %`
  const took = durationMs === undefined ? '' : ` after ${(durationMs / 1000).toFixed(1)} s`
  return `${type.slice('run_'.length)}${reason ? `: ${reason}` : ''}${took}${suspect ? `, suspect: ${suspect}` : ''}`
}
