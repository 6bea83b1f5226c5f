/** Finds the tasks that a full board can do without. Pure. */
import type { Task } from '../../wire/task.schema.ts'
import { isOver } from './board.ts'

/** Finished tasks for which nothing waits, the one that was touched least recently first. */
export function spent(tasks: Iterable<Task>): Task[] {
  const all = [...tasks]
  const awaited = new Set(all.flatMap((task) => (isOver(task) ? [] : task.after)))
  const over = all.filter((task) => isOver(task) && !awaited.has(task.id))
  return over.sort((a, b) => (a.change.at < b.change.at ? -1 : 1))
}
