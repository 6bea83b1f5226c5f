/** Decides when the lease on a task expires, from the facts about its holder. Pure. */
import { limits, times } from '../../wire/limits.ts'
import type { Task } from '../../wire/task.schema.ts'
import { isOver, type Move } from './board.ts'

/** The time that leases outlive their holder, milliseconds: once it was seen to end, and once it is silent. */
export interface Grace {
  gone: number
  lost: number
}

export interface HolderFacts {
  /** State in the names record; `absent` when there is none of that name, `resting` for a person who left the shell. */
  state: 'held' | 'resting' | 'lost' | 'gone' | 'absent'
  /** When the holder ended or was found lost, ISO. */
  at?: string
  reason?: string
}

/** Returns the move that a session makes which looks at a lease, given the facts about its holder. Null: none. */
export function judgeClaim(task: Task, facts: HolderFacts, now: number, grace: Grace): Move | null {
  const { claim } = task
  if (!claim || isOver(task)) return null
  if (facts.state === 'held') return claim.deadline ? { do: 'keep' } : null
  const deadline = claim.deadline === undefined ? Number.POSITIVE_INFINITY : Date.parse(claim.deadline)
  if (now >= deadline) return { do: 'fall' }
  const since = facts.at ? Date.parse(facts.at) : now
  const ms = facts.state === 'resting' ? times.claimResting : facts.state === 'lost' ? grace.lost : grace.gone
  // Lost at first, and now a witness saw it end: sooner than was thought.
  if (since + ms >= deadline) return null
  const reason = facts.reason ? ` (${facts.reason})` : ''
  const because = `${claim.holder.name} is ${facts.state === 'lost' ? 'lost' : 'gone'}${reason}`
  return { do: 'expire', at: new Date(since + ms).toISOString(), because: because.slice(0, limits.taskReason) }
}
