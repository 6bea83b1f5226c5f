/** Waits for sessions to become idle or to end. */
import type { Session as Peer, Response } from '../../api/ops.schema.ts'
import { MeshError } from '../../errors.ts'
import type { ProjectStore } from '../../nats/project-store.ts'
import { quote } from '../../wire/names.ts'
import type { Session } from '../session.ts'

type SessionEvent = Extract<Response<'wait'>['results'][number], { type: string }>

/** Between looks without a change: also catches what only time tells (`lost`). */
const LOOK_MS = 5000
/** A busy session's status changes often: looks are gathered. */
const GATHER_MS = 20

/** Resolves when one (or `all`) of the sessions is idle, over or lost. Outlives the engine. Throws `not_found`, `timeout`. */
export async function waitForSessions(
  session: Session,
  names: readonly string[],
  until: 'idle' | 'end',
  all: boolean,
  signal: AbortSignal,
): Promise<SessionEvent[]> {
  let store = session.link.store
  for (;;) {
    try {
      return await watchSessions(session, store, names, until, all, signal)
    } catch (error) {
      const isOver = signal.aborted || !['mesh_down', 'timeout'].includes(MeshError.from(error).code)
      if (isOver) throw error
    }
    while (!signal.aborted && !session.link.up) await session.link.whenUp(LOOK_MS)
    if (signal.aborted) throw late(names)
    store = session.link.store
  }
}

async function watchSessions(
  session: Session,
  store: ProjectStore,
  names: readonly string[],
  until: 'idle' | 'end',
  all: boolean,
  signal: AbortSignal,
): Promise<SessionEvent[]> {
  let wake = () => {}
  void session.link.whenDown().then(() => wake())
  signal.addEventListener('abort', () => wake(), { once: true })
  const stops = await Promise.all(
    names.flatMap((name) => [store.names.watch(name, () => wake()), store.presence.watch(name, () => wake())]),
  )
  try {
    for (;;) {
      const sessions = await session.sessions()
      const events = names.map((name) => eventOf(find(sessions, name), until)).filter((event) => event !== null)
      if (all ? events.length === names.length : events.length > 0) return events
      await new Promise<void>((resolve) => {
        wake = () => setTimeout(resolve, GATHER_MS)
        setTimeout(resolve, LOOK_MS)
      })
      if (signal.aborted) throw late(names)
    }
  } finally {
    for (const stop of stops) stop()
  }
}

function late(names: readonly string[]): MeshError {
  return new MeshError('timeout', `${names.join(', ')}: nothing happened in time`, {
    hint: 'mesh ps shows their state',
  })
}

function find(sessions: readonly Peer[], name: string): Peer {
  const session = sessions.find((one) => one.name === name)
  if (!session) throw new MeshError('not_found', `there is no session ${quote(name)}`)
  return session
}

function eventOf(session: Peer, until: 'idle' | 'end'): SessionEvent | null {
  const { name, status, reason, endedAt, lastActivityAt } = session
  const why = reason === undefined ? {} : { reason }
  if (status === 'gone') return { type: 'session_ended', name, status, at: endedAt ?? lastActivityAt, ...why }
  // Silent for long: whether it ended is not known, but there is nothing to wait for.
  if (status === 'lost') return { type: 'session_lost', name, status, at: endedAt ?? lastActivityAt, ...why }
  if (until === 'idle' && status === 'idle') return { type: 'session_idle', name, status, at: lastActivityAt }
  return null
}
