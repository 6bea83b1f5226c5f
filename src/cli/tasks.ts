/** What the task commands share: reading their flags, making a change, showing tasks. */
import type { Request, Response } from '../api/ops.schema.ts'
import { visible } from '../core/render.ts'
import { MeshError } from '../errors.ts'
import { limits } from '../wire/limits.ts'
import { newOperation, patterns, quote } from '../wire/names.ts'
import type { Context } from './context.ts'
import { indent } from './messages.ts'
import { readInput } from './text.ts'
import { ago, columns, oneLine, parseCount } from './units.ts'

const SHORT_ID = 10
const TASK_ID = /^t_[0-9a-f]{4,32}$/
const TITLE_CHARS = 72

type Row = Response<'task_list'>[number]
type Detail = Response<'task_claim'>
type Change = Request<'task_change'>

/** Throws `bad_request` unless `text` is a task's id or a beginning of one. */
export function checkTaskId(text: string): string {
  if (TASK_ID.test(text)) return text
  throw new MeshError('bad_request', `${quote(text)} is not a task id`, { hint: 'mesh task list shows them' })
}

/** Makes the change `do` on the task that is the command's first argument, and prints the task. */
export async function changeTask(
  context: Context,
  word: Change['do'],
  fields: Partial<Change> = {},
): Promise<undefined> {
  const { args, out, sidecar } = context
  const id = checkTaskId(args[0]!)
  const task = await sidecar().call('task_change', { op: newOperation(), id, do: word, ...fields })
  await printTask(task, out)
}

/** The flags that say what a task is. */
export async function readTaskFlags({ flags }: Context) {
  return {
    ...(flags.title !== undefined && { title: flags.title }),
    ...(flags.body !== undefined && { body: await readValue(flags.body, '--body') }),
    ...(flags.priority !== undefined && { priority: parseCount(flags.priority, '--priority', 0, 9) }),
    ...(flags.label !== undefined && { labels: words(flags.label) }),
    ...(flags.after !== undefined && { after: words(flags.after).map(checkTaskId) }),
  }
}

export async function readResult({ flags }: Context): Promise<{ result?: string }> {
  return flags.result === undefined ? {} : { result: await readValue(flags.result, '--result') }
}

/** Throws `bad_request` unless `text` is NAME or role:R. */
export function checkAssignee(text: string): string {
  if (patterns.assignee.test(text)) return text
  throw new MeshError('bad_request', `--for ${quote(text)} is neither NAME nor role:R`)
}

async function readValue(value: string, flag: string): Promise<string> {
  const text = value === '-' ? (await readInput(process.stdin)).trimEnd() : value
  if (text.length <= limits.taskText) return text
  throw new MeshError('too_large', `${flag} has ${text.length} characters, the limit is ${limits.taskText}`)
}

function words(list: string): string[] {
  return list.split(',').filter((word) => word !== '')
}

export async function printTask(task: Detail, out: Context['out']): Promise<void> {
  if (out.json) await out.value(task)
  else
    await out.line(
      `${shortId(task.id)} ${task.state}${task.owner ? ` (${oneLine(task.owner)})` : ''}  ${oneLine(task.title)}`,
    )
}

export function taskLines(task: Detail, now: number): string {
  const { claim } = task
  const fields: [string, string | null][] = [
    ['id', task.id],
    ['state', task.state],
    ['for', task.for],
    ['held by', claim && `${claim.holder} since ${claim.since} (fence ${claim.fence})`],
    ['falls', claim?.deadline ? `${claim.deadline}: ${claim.because ?? ''}` : null],
    ['waits for', task.waitsFor.join(', ') || null],
    ['priority', String(task.priority)],
    ['labels', task.labels.join(' ') || null],
    ['links', task.links.join(' ') || null],
    ['added', `by ${task.createdBy}, ${ago(task.createdAt, now)} ago`],
  ]
  const shown = fields.flatMap(([key, value]) => (value === null ? [] : [[key, oneLine(value)]]))
  const texts = [
    ['', task.body],
    ['result:', task.result],
  ].flatMap(([title, text]) => (text ? [...(title ? [title] : []), indent(visible(text))] : []))
  return [oneLine(task.title), ...columns(shown), ...texts].join('\n')
}

export function listLines(tasks: readonly Row[]): string[] {
  if (tasks.length === 0) return ['no tasks']
  return columns([
    ['ID', 'P', 'STATE', 'OWNER', 'FOR', 'TITLE'],
    ...tasks.map(({ id, priority, state, owner, for: whom, title }) => {
      const cells = [shortId(id), String(priority), state, owner ?? '-', whom ?? '-', title]
      return cells.map((cell) => cut(oneLine(cell)))
    }),
  ])
}

function cut(text: string): string {
  return text.length > TITLE_CHARS ? `${text.slice(0, TITLE_CHARS - 1)}…` : text
}

export function shortId(id: string): string {
  return id.slice(0, SHORT_ID)
}
