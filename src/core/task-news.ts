/** Whom a change of the board concerns, and what they are told. Pure. */
import type { Task } from '../wire/task.schema.ts'
import { type Find, isOver, waitsFor } from './board.ts'

const SHORT_ID = 10
const RESULT_CHARS = 400

export interface News {
  /** NAME or role:R. */
  to: string
  text: string
}

/**
 * News of the change from `before` (null: new) to `after`; `find` knows the board after it, `all` are its tasks.
 * Nobody is told what it did itself.
 */
export function newsOf(before: Task | null, after: Task, all: Iterable<Task>, find: Find): News[] {
  const news = [...assigned(before, after), ...finished(before, after), ...freed(before, after, all, find)]
  return news.filter(({ to }) => to !== after.change.by.name)
}

function assigned(before: Task | null, after: Task): News[] {
  if (after.for === undefined || after.for === before?.for || isOver(after)) return []
  return [{ to: after.for, text: `task for you: ${shown(after)}. To take it: mesh task claim ${shortId(after)}` }]
}

function finished(before: Task | null, after: Task): News[] {
  if (!before || isOver(before) || !isOver(after)) return []
  const result = after.result ? `\n${after.result.slice(0, RESULT_CHARS)}` : ''
  return [
    { to: after.createdBy.name, text: `task ${after.state}: ${shown(after)}, by ${after.change.by.name}${result}` },
  ]
}

/** Tasks that waited for this one, or this one itself, and wait for nothing more. */
function freed(before: Task | null, after: Task, all: Iterable<Task>, find: Find): News[] {
  if (!before) return []
  const beforeFind: Find = (id) => (id === after.id ? before : find(id))
  const touched = [...all].filter((task) => task.id === after.id || task.after.includes(after.id))
  return touched.flatMap((task) => {
    const was = task.id === after.id ? before : task
    const isFreed = !isOver(task) && waitsFor(was, beforeFind).length > 0 && waitsFor(task, find).length === 0
    const to = task.claim?.holder.name ?? task.for
    return isFreed && to !== undefined ? [{ to, text: `task no longer blocked: ${shown(task)}` }] : []
  })
}

function shown(task: Task): string {
  return `${shortId(task)} "${task.title}"`
}

function shortId({ id }: Task): string {
  return id.slice(0, SHORT_ID)
}
