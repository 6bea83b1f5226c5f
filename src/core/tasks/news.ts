/** News of a change of the board: whom it concerns, and the words. Pure. */
import type { Task } from '../../wire/task.schema.ts'
import { isOver } from './board.ts'
import { type Find, waitsFor } from './dependencies.ts'

const SHORT_ID = 10
const WORDS_CHARS = 400

export interface News {
  /** NAME or role:R. */
  to: string
  text: string
}

/**
 * News of the change from `before` (null: new) to `after`, one per recipient; `find` knows the board after it, `all` are
 * its tasks. No session gets news of what it did itself.
 */
export function newsOf(before: Task | null, after: Task, all: Iterable<Task>, find: Find): News[] {
  const news = [
    ...fallen(before, after),
    ...assigned(before, after, find),
    ...released(before, after),
    ...finished(before, after),
    ...changed(before, after),
    ...depending(before, after, all, find),
  ]
  const texts = new Map<string, string[]>()
  for (const { to, text } of news) texts.set(to, [...(texts.get(to) ?? []), text])
  // The session that sees a lease expire did not cause it.
  if (!isFall(after)) texts.delete(after.change.by.name)
  return [...texts].map(([to, lines]) => ({ to, text: lines.join('\n') }))
}

/** Notifies the assignee; of a role one member, once the task can be claimed, since which one is not known before. */
function assigned(before: Task | null, after: Task, find: Find): News[] {
  if (after.for === undefined || after.for === before?.for || isOver(after)) return []
  const isWaiting = waitsFor(after, find).length > 0
  if (isWaiting && after.for.startsWith('role:')) return []
  const way = isWaiting
    ? 'It is blocked: you get a message when it is free'
    : `To take it: mesh task claim ${shortId(after)}`
  return [{ to: after.for, text: `task for you: ${shown(after)}. ${way}` }]
}

function isFall({ change }: Task): boolean {
  return change.what === 'claim-fell'
}

/** Notifies the former holder, and the session that can find another: the assignee, or the author. */
function fallen(before: Task | null, after: Task): News[] {
  const holder = before?.claim?.holder.name
  if (!isFall(after) || holder === undefined) return []
  const because = after.fallen?.because ?? 'no reason known'
  const own = `your claim of task ${shown(after)} fell (${because}). Before you go on: mesh task claim ${shortId(after)}`
  const heir = after.for === undefined || after.for === holder ? after.createdBy.name : after.for
  const others = heir === holder ? [] : [{ to: heir, text: `task open again: ${shown(after)}, ${because}` }]
  return [{ to: holder, text: own }, ...others]
}

function released(before: Task | null, after: Task): News[] {
  if (!before?.claim || after.state !== 'open' || after.for === undefined || isFall(after)) return []
  return [{ to: after.for, text: `task open again: ${shown(after)}, released by ${after.change.by.name}` }]
}

function finished(before: Task | null, after: Task): News[] {
  if (!before || isOver(before) || !isOver(after)) return []
  const text = `task ${after.state}: ${shown(after)}, by ${after.change.by.name}${words(after)}`
  const concerned = new Set([after.createdBy.name, ...(before.claim ? [before.claim.holder.name] : [])])
  return [...concerned].map((to) => ({ to, text }))
}

/** Notifies the holder of what others do to its task. */
function changed(before: Task | null, after: Task): News[] {
  const holder = after.claim?.holder.name
  if (!before || holder === undefined || !['commented', 'edited', 'blocked'].includes(after.change.what)) return []
  const blocks = after.blockedOn.filter((reason) => !before.blockedOn.includes(reason))
  const what = `${after.change.what}${blocks.length > 0 ? ` on ${blocks.join(', ')}` : ''}`
  return [{ to: holder, text: `task ${what}: ${shown(after)}, by ${after.change.by.name}${words(after)}` }]
}

/**
 * Notifies those concerned by this task and by those that waited for it: which wait for nothing more, and which wait
 * for a task that will not be done.
 */
function depending(before: Task | null, after: Task, all: Iterable<Task>, find: Find): News[] {
  if (!before) return []
  const beforeFind: Find = (id) => (id === after.id ? before : find(id))
  const isDead = !isOver(before) && (after.state === 'failed' || after.state === 'cancelled')
  const touched = [...all].filter((task) => task.id === after.id || task.after.includes(after.id))
  return touched.flatMap((task): News[] => {
    if (isOver(task)) return []
    const concerned = task.claim?.holder.name ?? task.for
    if (isDead) {
      const to = concerned ?? task.createdBy.name
      const way = `To go on without it: mesh task unblock ${shortId(task)} --on ${shortId(after)}`
      return [
        {
          to,
          text: `task waits for one that ${after.state === 'failed' ? 'failed' : 'was cancelled'}: ${shown(task)}. ${way}`,
        },
      ]
    }
    const was = task.id === after.id ? before : task
    const isFreed = waitsFor(was, beforeFind).length > 0 && waitsFor(task, find).length === 0
    return isFreed && concerned !== undefined ? [{ to: concerned, text: `task no longer blocked: ${shown(task)}` }] : []
  })
}

/** Returns the words that came with the change. */
function words({ change, result }: Task): string {
  const text = change.text ?? (change.what === 'edited' ? undefined : result)
  return text ? `\n${text.slice(0, WORDS_CHARS)}` : ''
}

function shown(task: Task): string {
  return `${shortId(task)} "${task.title}"`
}

function shortId({ id }: Task): string {
  return id.slice(0, SHORT_ID)
}
