/** Waits for runs to end or to reach an earlier state. */
import type { ShownEvent } from '../../api/run-ops.schema.ts'
import { isTerminal } from '../../core/runs/run.ts'
import { MeshError } from '../../errors.ts'
import { isAway, untilFound } from '../../link/until.ts'
import type { RunStore } from '../../nats/run-store.ts'
import type { EventType } from '../../wire/run.schema.ts'
import type { Call } from '../socket/call.ts'
import { findChildren } from './find.ts'
import type { RunsSession } from './runs.ts'
import { showEvent } from './show.ts'

export type RunUntil = 'end' | 'idle' | 'progress'

/** A call that waits looks this often, in case the connection that it follows is gone. */
export const LOOK_MS = 2000

interface ChildrenWait {
  names: readonly string[]
  until: RunUntil
  /** Waits for every child instead of the first. */
  all: boolean
  signal: AbortSignal
}

/**
 * Waits for sessions that this one spawned by their runs, which say how they ended also when they are long over. Returns
 * null if one of the names is of another session. Survives an engine restart. Throws `timeout`.
 */
export async function waitForChildren(
  session: RunsSession,
  { names, until, all, signal }: ChildrenWait,
  call: Call,
): Promise<ShownEvent[] | null> {
  const ids = await childIds(session, names, signal)
  if (ids === null) return null
  return answering(session, ids, until, call, () => waitForRuns(session, ids, until, all, signal))
}

async function childIds(session: RunsSession, names: readonly string[], signal: AbortSignal): Promise<string[] | null> {
  while (!signal.aborted) {
    try {
      return await findChildren(session, names)
    } catch (error) {
      if (!isAway(error)) throw error
      await session.link.whenUp(LOOK_MS)
    }
  }
  return null
}

/** While a call waits on these runs, their news goes to that call and not to the mailbox. */
export async function answering(
  session: RunsSession,
  ids: readonly string[],
  until: RunUntil,
  call: Call,
  work: () => Promise<ShownEvent[]>,
): Promise<ShownEvent[]> {
  const over = session.runs.mail.await(ids, ({ type }) => fits(type, until))
  try {
    const returned = await work()
    const events = returned.map(({ runId, seq, type }) => ({ run: runId, id: `${runId}.${seq}`, type }))
    call.onAnswered((delivered) => over(delivered ? events : []))
    return returned
  } catch (error) {
    over([])
    throw error
  }
}

/**
 * Resolves when one (or `all`) of the runs reaches the awaited state. Always looks once. Survives an engine restart.
 * Throws `timeout`.
 */
export async function waitForRuns(
  session: RunsSession,
  ids: readonly string[],
  until: RunUntil,
  all: boolean,
  signal: AbortSignal,
): Promise<ShownEvent[]> {
  const runs = ids.map((id) => new Awaited(session, id, until))
  const phase = until === 'end' ? ({ phase: 'end' } as const) : {}
  const scope = ids.length === 1 ? { run: ids[0]!, ...phase } : phase
  do {
    try {
      const store = session.link.store.runs
      const look = async () => {
        const events = (await Promise.all(runs.map((run) => run.look(store)))).filter((event) => event !== null)
        return (all ? events.length === ids.length : events.length > 0) ? events : null
      }
      const subscribe = (changed: () => void) => store.follow(scope, changed)
      const events = await untilFound(look, { subscribe, signal, pollMs: LOOK_MS })
      if (events) return events
    } catch (error) {
      if (!isAway(error)) throw error
      await session.link.whenUp(LOOK_MS)
    }
  } while (!signal.aborted)
  throw new MeshError('timeout', `${ids.join(', ')}: ${until === 'end' ? 'no end' : 'nothing happened'} in time`, {
    hint: 'it goes on; mesh ps --runs shows its state',
  })
}

/** A run as far as the caller has seen it. */
class Awaited {
  readonly #session: RunsSession
  readonly #id: string
  readonly #until: RunUntil
  #next = 1
  #isRead = false
  #last: ShownEvent | null = null
  #found: ShownEvent | null = null

  constructor(session: RunsSession, id: string, until: RunUntil) {
    this.#session = session
    this.#id = id
    this.#until = until
  }

  /** Returns the event that the caller waits for; null while there is none. */
  async look(store: RunStore): Promise<ShownEvent | null> {
    if (this.#until === 'end') {
      const end = await store.end(this.#id)
      return end && showEvent(this.#session, end)
    }
    const stored = await store.read({ run: this.#id }, this.#next)
    const events = stored.flatMap((one) => showEvent(this.#session, one) ?? [])
    this.#next = (stored.at(-1)?.seq ?? this.#next - 1) + 1
    this.#last = events.at(-1) ?? this.#last
    // Only later events count as progress. For idle and for the end, the present state counts too.
    if (this.#isRead && this.#until === 'progress') this.#found ??= events[0] ?? null
    this.#isRead = true
    const isSo =
      this.#last && (isTerminal(this.#last.type) || (this.#until === 'idle' && this.#last.type === 'run_idle'))
    return this.#found ?? (isSo ? this.#last : null)
  }
}

function fits(type: EventType, until: RunUntil): boolean {
  return isTerminal(type) || until === 'progress' || (until === 'idle' && type === 'run_idle')
}
