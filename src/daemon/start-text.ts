/** What a session's model reads at the start of a conversation. */
import type { Session } from '../api/ops.schema.ts'
import { renderStart } from '../core/render.ts'
import type { Claimed } from './registry.ts'

interface Start {
  name: string
  project: string
  sessions: readonly Session[]
  unread: number
  claimed: Claimed
  /** The name that was asked for. */
  desired: string
}

export function startText({ name, project, sessions, unread, claimed, desired }: Start): string {
  return renderStart({
    name,
    project,
    peers: sessions.filter((peer) => peer.name !== name && peer.status !== 'gone'),
    unread,
    takenOver: claimed.outcome === 'taken_over' ? { session: claimed.previous?.session ?? '', unread } : null,
    renamedFrom: claimed.outcome === 'suffixed' ? desired : null,
  })
}
