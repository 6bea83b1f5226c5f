/** Heartbeats of this session, and the state of the others as this sidecar sees them. */
import type { Session } from '../../api/ops.schema.ts'
import { Amnesty, judge, type Sighting, suspectSelf, toSession } from '../../core/names/peers.ts'
import type { Logger } from '../../host/log.ts'
import type { ProjectStore } from '../../nats/project-store.ts'
import type { NameRecord, Presence } from '../../wire/envelope.schema.ts'
import { times } from '../../wire/limits.ts'
import { sessionEnd } from '../../wire/session-end.ts'

/** Changes within this long go out in one heartbeat. */
const GATHER_MS = 20

interface PresenceOptions {
  log: Logger
  /** The heartbeat as of now; null while no name is held. */
  current(): Omit<Presence, 'v' | 'kind'> | null
  /** After each regular heartbeat: the time to check one's own name. */
  onBeat(): void
}

export class PresenceKeeper {
  readonly #options: PresenceOptions
  readonly #amnesty = new Amnesty()
  #store: ProjectStore | null = null
  #timer: NodeJS.Timeout | null = null
  #soon: NodeJS.Timeout | null = null
  #beatAt = 0

  constructor(options: PresenceOptions) {
    this.#options = options
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

  /** Something that the heartbeat tells changed. */
  changed(): void {
    this.#soon ??= setTimeout(() => {
      this.#soon = null
      void this.beat()
    }, GATHER_MS)
  }

  /** Writes the heartbeat now. */
  async beat(): Promise<void> {
    const current = this.#options.current()
    if (!current || !this.#store) return
    try {
      await this.#store.presence.put(current.name, { v: 1, kind: 'presence', ...current })
      this.#beatAt = Date.now()
    } catch (error) {
      this.#options.log.debug({ error }, 'heartbeat not written')
    }
  }

  #tick(): void {
    this.#amnesty.tick(Date.now())
    void this.beat()
    this.#options.onBeat()
  }

  /** Every session of the project, judged by the engine's times against one's own latest heartbeat. */
  async sessions(store: ProjectStore): Promise<Session[]> {
    const own = this.#options.current()
    const [names, beats] = await Promise.all([store.names.all(), store.presence.all()])
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

  #judgeAll(store: ProjectStore, sightings: Sighting[]): Session[] {
    const amnesty = this.#amnesty.active(Date.now())
    const judged = sightings.map((sighting) => ({ sighting, status: judge(sighting, { amnesty }) }))
    const doubt = suspectSelf(
      judged.filter(({ sighting }) => sighting.record.state === 'held').map(({ status }) => status),
    )
    return judged.map(({ sighting, status }) => {
      if (status === 'lost' && !doubt) this.#recordLost(store, sighting.record)
      return toSession(sighting, status)
    })
  }

  /** `lost` lives in the names record: the heartbeat's bucket forgets. Whoever looks first writes it. */
  #recordLost(store: ProjectStore, record: NameRecord): void {
    if (record.state !== 'held') return
    const { code: reasonCode, reason } = sessionEnd('silent')
    const lost: NameRecord = { ...record, state: 'lost', endedAt: new Date().toISOString(), reason, reasonCode }
    store.names
      .get(record.name)
      .then((current) => {
        const same = current && current.value.epoch === record.epoch && current.value.state === 'held'
        return same ? store.names.update(record.name, lost, current.revision) : null
      })
      .catch((error) => this.#options.log.debug({ error }, 'lost not recorded'))
  }
}
