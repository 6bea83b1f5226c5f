/** Publishes heartbeats of this session, and judges the state of the others. */
import type { Session as Peer } from '../../api/ops.schema.ts'
import { isOwned } from '../../core/names/kinds.ts'
import { Amnesty, judge, type Sighting, suspectSelf, toSession } from '../../core/names/peers.ts'
import type { ProjectStore } from '../../nats/project-store.ts'
import type { NameRecord, PairState, Presence } from '../../wire/envelope.schema.ts'
import { times } from '../../wire/limits.ts'
import { sessionEnd } from '../../wire/session-end.ts'
import type { Session } from '../session.ts'
import type { Doing } from './doing.ts'

/** Gathers changes within this long into one heartbeat. */
const GATHER_MS = 20

/** A session with what its heartbeat shows. */
interface BeatingSession extends Session {
  readonly isEnding: boolean
  readonly lastActivityAt: string
  readonly version: string
  readonly unread: number
  readonly courier: Pick<Presence, 'status' | 'since' | 'doors'> & { readonly shut: string[] }
  readonly doing: Pick<Doing, 'cause'>
  readonly loops: { pairs(): PairState[] }
  readonly inbound: { shown(): Pick<Presence, 'inbound' | 'held'> }
  /** Checks whether this session still owns its name. */
  checkName(): Promise<void>
}

export class PresenceKeeper {
  readonly #session: BeatingSession
  readonly #amnesty = new Amnesty()
  #store: ProjectStore | null = null
  #timer: NodeJS.Timeout | null = null
  #soon: NodeJS.Timeout | null = null
  #beatAt = 0

  constructor(session: BeatingSession) {
    this.#session = session
  }

  attach(store: ProjectStore): void {
    this.detach()
    this.#store = store
    this.#amnesty.begin(Date.now())
    this.changed()
    // Jitter: sessions that started together do not beat together.
    this.#timer = setInterval(() => this.#tick(), times.heartbeat * (0.9 + Math.random() * 0.1))
  }

  detach(): void {
    if (this.#timer) clearInterval(this.#timer)
    if (this.#soon) clearTimeout(this.#soon)
    this.#timer = null
    this.#soon = null
    this.#store = null
  }

  /** Schedules a heartbeat after a change of what it shows. */
  changed(): void {
    this.#soon ??= setTimeout(() => {
      this.#soon = null
      void this.beat()
    }, GATHER_MS)
  }

  /** Returns the current heartbeat; null without a name. */
  #current(): Omit<Presence, 'v' | 'kind'> | null {
    const { isNamed, isEnding, courier, doing, loops, inbound, lastActivityAt, unread, version, harness } =
      this.#session
    if (!isNamed || isEnding) return null
    const { name, epoch } = this.#session.record
    const { status, since, doors, shut } = courier
    const { cause } = doing
    const pairs = loops.pairs()
    const title = harness.title?.()
    const further = {
      ...(shut.length > 0 ? { shut } : {}),
      ...(pairs.length > 0 ? { budget: pairs } : {}),
      ...(title ? { title } : {}),
      ...(harness.voice?.() === 'none' ? { speaks: false } : {}),
      ...inbound.shown(),
    }
    const state = { status, ...(since ? { since } : {}), ...(cause ? { cause } : {}) }
    return { name, epoch, ...state, lastActivityAt, doors, unread, version, ...further }
  }

  /** Writes the heartbeat now. */
  async beat(): Promise<void> {
    const current = this.#current()
    if (!current || !this.#store) return
    try {
      await this.#store.presence.put(current.name, { v: 1, kind: 'presence', ...current })
      this.#beatAt = Date.now()
    } catch (error) {
      this.#session.log.debug({ error }, 'heartbeat not written')
    }
  }

  #tick(): void {
    this.#amnesty.tick(Date.now())
    void this.beat()
    void this.#session.checkName()
  }

  /** Returns every session of the project, judged by the engine's times against this session's latest heartbeat. */
  async sessions(store: ProjectStore): Promise<Peer[]> {
    const own = this.#current()
    const [names, beats] = await Promise.all([this.#session.names(), store.presence.all()])
    const byName = new Map(beats.map((entry) => [entry.key, entry]))
    const mine = own ? byName.get(own.name) : undefined
    const ageOf = (writtenAt: number) =>
      mine ? Math.max(0, mine.writtenAt + Math.max(0, Date.now() - this.#beatAt) - writtenAt) : null
    const sightings = names.map(({ value: record, writtenAt }): Sighting => {
      if (own?.name === record.name) return { record, presence: { v: 1, kind: 'presence', ...own }, presenceAgeMs: 0 }
      const beat = byName.get(record.name)
      const presenceAgeMs = beat ? ageOf(beat.writtenAt) : null
      return { record, presence: beat?.value ?? null, presenceAgeMs, recordAgeMs: ageOf(writtenAt) }
    })
    return this.#judgeAll(store, sightings)
  }

  #judgeAll(store: ProjectStore, sightings: Sighting[]): Peer[] {
    const amnesty = this.#amnesty.active(Date.now())
    const judged = sightings.map((sighting) => ({ sighting, status: judge(sighting, { amnesty }) }))
    const doubt = suspectSelf(judged.filter(({ sighting }) => isOwned(sighting.record)).map(({ status }) => status))
    return judged.map(({ sighting, status }) => {
      if (status === 'lost' && !doubt) this.#recordLost(store, sighting.record)
      return toSession(sighting, status)
    })
  }

  /**
   * Records a session as lost in the names record, since the heartbeat's bucket forgets. The first sidecar to look
   * writes it.
   */
  #recordLost(store: ProjectStore, record: NameRecord): void {
    if (!isOwned(record)) return
    const { code: reasonCode, reason } = sessionEnd('silent')
    const lost: NameRecord = { ...record, state: 'lost', endedAt: new Date().toISOString(), reason, reasonCode }
    store.names
      .get(record.name)
      .then((current) => {
        const same = current && current.value.epoch === record.epoch && isOwned(current.value)
        return same ? store.names.update(record.name, lost, current.revision) : null
      })
      .catch((error) => this.#session.log.debug({ error }, 'lost not recorded'))
  }
}
