/**
 * Adopts runs whose owner is gone: each unfinished run below this session becomes its own, if no nearer ancestor lives.
 * A compare-and-set on the run's record makes exactly one session the owner.
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

/** Delays the first look, so that the start of the session comes first. */
const START_MS = 300
const SPREAD_MS = 5000
/** Number of looks for a name that does not record its end yet, which may come a moment after the end of the run. */
const LOOKS = 20
const LOOK_MS = 500
/** Time between later looks while runs below this session go on, for owners that were lost silently. */
const SELDOM_MS = 60_000
interface AdoptionOptions {
  session: Session
  /** Handles a run that this session, or an earlier sidecar of it, has adopted. */
  onAdopted(record: RunRecord): void
  /** Handles a run of this session that another session has adopted. */
  onTaken(record: RunRecord): void
}

export class Adoption {
  readonly #options: AdoptionOptions
  #store: ProjectStore | null = null
  #timer: NodeJS.Timeout | null = null
  #running: Promise<void> | null = null
  /** The name under which all runs were last examined. */
  #lookedAs: string | null = null
  /** True while runs below this session go on. */
  #isAbove = false
  /** Ended runs above the examined ones; null for one that no longer exists. */
  readonly #ended = new Map<string, RunRecord | null>()
  /** Number of quick looks left. */
  #looks = 0

  constructor(options: AdoptionOptions) {
    this.#options = options
  }

  /** Begins to look for runs to adopt. `isNew`: the name is new, so no run is below it yet. */
  attach(store: ProjectStore, isNew: boolean): void {
    this.detach()
    this.#store = store
    const me = this.#options.session.record.name
    if (isNew) this.#lookedAs = me
    // A returning engine brings all sessions back at once; changes in between come as events.
    if (this.#lookedAs !== me) this.#lookIn(START_MS)
    else if (this.#isAbove) this.#lookIn(START_MS + Math.random() * SPREAD_MS)
  }

  detach(): void {
    if (this.#timer) clearTimeout(this.#timer)
    this.#timer = null
    this.#store = null
  }

  /** Handles the end of a run of this session: if it was a session, its runs may need an owner. */
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

  /** Adopts all runs that it can. Returns when to look again; null: not before something happens. */
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
    // A resumed session is another run, and owns its former one.
    const isMine = (id: string) => id === session.run?.id || runs.get(id)?.owner === me
    const below = entries.filter(({ value }) => !isOver(value.state) && value.lineage.some(isMine))
    this.#isAbove = below.length > 0
    if (isFaster) return LOOK_MS
    this.#lookedAs = me
    if (this.#looks-- > 0 && below.some(({ value }) => isLeaving(value, kin.names, runs))) return LOOK_MS
    return below.length > 0 ? SELDOM_MS : null
  }

  /** Returns the runs and their ancestors, of which some ended long ago. */
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

  /** Adopts one run. Returns false if another process changed the record meanwhile. */
  async #adopt(store: ProjectStore, { key, value, revision }: Entry<RunRecord>): Promise<boolean> {
    const { session, onAdopted } = this.#options
    const record = adopted(value, session.record.name)
    if ((await store.runs.records.update(key, record, revision)) === null) return false
    session.log.info({ run: value.id, from: value.owner }, 'run adopted')
    onAdopted(record)
    return true
  }
}

/** True when its owner's run is over but the owner's name does not record that yet. */
function isLeaving({ owner }: RunRecord, names: readonly NameRecord[], runs: ReadonlyMap<string, RunRecord>): boolean {
  const holder = names.find(({ name }) => name === owner)
  const own = holder && isOwned(holder) && holder.run ? runs.get(holder.run) : undefined
  return own !== undefined && isOver(own.state)
}
