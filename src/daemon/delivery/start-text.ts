/** Builds the text for a session's model at the start of a conversation. */
import type { Session } from '../../api/ops.schema.ts'
import { renderStart } from '../../core/names/render-start.ts'
import type { Claimed } from '../names/registry.ts'

interface Start {
  name: string
  project: string
  sessions: readonly Session[]
  unread: number
  /** A line about held messages; empty without any. */
  held: string
  claimed: Claimed
  /** The name that the session asked for. */
  desired: string
  /** Number of keys in its state document, and its obligations. */
  kept: number
  /** The model already knows how the session came to its name. */
  goesOn: boolean
  startedBy: string | null
  isShutIn: boolean
  alike: string | null
  former: string | null
}

export function startText({
  name,
  project,
  sessions,
  unread,
  held,
  claimed,
  desired,
  goesOn,
  kept,
  startedBy,
  isShutIn,
  alike,
  former,
}: Start): string {
  const { outcome, previous, twin, heir } = claimed
  return renderStart({
    name,
    project,
    peers: sessions.filter((peer) => peer.name !== name && peer.status !== 'gone'),
    unread,
    held,
    isBack: outcome === 'resumed' && !goesOn,
    takenOver: outcome === 'taken_over' && !goesOn ? { session: previous?.session ?? '', unread, kept } : null,
    renamedFrom: outcome === 'suffixed' ? desired : null,
    twin: twin?.name ?? null,
    heir: heir?.name ?? null,
    startedBy,
    isShutIn,
    alike,
    former,
  })
}
