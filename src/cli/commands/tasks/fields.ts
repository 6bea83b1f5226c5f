/** Checks what a person typed about a task. */
import { MeshError } from '../../../errors.ts'
import { limits } from '../../../wire/limits.ts'
import { patterns, quote } from '../../../wire/names.ts'
import type { Context, Values } from '../../command.ts'
import { readInput } from '../../input/text.ts'
import { parseCount } from '../../input/units.ts'

const TASK_ID = /^t_[0-9a-f]{4,32}$/

export type TaskFlags = Values<'title' | 'body' | 'after' | 'priority' | 'label'>

/** Throws `bad_request` unless `text` is a task's id or a beginning of one. */
export function checkTaskId(text: string): string {
  if (TASK_ID.test(text)) return text
  throw new MeshError('bad_request', `${quote(text)} is not a task id`, { hint: 'mesh task list shows them' })
}

/** Throws `bad_request`, `too_large` for what is no title. */
export function checkTitle(text: string): string {
  const hint = 'a title is one line; the rest goes into --body'
  if (text.trim() === '') throw new MeshError('bad_request', 'the title is empty', { hint })
  if (!patterns.title.test(text)) {
    throw new MeshError('bad_request', `the title ${quote(text)} has control characters in it`, { hint })
  }
  if (text.trim().length <= limits.taskTitle) return text.trim()
  throw new MeshError('too_large', `the title has ${text.length} characters, the limit is ${limits.taskTitle}`, {
    hint,
  })
}

/** Reads the flags that say what a task is, besides its title. */
export async function readTaskFlags(flags: Omit<TaskFlags, 'title'>) {
  return {
    ...(flags.body !== undefined && { body: await readValue(flags.body, '--body') }),
    ...(flags.priority !== undefined && { priority: parseCount(flags.priority, '--priority', 0, 9) }),
    ...(flags.label !== undefined && { labels: words(flags.label).map(checkLabel) }),
    ...(flags.after !== undefined && { after: words(flags.after).map(checkTaskId) }),
  }
}

/** Reads `--result`. */
export async function readResult({ flags }: Context<Values<'result'>>): Promise<{ result?: string }> {
  return flags.result === undefined ? {} : { result: await readValue(flags.result, '--result') }
}

/** Throws `bad_request` unless `text` is NAME or role:R. */
export function checkAssignee(text: string): string {
  if (patterns.assignee.test(text)) return text
  throw new MeshError('bad_request', `--for ${quote(text)} is neither NAME nor role:R`, {
    hint: 'mesh ps lists the sessions, mesh role list the roles',
  })
}

async function readValue(value: string, flag: string): Promise<string> {
  const text = value === '-' ? (await readInput(process.stdin)).trimEnd() : value
  if (text.length <= limits.taskText) return text
  throw new MeshError('too_large', `${flag} has ${text.length} characters, the limit is ${limits.taskText}`)
}

function checkLabel(text: string): string {
  if (patterns.token.test(text)) return text
  throw new MeshError('bad_request', `${quote(text)} is not a label`, {
    hint: 'labels are lower-case letters, digits, - and _',
  })
}

function words(list: string): string[] {
  return list.split(',').filter((word) => word !== '')
}
