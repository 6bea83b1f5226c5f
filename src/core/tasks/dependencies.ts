/** Dependencies between tasks: what waits for what, circles, and the tasks that can be claimed. Pure. */
import { MeshError } from '../../errors.ts'
import type { Task } from '../../wire/task.schema.ts'

export type Find = (id: string) => Task | undefined

/** Returns what a task waits for: tasks that are not done, and words. A failed or cancelled one blocks until it is unblocked. */
export function waitsFor(task: Task, find: Find): string[] {
  return [...task.after.filter((id) => find(id)?.state !== 'done'), ...task.blockedOn]
}

/** Throws `not_found` for a task that is not there, `conflict` for a circle. */
export function checkDependencies(task: Task, find: Find): void {
  for (const id of task.after) {
    if (id !== task.id && !find(id)) throw new MeshError('not_found', `there is no task ${id}`)
  }
  const circle = circleOf(task, find)
  if (!circle) return
  const hint = 'mesh task unblock ID --on ID takes an edge out'
  throw new MeshError('conflict', `a circle: ${circle.join(' after ')}`, { hint })
}

/** The tasks of a circle through `task`, which stands first and last; null if there is none. */
export function circleOf(task: Task, find: Find): string[] | null {
  const look = (id: string) => (id === task.id ? task : find(id))
  const seen = new Set<string>()
  const way: string[] = []
  // A path as deep as the board must not overflow the stack.
  const stack: { id: string; next: number }[] = [{ id: task.id, next: 0 }]
  while (stack.length > 0) {
    const top = stack.at(-1)!
    if (top.next === 0) way.push(top.id)
    const to = look(top.id)?.after[top.next++]
    if (to === undefined) {
      stack.pop()
      way.pop()
    } else if (to === task.id) return [...way, to]
    else if (!seen.has(to)) {
      seen.add(to)
      stack.push({ id: to, next: 0 })
    }
  }
  return null
}

/** Orders open tasks: by priority (0 first), then by age. */
export function byUrgency(a: Task, b: Task): number {
  return (
    a.priority - b.priority || (a.createdAt < b.createdAt ? -1 : a.createdAt > b.createdAt ? 1 : a.id < b.id ? -1 : 1)
  )
}

/** Returns the tasks that a session may claim next, most urgent first: ready, and for it, a role of its, or anyone. */
export function claimable(tasks: Iterable<Task>, find: Find, me: { name: string; roles: readonly string[] }): Task[] {
  const mine = new Set([me.name, ...me.roles.map((role) => `role:${role}`)])
  return [...tasks]
    .filter((task) => task.state === 'open' && (task.for === undefined || mine.has(task.for)))
    .filter((task) => waitsFor(task, find).length === 0)
    .sort(byUrgency)
}
