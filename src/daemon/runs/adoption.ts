/**
 * Adopts the runs of sessions that are over: each unfinished one below this session whose owner is gone becomes this
 * session's, if none nearer lives. By compare-and-set on the run's record, so that of several exactly one has it.
 */
import { isOwned } from '../../core/names/kinds.ts'
import { adopted, heirOf } from '../../core/runs/adoption.ts'
import { isOver } from '../../core/runs/run.ts'
import { MeshError } from '../../errors.ts'
import type { Entry } from '../../nats/bucket.ts'
import type { ProjectStore } from '../../nats/project-store.ts'
import type { NameRecord } from '../../wire/envelope.schema.ts'
import type { RunEvent, RunRecord } from '../../wire/run.schema.ts'
import type { Session } from '../session.ts'

/** After its start a session has better to do. */
const START_MS = 300
const SPREAD_MS = 5000
/** The end of a session's run may be published a moment before its name says so: looked at again so often ... */
const LOOKS = 20
const LOOK_MS = 500
/** ... and, while there are runs below this session, for those whose owner was lost without a word. */
const SELDOM_MS = 60_000
interface AdoptionOptions {
  session: Session
  /** A run is this session's now, or was made so by an earlier sidecar of it. */
  onAdopted(record: RunRecord): void
  /** A run of this session is another one's now. */
  onTaken(record: RunRecord): void
}

export class Adoption {
  readonly #options: AdoptionOptions
  #store: ProjectStore | null = null
  #timer: NodeJS.Timeout | null = null
  #running: Promise<void> | null = null
  /** The name under which everything was looked at. */
  #lookedAs: string | null = null
  /** There are runs below this session that go on. */
  #isAbove = false
  /** Runs above those that are looked at which ended long ago (null: they are not there any more). */
  readonly #ended = new Map<string, RunRecord | null>()
  /** Number of looks that come soon. */
  #looks = 0

  constructor(options: AdoptionOptions) {
    this.#options = options
  }

  /** `isNew`: no session had the name before, and no run is below it yet. */
  attach(store: ProjectStore, isNew: boolean): void {
    this.detach()
    this.#store = store
    const me = this.#options.session.record.name
    if (isNew) this.#lookedAs = me
    // An engine that comes back brings all sessions back at once; what happened meanwhile comes as events.
    if (this.#lookedAs !== me) this.#lookIn(START_MS)
    else if (this.#isAbove) this.#lookIn(START_MS + Math.random() * SPREAD_MS)
  }

  detach(): void {
    if (this.#timer) clearTimeout(this.#timer)
    this.#timer = null
    this.#store = null
  }

  /** A run of this session ended: if it was a session, its runs may need an owner. */
  ended({ runKind }: RunEvent): void {
    if (runKind !== 'session') return
    this.#looks = LOOKS
    this.#lookIn(0)
  }

  #lookIn(ms: number): void {
    if (!this.#store) return
    if (this.#timer) clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      this.#timer = null
      if (this.#running) return this.#lookIn(LOOK_MS)
      this.#running = this.#look().finally(() => {
        this.#running = null
      })
    }, ms).unref()
  }

  async #look(): Promise<void> {
    const { log } = this.#options.session
    const store = this.#store
    if (!store) return
    let again: number | null = null
    try {
      again = await this.#adoptAll(store)
    } catch (error) {
      log.debug({ error: MeshError.from(error).toBody() }, 'runs not looked at')
      again = LOOK_MS
    }
    if (again !== null && !this.#timer) this.#lookIn(again)
  }

  /** Returns when to look again; null: not before something happens. */
  async #adoptAll(store: ProjectStore): Promise<number | null> {
    const { session } = this.#options
    const me = session.record.name
    const [names, entries] = await Promise.all([session.names(), session.currentRuns()])
    const runs = await this.#withAncestors(store, entries)
    const kin = { names: names.map(({ value }) => value), runs, now: Date.now() }
    let isFaster = false
    for (const entry of entries) {
      const { value } = entry
      const isOwn = value.owner === me
      if (isOwn && value.formerOwners) this.#options.onAdopted(value)
      else if (!isOwn && value.formerOwners?.includes(me)) this.#options.onTaken(value)
      else if (!isOwn && heirOf(value, kin) === me) isFaster = !(await this.#adopt(store, entry)) || isFaster
    }
    // A session that was resumed is another run, and owns the one that it was before.
    const isMine = (id: string) => id === session.run?.id || runs.get(id)?.owner === me
    const below = entries.filter(({ value }) => !isOver(value.state) && value.lineage.some(isMine))
    this.#isAbove = below.length > 0
    if (isFaster) return LOOK_MS
    this.#lookedAs = me
    if (this.#looks-- > 0 && below.some(({ value }) => isLeaving(value, kin.names, runs))) return LOOK_MS
    return below.length > 0 ? SELDOM_MS : null
  }

  /** Returns the runs and those above them, of which some ended long ago. */
  async #withAncestors(store: ProjectStore, entries: readonly Entry<RunRecord>[]): Promise<Map<string, RunRecord>> {
    const runs = new Map(entries.map(({ value }) => [value.id, value]))
    const above = new Set(entries.flatMap(({ value }) => value.lineage).filter((id) => !runs.has(id)))
    for (const id of this.#ended.keys()) if (!above.has(id)) this.#ended.delete(id)
    for (const id of above) {
      if (!this.#ended.has(id)) this.#ended.set(id, (await store.runs.records.get(id))?.value ?? null)
      const ended = this.#ended.get(id)
      if (ended) runs.set(id, ended)
    }
    return runs
  }

  /** False: another process changed the record meanwhile. */
  async #adopt(store: ProjectStore, { key, value, revision }: Entry<RunRecord>): Promise<boolean> {
    const { session, onAdopted } = this.#options
    const record = adopted(value, session.record.name)
    if ((await store.runs.records.update(key, record, revision)) === null) return false
    session.log.info({ run: value.id, from: value.owner }, 'run adopted')
    onAdopted(record)
    return true
  }
}

/** Its owner's run is over, but its name does not say so yet. */
function isLeaving({ owner }: RunRecord, names: readonly NameRecord[], runs: ReadonlyMap<string, RunRecord>): boolean {
  const holder = names.find(({ name }) => name === owner)
  const own = holder && isOwned(holder) && holder.run ? runs.get(holder.run) : undefined
  return own !== undefined && isOver(own.state)
}
