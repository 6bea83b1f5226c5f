/**
 * The shared task board: which moves are legal, what waits for what, whose lease expires. Takes a task and a move,
 * returns the task's next revision. Who is first is decided by compare-and-set on it. Pure.
 */
import { MeshError } from '../../errors.ts'
import { limits } from '../../wire/limits.ts'
import type { Actor, Claim, Task } from '../../wire/task.schema.ts'
import { checkDependencies, type Find, waitsFor } from './dependencies.ts'

export type ShownState = Task['state'] | 'blocked'

export type Move =
  /** `anew`: not a task that the caller has already. */
  | { do: 'claim'; anew?: boolean }
  | { do: 'release'; text?: string }
  /** A task id, or words. */
  | { do: 'block'; on: string }
  /** Without `on`: of all that it was blocked on by words. */
  | { do: 'unblock'; on?: string }
  | { do: 'done'; result?: string }
  | { do: 'fail'; result?: string }
  | { do: 'cancel'; text?: string }
  | {
      do: 'edit'
      title?: string
      body?: string
      priority?: number
      labels?: string[]
      for?: string | null
      after?: string[]
    }
  | { do: 'comment'; text: string }
  | { do: 'link'; to: string }
  /** The lease goes over to another name: after a rename. */
  | { do: 'pass'; to: Actor }
  /** The holder is gone or lost: its lease expires at `at`, unless it is back by then. */
  | { do: 'expire'; at: string; because: string }
  /** The holder is back in time. */
  | { do: 'keep' }
  | { do: 'fall' }

export interface Step {
  move: Move
  by: Actor
  /** By the clock of the session that makes the move. */
  at: string
  /** Made by the caller, so that the same step twice is one. */
  op: string
}

const OVER: ReadonlySet<ShownState> = new Set(['done', 'failed', 'cancelled'])

export function isOver({ state }: Task): boolean {
  return OVER.has(state)
}

export function shownState(task: Task, find: Find): ShownState {
  if (isOver(task)) return task.state
  return waitsFor(task, find).length > 0 ? 'blocked' : task.state
}

/** Returns true if this very change is in the task already. */
export function isApplied(task: Task, op: string): boolean {
  return task.change.op === op || task.recent.includes(op)
}

/** Returns the task after the step. Throws `conflict` with the session in the way and the command to type, `bad_request`. */
export function apply(task: Task, step: Step, find: Find): Task {
  if (isApplied(task, step.op)) return task
  const next = moved(task, step, find)
  const { move, by, at, op } = step
  if (move.do === 'claim' && next === task) return task
  const text = 'text' in move ? move.text : 'result' in move ? move.result : undefined
  return {
    ...next,
    change: { op, at, by, what: WORDS[move.do], ...(text === undefined ? {} : { text }) },
    recent: [...task.recent, task.change.op].slice(-limits.taskRecent),
  }
}

const WORDS: Record<Move['do'], string> = {
  claim: 'claimed',
  release: 'released',
  block: 'blocked',
  unblock: 'unblocked',
  done: 'done',
  fail: 'failed',
  cancel: 'cancelled',
  edit: 'edited',
  comment: 'commented',
  link: 'linked',
  pass: 'passed-on',
  expire: 'deadline-set',
  keep: 'deadline-lifted',
  fall: 'claim-fell',
}

function moved(task: Task, { move, by, at }: Step, find: Find): Task {
  switch (move.do) {
    case 'comment':
      return task
    case 'link':
      return { ...task, links: added(task.links, move.to, 'links') }
    case 'claim':
      if (move.anew && task.claim) throw takenBy(task, 'mesh task claim --next gives you another one')
      return claimed(task, by, at, find)
    case 'pass':
      checkHolder(task, by, 'pass')
      return { ...task, claim: { ...task.claim!, holder: move.to } }
    case 'release':
      checkHolder(task, by, 'release')
      return unclaimed(task, 'open')
    case 'done':
    case 'fail':
      working(task, by)
      return { ...unclaimed(task, move.do === 'done' ? 'done' : 'failed'), ...result(move.result) }
    case 'cancel':
      if (task.claim && !isHolder(by, task.claim) && !isSame(by, task.createdBy)) {
        throw takenBy(task, `ask ${task.claim.holder.name}, or ${task.createdBy.name}, who added it`)
      }
      return unclaimed(alive(task), 'cancelled')
    case 'block':
      return blocked(alive(task), move.on, find)
    case 'unblock':
      return unblocked(alive(task), move.on)
    case 'edit':
      return edited(alive(task), move, find)
    case 'expire':
      if (!task.claim) throw conflict(`${task.id} is not claimed`)
      return { ...task, claim: { ...task.claim, deadline: move.at, because: move.because } }
    case 'keep': {
      if (!task.claim) throw conflict(`${task.id} is not claimed`)
      const { deadline: _, because: __, ...claim } = task.claim
      return { ...task, claim }
    }
    case 'fall':
      return fallen(task, at)
  }
}

function claimed(task: Task, by: Actor, at: string, find: Find): Task {
  alive(task)
  if (task.claim && !isHolder(by, task.claim)) throw takenBy(task, `mesh task claim --next gives you another one`)
  const waits = waitsFor(task, find)
  if (waits.length > 0) throw waiting(task, waits, find)
  // A holder that is back in time gets a new fence; one that never was away keeps its own.
  if (task.claim && !task.claim.deadline) return task
  const fence = task.fence + 1
  return { ...task, state: 'claimed', fence, claim: { holder: by, since: at, fence } }
}

