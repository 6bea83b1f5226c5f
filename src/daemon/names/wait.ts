/** Waits for sessions to become idle or to end. */
import type { Session as Peer, Response } from '../../api/ops.schema.ts'
import { MeshError } from '../../errors.ts'
import { isAway, untilFound } from '../../link/until.ts'
import type { ProjectStore } from '../../nats/project-store.ts'
import { causeWords, toldStatus } from '../../wire/cause.ts'
import { quote } from '../../wire/names.ts'
import type { Session } from '../session.ts'

type SessionEvent = Extract<Response<'wait'>['results'][number], { type: string }>

/** Time between looks without a change, which also find what only time shows (`lost`). */
const LOOK_MS = 5000
/** Gathers the frequent status changes of a busy session into one look. */
const GATHER_MS = 20

interface SessionWait {
  names: readonly string[]
  until: 'idle' | 'end'
  /** Waits for every session instead of the first. */
  all: boolean
  signal: AbortSignal
}

/**
 * Resolves when one (or `all`) of the sessions is idle, over or lost. Survives an engine restart. Throws `not_found`,
 * `timeout`.
 */
export async function waitForSessions(session: Session, wait: SessionWait): Promise<SessionEvent[]> {
  const { names, signal } = wait
  let { store } = session.link
  do {
    try {
      const events = await watchSessions(session, store, wait)
      if (events) return events
    } catch (error) {
      if (!isAway(error)) throw error
      while (!signal.aborted && !session.link.up) await session.link.whenUp(LOOK_MS)
      if (session.link.up) store = session.link.store
    }
  } while (!signal.aborted)
  throw new MeshError('timeout', `${names.join(', ')}: nothing happened in time`, { hint: 'mesh ps shows their state' })
}

/** Returns null when the signal aborts first. Throws when the connection is lost. */
function watchSessions(session: Session, store: ProjectStore, wait: SessionWait): Promise<SessionEvent[] | null> {
  const { names, until, all, signal } = wait
  const look = async () => {
    const sessions = await session.sessions()
    const events = names.map((name) => eventOf(find(sessions, name), until)).filter((event) => event !== null)
    return (all ? events.length === names.length : events.length > 0) ? events : null
  }
  const subscribe = async (changed: () => void) => {
    const watches = names.flatMap((name) => [store.names.watch(name, changed), store.presence.watch(name, changed)])
    const stops = [...(await Promise.all(watches)), session.link.onDown(changed)]
    return () => {
      for (const stop of stops) stop()
    }
  }
  return untilFound(look, { subscribe, signal, pollMs: LOOK_MS, gatherMs: GATHER_MS })
}

function find(sessions: readonly Peer[], name: string): Peer {
  const session = sessions.find((one) => one.name === name)
  if (!session) throw new MeshError('not_found', `there is no session ${quote(name)}`)
  return session
}

function eventOf(session: Peer, until: 'idle' | 'end'): SessionEvent | null {
  const { name, status, reason, cause, endedAt, lastActivityAt } = session
  const why = reason === undefined ? {} : { reason }
  if (status === 'gone') return { type: 'session_ended', name, status, at: endedAt ?? lastActivityAt, ...why }
  // Silent for long: it may not have ended, but there is nothing to wait for.
  if (status === 'lost') return { type: 'session_lost', name, status, at: endedAt ?? lastActivityAt, ...why }
  // At its prompt it is also after a turn that failed.
  const failed = cause?.kind === 'error' ? { reason: causeWords(cause) } : {}
  if (until === 'idle' && status === 'idle')
    return { type: 'session_idle', name, status: toldStatus(status, cause), at: lastActivityAt, ...failed }
  return null
}
