/** Handles the operations of the task board. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Parsed, Response } from '../../api/ops.schema.ts'
import { isApplied, isOver, type Move, shownState } from '../../core/tasks/board.ts'
import { byUrgency, checkDependencies, claimable, waitsFor } from '../../core/tasks/dependencies.ts'
import { MeshError } from '../../errors.ts'
import { isAway, untilFound } from '../../link/until.ts'
import { isRunId, patterns, quote } from '../../wire/names.ts'
import type { Task } from '../../wire/task.schema.ts'
import { checkKnown, fullId } from '../mail/lookup.ts'
import type { MailSession } from '../mail/session.ts'
import { actorOf } from '../names/actor.ts'
import { findRun } from '../runs/find.ts'
import { deadline, FOREVER_MS, type HandlersOf } from '../socket/call.ts'
import type { Board, Kept } from './board.ts'
import { earlierChange, notifyConcerned } from './news.ts'

const ID_PREFIX = /^t_[0-9a-f]{4,32}$/
const PRIORITY = 5
/** Time between tries of a wait while the engine is away. */
const AWAY_MS = 200

export interface TasksSession extends MailSession {
  readonly board: Board
}

export const taskHandlers = {
  async task_add(session, { op, after = [], ...given }) {
    const { store, by, at } = await open(session)
    const id = `t_${op.padEnd(32, '0').slice(0, 32)}`
    const change = { op, at, by, what: 'added' }
    const lists = { after: await idsOf(session, after), blockedOn: [], links: [], recent: [] }
    const task: Task = {
      v: 1,
      kind: 'task',
      id,
      state: 'open',
      fence: 0,
      createdAt: at,
      createdBy: by,
      change,
      labels: [],
      priority: PRIORITY,
      ...given,
      ...lists,
    }
    checkDependencies(task, session.board.find)
    const kept = await session.board.add(store, task)
    return { ...detailOf(session.board, kept), ...noted(await notifyConcerned(session, null, kept.task)) }
  },

  async task_list(session, { which = 'open', label, limit }) {
    await open(session)
    const { name, roles } = session.record
    const mine = new Set([name, ...roles.map((role) => `role:${role}`)])
    const wanted = (task: Task) => {
      if (label !== undefined && !task.labels.includes(label)) return false
      if (which === 'all') return true
      if (isOver(task)) return false
      if (which === 'mine') return task.claim?.holder.name === name || (task.for !== undefined && mine.has(task.for))
      return which === 'open' || shownState(task, session.board.find) === 'blocked'
    }
    const found = [...session.board.tasks].filter(({ task }) => wanted(task))
    return found
      .sort((a, b) => byUrgency(a.task, b.task))
      .slice(0, limit)
      .map((kept) => rowOf(session.board, kept))
  },

  async task_news(session, { since }, call) {
    await open(session)
    const { board } = session
    const look = () => (board.version === since ? null : board.version)
    await untilFound(look, { subscribe: (changed) => board.onChange(changed), signal: call.signal })
    return { version: board.version }
  },

  async task_show(session, { id: key }) {
    const { store } = await open(session)
    const known = await named(session, key)
    const revisions = await store.tasks.all(known.task.id)
    const last = revisions.at(-1)
    // As it is now, not as this sidecar last heard.
    const kept = last ? { task: last.value, revision: last.revision } : known
    const history = revisions.map(({ value: { change }, revision }) => {
      return { rev: revision, at: change.at, by: change.by.name, what: change.what, text: change.text ?? null }
    })
    return { ...detailOf(session.board, kept), runs: await runsOf(session, kept.task), history }
  },

  async task_claim(session, { op, id, wait, timeoutMs }, call) {
    await open(session)
    const earlier = [...session.board.tasks].find(({ task }) => task.claim && isApplied(task, op))
    if (earlier) return detailOf(session.board, earlier)
    if (id !== undefined)
      return detailOf(session.board, await claim(session, (await named(session, id)).task.id, op, false))
    const signal = deadline(call.signal, wait ? (timeoutMs ?? FOREVER_MS) : 0)
    return detailOf(session.board, await claimNext(session, op, wait === true, signal))
  },

  async task_change(session, { op, id: key, ...given }) {
    const { store, by, at } = await open(session)
    const { id } = (await named(session, key)).task
    const move = await moveOf(session, given)
    const { before, ...kept } = await session.board.change(store, id, { move, by, at, op })
    // Made earlier, by a try whose answer was lost: sessions that were not notified then are notified now.
    const made = before ? { before, after: kept.task } : await earlierChange(session, id, op).catch(() => null)
    const note = made ? await notifyConcerned(session, made.before, made.after) : undefined
    return { ...detailOf(session.board, kept), ...noted(note) }
  },
} satisfies HandlersOf<TasksSession>

async function open(session: TasksSession) {
  const { store } = session.link
  await session.board.open(store)
  return { store, by: actorOf(session.record), at: new Date().toISOString() }
}

function claim(session: TasksSession, id: string, op: string, anew: boolean): Promise<Kept> {
  return session.board.change(session.link.store, id, {
    move: { do: 'claim', anew },
    by: actorOf(session.record),
    at: new Date().toISOString(),
    op,
  })
}

/**
 * Claims the next open task. Sessions that ask at once each get another one: the slower goes on to the next. A wait
 * survives an engine restart. A claim without an answer is repeated before any other task is claimed, so that no two
 * are taken.
 */
