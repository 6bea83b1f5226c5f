/** Judges who is alive, from records, heartbeats and their ages. Knows neither clock nor network. Pure. */
import type { Session, ShownStatus } from '../../api/ops.schema.ts'
import type { NameRecord, Presence } from '../../wire/envelope.schema.ts'
import { times } from '../../wire/limits.ts'

/** Own ticks further apart than this many heartbeats: we slept, not the peers. */
const GAP_HEARTBEATS = 2
/** Fewer lost peers than this say nothing about ourselves. */
const SUSPECT_AT_LEAST = 3

export interface Sighting {
  record: NameRecord
  presence: Presence | null
  /** Age of the heartbeat, by the engine's clock against one's own latest beat; null if unknown. */
  presenceAgeMs: number | null
  /** Age of the record's last change by the same clock: a name just claimed has no heartbeat yet. */
  recordAgeMs?: number | null
}

/**
 * The status to show for a session. Only a witness's word in the record makes it `gone`; silence makes it
 * `unreachable` and `lost` (times.unreachable, times.lost). During an amnesty silence means nothing.
 */
export function judge(sighting: Sighting, options: { amnesty: boolean }): ShownStatus {
  const { record, presenceAgeMs } = sighting
  if (record.state === 'gone') return 'gone'
  const presence = currentPresence(sighting)
  if (!presence) return judgeSilent(sighting, options.amnesty)
  if (options.amnesty || presenceAgeMs === null) return presence.status
  if (presenceAgeMs > times.lost) return 'lost'
  return presenceAgeMs > times.unreachable ? 'unreachable' : presence.status
}

function judgeSilent({ record, recordAgeMs }: Sighting, amnesty: boolean): ShownStatus {
  if (record.state === 'lost') return 'lost'
  const isNew = typeof recordAgeMs === 'number' && recordAgeMs <= times.unreachable
  return amnesty || isNew ? 'starting' : 'lost'
}

/** The heartbeat, unless it is a former holder's. */
function currentPresence({ record, presence }: Sighting): Presence | null {
  return presence && presence.epoch >= record.epoch ? presence : null
}

/**
 * Says when no peer is judged: for times.amnesty after a reconnect or a new presence bucket (`begin`) and after a gap
 * in one's own ticks (a laptop's sleep, a SIGSTOP). All times in milliseconds of the wall clock: the monotonic clock
 * stands still while the machine sleeps, so it would not show the gap.
 */
export class Amnesty {
  #until = Number.NEGATIVE_INFINITY
  #lastTick: number | null = null

  /** Begins an amnesty: after a reconnect, or when the presence bucket was made again. */
  begin(now: number): void {
    this.#until = now + times.amnesty
  }

  /** Notes that the own heartbeat was due. */
  tick(now: number): void {
    this.#noticeGap(now)
    this.#lastTick = now
  }

  /** Returns true while no peer may be judged; right also before the first tick after a sleep. */
  active(now: number): boolean {
    this.#noticeGap(now)
    // A clock set back must not stretch the amnesty.
    return now < this.#until && this.#until - now <= times.amnesty
  }

  #noticeGap(now: number): void {
    if (this.#lastTick === null) return
    const gap = now - this.#lastTick
    if (gap >= 0 && gap <= GAP_HEARTBEATS * times.heartbeat) return
    this.begin(now)
    this.#lastTick = now
  }
}

/**
 * True when so many peers fell silent at once that the fault is rather ours: three or more and over half are `lost`.
 * Pass only sessions whose record is owned: one that was recorded as lost earlier says nothing about now.
 */
export function suspectSelf(statuses: readonly ShownStatus[]): boolean {
  const present = statuses.filter((status) => status !== 'gone')
  const lost = present.filter((status) => status === 'lost').length
  return lost >= SUSPECT_AT_LEAST && lost * 2 > present.length
}

/** A session as `mesh ps` shows it. A session that is lost or gone has no door; its mail waits. */
export function toSession(sighting: Sighting, status: ShownStatus): Session {
  const { record } = sighting
  const presence = currentPresence(sighting)
  const open = status === 'lost' || status === 'gone' ? null : presence
  const doors = open?.doors ?? []
  return {
    name: record.name,
    status,
    ...stateOf(record, open, status),
    harness: record.harness,
    host: record.process.host,
    pid: record.process.pid,
    cwd: record.cwd,
    lastActivityAt: status === 'gone' && record.endedAt ? record.endedAt : lastActivity(record, presence),
    wake: doors.map((door) => door.name),
    doors: [...doors, ...(open?.shut ?? []).map((name) => ({ name, state: 'none' as const }))],
    unread: status === 'lost' || status === 'gone' ? null : (presence?.unread ?? 0),
    title: presence?.title ?? null,
    ...(open?.speaks === false ? { speaks: false } : {}),
    ...(presence?.budget ? { budget: presence.budget } : {}),
    ...(open?.inbound ? { inbound: open.inbound, held: open.held ?? 0 } : {}),
    epoch: record.epoch,
    ...ending(record, status),
    ...(presence ? { version: presence.version } : {}),
  }
}

/** What it does or waits for, and since when. Of one that is silent only the silence is known. */
function stateOf(record: NameRecord, presence: Presence | null, status: ShownStatus): Pick<Session, 'cause' | 'since'> {
  if (status === 'lost' || status === 'gone') return { cause: null, since: record.endedAt ?? null }
  if (status === 'unreachable' || !presence) return { cause: null, since: null }
  const { cause, since } = presence
  return { cause: cause ?? null, since: cause?.since ?? since ?? null }
}

/** The later of what heartbeat and record say; the beginning of time for a record that says nothing. */
function lastActivity(record: NameRecord, presence: Presence | null): string {
  const known = [presence?.lastActivityAt, record.lastActivityAt].filter((at) => at !== undefined)
  return known.sort().at(-1) ?? record.endedAt ?? new Date(0).toISOString()
}

function ending(record: NameRecord, status: ShownStatus): Pick<Session, 'endedAt' | 'reason'> {
  if (status !== 'lost' && status !== 'gone') return {}
  const { endedAt, reason } = record
  return { ...(endedAt === undefined ? {} : { endedAt }), ...(reason === undefined ? {} : { reason }) }
}