/** Expires the lease: any session may claim the task, and the former holder is refused. */
function fallen(task: Task, at: string): Task {
  const { claim } = task
  if (!claim?.deadline) throw conflict(`no claim of ${task.id} falls`)
  if (at < claim.deadline) throw conflict(`the claim of ${task.id} stands until ${claim.deadline}`)
  const { holder, fence, because = 'no reason known' } = claim
  return { ...unclaimed(task, 'open'), fallen: { holder, fence, at, because } }
}

function unclaimed(task: Task, state: Task['state']): Task {
  const { claim: _, ...rest } = task
  return { ...rest, state }
}

function result(text: string | undefined): Partial<Task> {
  return text === undefined ? {} : { result: text }
}

/** Leases follow the name: over a resume, to a successor. A session from before the lease that comes back late has none. */
export function isHolder(by: Actor, { holder }: Pick<Claim, 'holder'>): boolean {
  return isSame(by, holder) && by.epoch >= holder.epoch
}

function isSame(a: Actor, b: Actor): boolean {
  return a.member === b.member && a.name === b.name
}

function alive(task: Task): Task {
  if (!isOver(task)) return task
  throw conflict(`${task.id} is ${task.state} already`, `mesh task show ${task.id}`)
}

/** Names what the task waits for; what will not be done by itself comes with the command that goes on without it. */
function waiting({ id }: Task, waits: readonly string[], find: Find): MeshError {
  const states = waits.map((on) => [on, find(on)?.state] as const)
  const shown = states.map(([on, state]) => (state === undefined || state === 'open' ? on : `${on} (${state})`))
  const dead = states.find(([, state]) => state === 'failed' || state === 'cancelled')
  const hint = dead
    ? `mesh task unblock ${id} --on ${dead[0]} goes on without it`
    : 'mesh task claim --next gives another one'
  return conflict(`${id} waits for ${shown.join(', ')}`, hint)
}

/** Throws unless the session may finish it: its holder, or any while it has none, but for one whose lease expired. */
function working(task: Task, by: Actor): void {
  alive(task)
  if (task.claim) checkHolder(task, by, 'finish')
  else if (isFallen(task, by)) throw lateHolder(task)
}

function checkHolder(task: Task, by: Actor, what: string): void {
  alive(task)
  if (task.claim && isHolder(by, task.claim)) return
  if (isFallen(task, by)) throw lateHolder(task)
  if (task.claim) throw takenBy(task, `only ${task.claim.holder.name} can ${what} it`)
  throw conflict(`${task.id} is not claimed`, `mesh task claim ${task.id}`)
}

/** True for the session whose lease expired last. */
function isFallen({ fallen }: Task, by: Actor): boolean {
  return fallen !== undefined && isSame(by, fallen.holder)
}

function conflict(message: string, hint?: string): MeshError {
  return new MeshError('conflict', message, hint === undefined ? {} : { hint })
}

function takenBy(task: Task, hint: string): MeshError {
  const { holder, since, deadline, because } = task.claim!
  const falls = deadline === undefined ? '' : `; the claim falls at ${deadline} (${because ?? 'no reason known'})`
  return conflict(`${task.id} is held by ${holder.name} since ${since}${falls}`, hint)
}

function lateHolder(task: Task): MeshError {
  const { at, because } = task.fallen!
  const now = task.claim ? `and ${task.claim.holder.name} holds it now` : 'and nobody holds it now'
  const hint = task.claim ? `mesh task show ${task.id}` : `mesh task claim ${task.id} takes it again`
  return conflict(`your claim of ${task.id} fell at ${at} (${because}), ${now}`, hint)
}

function blocked(task: Task, on: string, find: Find): Task {
  if (!on.startsWith('t_')) return { ...task, blockedOn: added(task.blockedOn, on, 'blocks') }
  const after = added(task.after, on, 'dependencies')
  checkDependencies({ ...task, after }, find)
  return { ...task, after }
}

function unblocked(task: Task, on: string | undefined): Task {
  if (on === undefined) {
    if (task.blockedOn.length === 0) throw conflict(`${task.id} is blocked on no words`, 'name the task: --on ID')
    return { ...task, blockedOn: [] }
  }
  const key = on.startsWith('t_') ? 'after' : 'blockedOn'
  if (!task[key].includes(on)) throw conflict(`${task.id} is not blocked on ${on}`, `mesh task show ${task.id}`)
  return { ...task, [key]: task[key].filter((one) => one !== on) }
}

function edited(task: Task, move: Move & { do: 'edit' }, find: Find): Task {
  const { do: _, for: whom, ...fields } = move
  const known = Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
  const { for: before, ...rest } = { ...task, ...known }
  const target = whom === undefined ? before : (whom ?? undefined)
  const next = target === undefined ? rest : { ...rest, for: target }
  if (move.after) checkDependencies(next, find)
  return next
}

function added<T>(list: readonly T[], one: T, what: string): T[] {
  if (list.includes(one)) return [...list]
  if (list.length >= limits.taskLinks)
    throw new MeshError('too_large', `a task has at most ${limits.taskLinks} ${what}`)
  return [...list, one]
}
