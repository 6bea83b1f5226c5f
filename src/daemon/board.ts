/**
 * The project's board as this sidecar sees it: every task in memory once somebody asked for the board, kept current by
 * what the engine tells of changes. A change is a compare-and-set, tried again until it is in or is refused.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { apply, circleOf, type Find, holds, isApplied, judgeClaim, type Step } from '../core/board.ts'
import { MeshError } from '../errors.ts'
import type { ProjectStore } from '../nats/project-store.ts'
import { limits, times } from '../wire/limits.ts'
import type { Actor, Task } from '../wire/task.schema.ts'
import { findingId, holderFacts } from './claims.ts'
import type { Logger } from './log.ts'
import { holderOf } from './registry.ts'

const ATTEMPTS = 50
const RETRY_MS = 10

export interface Kept {
  task: Task
  revision: number
}

export class Board {
  readonly #log: Logger
  readonly #graceMs: number
  readonly #kept = new Map<string, Kept>()
  readonly #listeners = new Set<() => void>()
  #store: ProjectStore | null = null
  #version = 0
  #loading: Promise<void> | null = null
  #judging: NodeJS.Timeout | null = null

  /** `graceMs`: how long a claim outlives its holder's end. */
  constructor({ log, graceMs }: { log: Logger; graceMs: number }) {
    this.#log = log
    this.#graceMs = graceMs
  }

  readonly find: Find = (id) => this.#kept.get(id)?.task

  get tasks(): IterableIterator<Kept> {
    return this.#kept.values()
  }

  /** Grows with every change that this sidecar hears of. */
  get version(): number {
    return this.#version
  }

  get(id: string): Kept | undefined {
    return this.#kept.get(id)
  }

  idsFrom(prefix: string): string[] {
    return [...this.#kept.keys()].filter((id) => id.startsWith(prefix))
  }

  /** Reads the board, once per connection. */
  async open(store: ProjectStore): Promise<void> {
    if (store !== this.#store || !this.#loading) {
      this.#store = store
      this.#loading = this.#load(store)
      this.#loading.catch(() => {
        if (this.#store === store) this.#loading = null
      })
    }
    return this.#loading
  }

  /** Calls back after every change, until the returned function is called. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  close(): void {
    if (this.#judging) clearTimeout(this.#judging)
    this.#judging = null
    this.#store = null
    this.#loading = null
  }

  async #load(store: ProjectStore): Promise<void> {
    this.#kept.clear()
    // First: a change between the two is told, and has the higher revision.
    await store.tasks.watch('>', (task, revision) => {
      if (task && store === this.#store) this.#keep({ task, revision })
    })
    // Claims are judged when their holders' records change; records change seldom.
    await store.names.watch('>', (record) => {
      const isHolder = [...this.#kept.values()].some(({ task }) => task.claim?.holder.name === record?.name)
      if (isHolder && store === this.#store) this.#judgeIn(store, RETRY_MS)
    })
    for (const { value, revision } of await store.tasks.latest()) this.#keep({ task: value, revision })
    void this.#judge(store)
  }

  #keep(kept: Kept): void {
    if ((this.#kept.get(kept.task.id)?.revision ?? 0) >= kept.revision) return
    this.#kept.set(kept.task.id, kept)
    this.#version++
    for (const listener of this.#listeners) listener()
  }

  /** Puts a new task on the board; the same operation again is the same task. */
  async add(store: ProjectStore, task: Task): Promise<Kept> {
    if (this.#kept.size >= limits.tasks) throw new MeshError('too_large', `the board has ${limits.tasks} tasks already`)
    const revision = await this.#written(store, task, 0)
    const kept = revision === null ? await this.#readAdded(store, task.id) : { task, revision }
    if (!isApplied(kept.task, task.change.op)) throw new MeshError('conflict', `there is a task ${task.id} already`)
    this.#keep(kept)
    return kept
  }

  async #readAdded(store: ProjectStore, id: string): Promise<Kept> {
    return this.read(store, id).catch((error) => {
      if (MeshError.from(error).code !== 'not_found') throw error
      const hint = 'mesh doctor looks for the reason; then add it again'
      throw new MeshError('store_full', 'the engine did not store the task', { hint })
    })
  }

  /**
   * Makes a step on a task. Throws `not_found`, and what the rules refuse; with `mesh_down` and `timeout` it may have
   * been made: the same operation again tells.
   */
  async change(store: ProjectStore, id: string, step: Step): Promise<Kept> {
    let now = this.#kept.get(id) ?? (await this.read(store, id))
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const next = this.#tried(now.task, step)
      if (next === now.task) return now
      const isLegal = !(next instanceof MeshError)
      const revision = isLegal ? await this.#written(store, next, now.revision) : null
      if (isLegal && revision !== null) return this.#accept(store, { task: next, revision }, now.task, step)
      // Refused by what we know, or somebody was faster: what is true now decides.
      const latest = await this.read(store, id)
      if (!isLegal && latest.revision === now.revision) throw next
      now = latest
      if (attempt > 2) await sleep(Math.random() * RETRY_MS * attempt)
    }
    throw new MeshError('conflict', `${id} changes all the time`)
  }

  /** The task after the step, or why the rules refuse it. */
  #tried(task: Task, step: Step): Task | MeshError {
    try {
      return apply(task, step, this.find)
    } catch (error) {
      if (error instanceof MeshError) return error
      throw error
    }
  }

  async #accept(store: ProjectStore, kept: Kept, before: Task, step: Step): Promise<Kept> {
    this.#keep(kept)
    if (kept.task.after.some((id) => !before.after.includes(id))) await this.#refuseCircle(store, kept, before, step)
    return kept
  }

  /** Two changes at once can close a circle that neither sees before: the one stored later takes its edges back. */
  async #refuseCircle(store: ProjectStore, kept: Kept, before: Task, step: Step): Promise<void> {
    const current = new Map<string, Kept>([[kept.task.id, kept]])
    const look = [...kept.task.after]
    for (let id = look.pop(); id !== undefined; id = look.pop()) {
      if (current.has(id)) continue
      const entry = await store.tasks.get(id)
      if (!entry) continue
      current.set(id, { task: entry.value, revision: entry.revision })
      look.push(...entry.value.after)
    }
    const circle = circleOf(kept.task, (id) => current.get(id)?.task)
    if (!circle || circle.some((id) => current.get(id)!.revision > kept.revision)) return
    const op = `${step.op.slice(0, 62)}ff`
    const move = { do: 'edit', after: before.after } as const
    await this.change(store, kept.task.id, { ...step, op, move })
    throw new MeshError('conflict', `a circle: ${circle.join(' after ')}`, {
      hint: 'somebody else was a little faster',
    })
  }

  /** A session that takes another name holds what it held. */
  async rename(store: ProjectStore, former: Actor, current: Actor): Promise<void> {
    await this.open(store)
    const to = actorOf(current)
    const by = actorOf(former)
    for (const { task } of [...this.#kept.values()]) {
      if (!task.claim || !holds(by, task.claim)) continue
      const move = { do: 'pass', to } as const
      await this.change(store, task.id, { move, by, at: new Date().toISOString(), op: findingId(task, move) })
    }
  }

  /** A task as the engine has it now. Throws `not_found`. */
  async read(store: ProjectStore, id: string): Promise<Kept> {
    const entry = await store.tasks.get(id)
    if (!entry) throw new MeshError('not_found', `there is no task ${id}`, { hint: 'mesh task list --all shows them' })
    const kept = { task: entry.value, revision: entry.revision }
    this.#keep(kept)
    return kept
  }

  /** Null: somebody was faster, or the answer was lost; reading again tells. */
  async #written(store: ProjectStore, task: Task, revision: number): Promise<number | null> {
    try {
      return await store.tasks.update(task.id, task, revision)
    } catch (error) {
      if (MeshError.from(error).code !== 'timeout') throw error
      return null
    }
  }

  // --- claims of holders that are gone

  /** Looks at every claim: anybody's look lets one fall. Goes on for as long as the board is open. */
  async #judge(store: ProjectStore): Promise<void> {
    if (store !== this.#store) return
    try {
      for (const { task } of [...this.#kept.values()]) {
        if (task.claim) await this.#judgeOne(store, task)
      }
    } catch (error) {
      this.#log.debug({ error: MeshError.from(error).toBody() }, 'claims not judged')
    }
    if (store === this.#store) this.#judgeIn(store, this.#nextLook())
  }

  #judgeIn(store: ProjectStore, ms: number): void {
    if (this.#judging) clearTimeout(this.#judging)
    this.#judging = setTimeout(() => void this.#judge(store), ms)
    this.#judging.unref()
  }

  async #judgeOne(store: ProjectStore, task: Task): Promise<void> {
    const { holder } = task.claim!
    const facts = holderFacts(await holderOf(store, holder.name), holder)
    const move = judgeClaim(task, facts, Date.now(), { gone: this.#graceMs, lost: times.claimLost })
    if (!move) return
    // The same finding by two who look is one operation.
    const op = findingId(task, move)
    const by: Actor = holder
    await this.change(store, task.id, { move, by, at: new Date().toISOString(), op }).catch((error) => {
      if (MeshError.from(error).code !== 'conflict') throw error
    })
  }

  #nextLook(): number {
    const deadlines = [...this.#kept.values()].flatMap(({ task }) => task.claim?.deadline ?? [])
    const soonest = Math.min(...deadlines.map((at) => Date.parse(at) - Date.now()))
    return Math.max(RETRY_MS, Math.min(times.heartbeat, soonest))
  }
}

/** Of a names record: what the board keeps of who did something. */
export function actorOf({ member, name, epoch }: Actor): Actor {
  return { member, name, epoch }
}