async function claimNext(session: TasksSession, op: string, wait: boolean, signal: AbortSignal): Promise<Kept> {
  const { board } = session
  let unanswered: string | null = null
  const look = async (): Promise<Kept | null> => {
    const tasks = [...board.tasks].map(({ task }) => task)
    const ready = unanswered === null ? claimable(tasks, board.find, session.record).map(({ id }) => id) : [unanswered]
    unanswered = null
    for (const id of ready) {
      try {
        return await claim(session, id, op, true)
      } catch (error) {
        if (MeshError.from(error).code === 'conflict') continue
        if (!wait || !isAway(error) || signal.aborted) throw error
        unanswered = id
        await back(session, signal)
        return look()
      }
    }
    if (!wait) throw new MeshError('not_found', 'no task is ready for this session', { hint: 'mesh task list all' })
    return null
  }
  const claimed = await untilFound(look, { subscribe: (changed) => board.onChange(changed), signal })
  if (claimed) return claimed
  throw new MeshError('timeout', 'no task became ready in time', { hint: 'mesh task list all' })
}

/** Resolves when it is worth asking the engine again. */
async function back(session: TasksSession, signal: AbortSignal): Promise<void> {
  await sleep(AWAY_MS, undefined, { signal }).catch(() => {})
  await session.link.whenUp(AWAY_MS)
}

async function moveOf(session: TasksSession, given: Omit<Parsed<'task_change'>, 'op' | 'id'>): Promise<Move> {
  const { do: word, on, text, result, to, after, for: whom, title, body, labels, priority } = given
  const need = <T>(value: T | undefined, what: string): T => {
    if (value !== undefined) return value
    throw new MeshError('bad_request', `${word} needs ${what}`)
  }
  const target = async (key: string) => (key.startsWith('t_') ? (await named(session, key)).task.id : key)
  switch (word) {
    case 'block':
      return { do: word, on: await target(need(on, 'what it waits for: a task or words')) }
    case 'unblock':
      // Also of one that the board has forgotten.
      return { do: word, on: on === undefined || patterns.taskId.test(on) ? on : await target(on) }
    case 'done':
    case 'fail':
      return { do: word, result }
    case 'comment':
      return { do: word, text: need(text, 'a text') }
    case 'link':
      return { do: word, to: await linkOf(session, need(to, 'a run or a message')) }
    case 'edit': {
      const edit = { title, body, labels, priority, for: whom, after: after && (await idsOf(session, after)) }
      if (Object.values(edit).every((value) => value === undefined)) need(undefined, 'something to change')
      return { do: word, ...edit }
    }
    default:
      return { do: word, text }
  }
}

/**
 * Returns the task that `key` names: by full id, also one that this board does not know yet, or by an unambiguous
 * prefix. Throws `bad_request`, `not_found`.
 */
async function named(session: TasksSession, key: string): Promise<Kept> {
  const { board, link } = session
  if (!ID_PREFIX.test(key)) throw new MeshError('bad_request', `${quote(key)} is not a task id`)
  if (patterns.taskId.test(key)) return board.get(key) ?? board.read(link.store, key)
  const found = board.idsFrom(key)
  if (found.length === 1) return board.get(found[0]!)!
  if (found.length === 0) {
    throw new MeshError('not_found', `there is no task ${key}`, { hint: 'mesh task list all shows them' })
  }
  throw new MeshError('bad_request', `${key} fits ${found.length} tasks`, { hint: 'give more of the id' })
}

/** Returns the id of a known message or run, given whole or by prefix, or a run's by its name. */
async function linkOf(session: TasksSession, key: string): Promise<string> {
  if (!key.startsWith('m_')) return (await findRun(session, key)).id
  const id = await fullId(session, key)
  await checkKnown(session, id)
  return id
}

async function runsOf(session: TasksSession, { links }: Task): Promise<Response<'task_show'>['runs']> {
  const found = await Promise.all(
    links.filter(isRunId).map((id) => session.link.store.runs.records.get(id).catch(() => null)),
  )
  return found.flatMap((entry) =>
    entry ? [{ id: entry.value.id, name: entry.value.name ?? null, state: entry.value.state }] : [],
  )
}

function noted(note: string | undefined): { note?: string } {
  return note === undefined ? {} : { note }
}

async function idsOf(session: TasksSession, keys: readonly string[]): Promise<string[]> {
  return Promise.all(keys.map(async (key) => (await named(session, key)).task.id))
}

function rowOf(board: Board, { task, revision }: Kept): Response<'task_list'>[number] {
  const { id, title, after, priority, labels, claim } = task
  const state = shownState(task, board.find)
  return {
    id,
    rev: revision,
    title,
    state,
    owner: claim?.holder.name ?? null,
    for: task.for ?? null,
    after,
    priority,
    labels,
    waitsFor: isOver(task) ? [] : waitsFor(task, board.find),
    changedAt: task.change.at,
  }
}

function detailOf(board: Board, kept: Kept): Response<'task_claim'> {
  const { task } = kept
  const { body = null, links, result = null, fence, claim, createdAt, createdBy } = task
  return {
    ...rowOf(board, kept),
    body,
    links,
    result,
    fence,
    createdAt,
    claim: claim
      ? { ...claim, holder: claim.holder.name, deadline: claim.deadline ?? null, because: claim.because ?? null }
      : null,
    createdBy: createdBy.name,
  }
}
