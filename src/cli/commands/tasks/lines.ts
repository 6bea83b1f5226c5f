/** Tasks as people read them at a terminal. */
import type { Response } from '../../../api/ops.schema.ts'
import { visible } from '../../../core/render.ts'
import type { Context } from '../../command.ts'
import { paint } from '../../show/colour.ts'
import { columns, indent, oneLine } from '../../show/columns.ts'
import { ago } from '../../show/time.ts'
import { timeIn, type View } from '../../show/view.ts'

const SHORT_ID = 10
const HEADER = ['ID', 'P', 'STATE', 'OWNER', 'FOR', 'CHANGED', 'TITLE']
const colours: Record<string, string> = { claimed: '33', blocked: '36', done: '32', failed: '31', cancelled: '2' }

export type Row = Response<'task_list'>[number]
type Detail = Response<'task_claim'>
type Shown = Response<'task_show'>
type Change = Shown['history'][number]

/** Prints one line about a task that was just changed, and who could not be notified. */
export async function printTask(task: Detail, out: Context['out']): Promise<undefined> {
  if (out.json) await out.value(task)
  else await out.line(headline(task))
  if (task.note) out.note(task.note)
}

/** Prints a task that was just claimed, with what there is to do. */
export async function printClaimed(task: Detail, out: Context['out']): Promise<undefined> {
  if (out.json || !task.body) return printTask(task, out)
  await out.line(`${headline(task)}\n${indent(visible(task.body))}`)
}

function headline({ id, state, owner, title }: Detail): string {
  return `${shortId(id)} ${state}${owner ? ` (${oneLine(owner)})` : ''}  ${oneLine(title)}`
}

/** Returns all that is known of a task. */
export function taskLines(task: Shown, view: View): string {
  const { claim } = task
  const { now } = view
  const fields: [string, string | null][] = [
    ['id', task.id],
    ['state', task.state],
    ['for', task.for],
    [
      'claimed',
      claim && `by ${claim.holder}, ${ago(claim.since, now)} ago${view.full ? ` (fence ${claim.fence})` : ''}`,
    ],
    ['expires', claim?.deadline ? `${timeIn(view, claim.deadline)}: ${claim.because ?? ''}` : null],
    ['waits for', task.waitsFor.join(', ') || null],
    ['priority', String(task.priority)],
    ['labels', task.labels.join(' ') || null],
    ['links', task.links.map((id) => linked(id, task.runs ?? [])).join(', ') || null],
    ['added', `by ${task.createdBy}, ${ago(task.createdAt, now)} ago`],
    ['changed', `by ${task.history.at(-1)?.by ?? '?'}, ${ago(task.changedAt, now)} ago`],
  ]
  const shown = fields.flatMap(([key, value]) => (value === null ? [] : [[key, oneLine(value)]]))
  const comments = task.history.filter(({ what, text }) => what === 'commented' && text !== null)
  return [
    oneLine(task.title),
    ...columns(shown),
    ...(task.body ? ['', indent(visible(task.body))] : []),
    ...(task.result ? ['', 'result:', indent(visible(task.result))] : []),
    ...comments.flatMap(({ by, at, text }) => ['', `${oneLine(by)}, ${ago(at, now)} ago:`, indent(visible(text!))]),
  ].join('\n')
}

function linked(id: string, runs: Shown['runs']): string {
  const run = runs.find((one) => one.id === id)
  return run ? `${id} (${run.name ? `${run.name}, ` : ''}${run.state})` : id
}

export function historyLines(history: readonly Change[], view: View): string[] {
  const rows = history.map(({ at, by, what, text }) => [`${ago(at, view.now)} ago`, by, what, text ?? ''].map(oneLine))
  return columns(rows, view.lineWidth)
}

/** Returns the board as a table. */
export function listLines(tasks: readonly Row[], { now, width }: View): string[] {
  const lines = columns([HEADER, ...tasks.map((task) => cells(task, now))], width)
  return paint(lines, (row) => colours[tasks[row]!.state])
}

/** Returns a line per task that is not as it was, for a watch that is read as a log. */
export function changedLines(last: readonly Row[], tasks: readonly Row[], { now }: View): string[] {
  const before = new Map(last.map((task) => [task.id, JSON.stringify(task)]))
  const changed = tasks.filter((task) => before.get(task.id) !== JSON.stringify(task))
  const here = new Set(tasks.map(({ id }) => id))
  const left = last
    .filter(({ id }) => !here.has(id))
    .map(({ id, title }) => `${shortId(id)}  off this list  ${oneLine(title)}`)
  return [...columns(changed.map((task) => cells(task, now))), ...left]
}

function cells(
  { id, priority, state, owner, for: whom, changedAt, title, labels, waitsFor }: Row,
  now: number,
): string[] {
  const marks = labels.map((label) => ` #${label}`).join('')
  // An older sidecar gives neither the time nor what it waits for.
  const waits = waitsFor && waitsFor.length > 0 ? ` (waits for ${waitsFor.map(shortId).join(', ')})` : ''
  const changed = changedAt ? `${ago(changedAt, now)} ago` : '-'
  return [shortId(id), String(priority), state, owner ?? '-', whom ?? '-', changed, `${title}${marks}${waits}`].map(
    oneLine,
  )
}

/** Shortens an ID to a beginning that other commands take; words stay as they are. */
function shortId(text: string): string {
  return /^t_[0-9a-f]{32}$/.test(text) ? text.slice(0, SHORT_ID) : text
}
