/**
 * Mirrors the project's board in memory once a caller has asked for it, kept current by the changes that the engine
 * publishes. Changes it by compare-and-set, tried again until the change is in or is refused.
 */
import { apply, isApplied, isHolder, type Step } from '../../core/tasks/board.ts'
import { circleOf, type Find } from '../../core/tasks/dependencies.ts'
import { spent } from '../../core/tasks/room.ts'
import { MeshError } from '../../errors.ts'
import type { Logger } from '../../host/log.ts'
import { untilWritten } from '../../link/until.ts'
import type { ProjectStore } from '../../nats/project-store.ts'
import type { Actor, Task } from '../../wire/task.schema.ts'
import { actorOf, findingId } from '../names/actor.ts'
import { ignoreMissing, unsure, Writing, withinTime } from './write.ts'

/** Number of tasks that a full board forgets at once. */
const ROOM = 100
/**
 * Limits the reading of the board. A board of limits.tasks takes a second, and a frozen engine would block until the
 * link gives it up.
 */
const OPEN_MS = 5000

export interface Kept {
  task: Task
  revision: number
}

/** The outcome of a step. */
export interface Changed extends Kept {
  /** The task before the step; null if the step had been made earlier. */
  before: Task | null
}

interface BoardOptions {
  log: Logger
  /** Limit of tasks on the board. A full one forgets those that ended longest ago. */
  most: number
  /** Called once the board has been read over this connection. */
  onOpen(store: ProjectStore): void
}

export class Board {
  readonly #options: BoardOptions
  readonly #kept = new Map<string, Kept>()
  readonly #listeners = new Set<(kept: Kept) => void>()
  #store: ProjectStore | null = null
  /** Starts from the clock, so that a watcher cannot take a later sidecar's version for this one's. */
  #version = Date.now()
  #loading: Promise<void> | null = null
  #isLoaded = false
  /** Revisions that this sidecar wrote, until the engine publishes them. */
  readonly #own = new Set<number>()
  /** True once the board was asked for; it is then read again over each new connection. */
  #isWanted = false

  constructor(options: BoardOptions) {
    this.#options = options
  }

  readonly find: Find = (id) => this.#kept.get(id)?.task

  get tasks(): IterableIterator<Kept> {
    return this.#kept.values()
  }

  /** Version of the board, which grows with every change that this sidecar hears of. */
  get version(): number {
    return this.#version
  }

  get(id: string): Kept | undefined {
    return this.#kept.get(id)
  }

  idsFrom(prefix: string): string[] {
    return [...this.#kept.keys()].filter((id) => id.startsWith(prefix))
  }

  /** True while `store` is the connection that the board is read over. */
  serves(store: ProjectStore): boolean {
    return store === this.#store
  }

  /** Reads the board, once per connection. Throws `mesh_down`, `timeout`. */
  async open(store: ProjectStore): Promise<void> {
    this.#isWanted = true
    if (store === this.#store && this.#isLoaded) return
    if (store !== this.#store || !this.#loading) {
      this.#store = store
      this.#isLoaded = false
      this.#loading = this.#load(store)
      this.#loading.catch(() => {
        if (this.#store === store) this.#loading = null
      })
    }
    await withinTime(this.#loading, OPEN_MS)
  }

  /** Serves the board over another connection. Calls that wait for changes get those that it brings. */
  resume(store: ProjectStore): void {
    if (!this.#isWanted) return
    this.open(store).catch((error) => {
      this.#options.log.warn({ error: MeshError.from(error).toBody() }, 'the board was not read again')
    })
  }

  /** Calls the listener after every change, until the returned function is called. */
  onChange(listener: (kept: Kept) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Stops following changes as the connection ends. */
  close(): void {
    this.#store = null
    this.#loading = null
    this.#isLoaded = false
  }

  async #load(store: ProjectStore): Promise<void> {
    this.#kept.clear()
    this.#own.clear()
    // First: a change between the two is published, and has the higher revision.
    const onChange = (task: Task | null, revision: number, id: string) => {
      if (!this.serves(store)) return
      if (task) this.#keep({ task, revision })
      else if ((this.get(id)?.revision ?? 0) < revision) this.#kept.delete(id)
    }
    await store.tasks.watch('>', onChange, (revision) => this.#own.delete(revision))
    const entries = await store.tasks.latest()
    if (!this.serves(store)) throw new MeshError('mesh_down', 'the engine went away')
    for (const { value, revision } of entries) this.#keep({ task: value, revision })
    this.#isLoaded = true
    this.#options.onOpen(store)
  }

  #keep(kept: Kept): void {
    if ((this.#kept.get(kept.task.id)?.revision ?? 0) >= kept.revision) return
    this.#kept.set(kept.task.id, kept)
    this.#version++
    for (const listener of this.#listeners) listener(kept)
  }

  /** Keeps a task that this sidecar wrote; the engine may have published it already. */
  #keepOwn(kept: Kept): Kept {
    if ((this.get(kept.task.id)?.revision ?? 0) < kept.revision) this.#own.add(kept.revision)
    this.#keep(kept)
    return kept
  }

  /** Adds a task to the board. The same operation again is the same task. Throws as `change`. */
  async add(store: ProjectStore, task: Task): Promise<Kept> {
    const writing = new Writing(store)
    try {
      if (this.#kept.size >= this.#options.most) await this.#makeRoom(store)
      const revision = await writing.write(task, 0)
      if (revision !== null) return this.#keepOwn({ task, revision })
      const kept = await this.#readAdded(store, task.id)
      if (!isApplied(kept.task, task.change.op)) throw new MeshError('conflict', `there is a task ${task.id} already`)
      return kept
    } catch (error) {
      throw writing.isUnsure(error) ? unsure(`${task.id} was added`, 'see: mesh task list', error) : error
    }
  }

  /** Makes a full board forget what ended longest ago. Throws `too_large` when all of it is open. */
  async #makeRoom(store: ProjectStore): Promise<void> {
    const tasks = [...this.#kept.values()].map(({ task }) => task)
    const oldest = spent(tasks).slice(0, ROOM)
    if (oldest.length === 0) {
      const hint = 'finish or cancel some: mesh task list'
      throw new MeshError('too_large', `the board has ${this.#options.most} tasks that are not over`, { hint })
    }
    for (const { id } of oldest) if (await store.tasks.delete(id, this.get(id)?.revision)) this.#kept.delete(id)
  }

  async #readAdded(store: ProjectStore, id: string): Promise<Kept> {
    return this.read(store, id).catch((error) => {
      if (MeshError.from(error).code !== 'not_found') throw error
      const hint = 'mesh doctor looks for the reason; then add it again'
      throw new MeshError('store_full', 'the engine did not store the task', { hint })
    })
  }

  /**
   * Makes a step on a task. The same operation again is the same step. Throws `not_found`, what the rules refuse,
   * `mesh_down` if nothing was written, and `timeout` if it may have been.
   */
  async change(store: ProjectStore, id: string, step: Step): Promise<Changed> {
    const writing = new Writing(store)
    try {
      return await this.#change(writing, id, step)
    } catch (error) {
      const hint = `see: mesh task show ${id}; the same command again does no harm`
      throw writing.isUnsure(error) ? unsure(`${id} was changed`, hint, error) : error
    }
  }

  async #change(writing: Writing, id: string, step: Step): Promise<Changed> {
    const { store } = writing
    let now = this.#kept.get(id) ?? (await this.read(store, id))
    let tried: Task | null = null
    let isRead = false
    return untilWritten(id, async () => {
      const next = MeshError.orValue(() => apply(now.task, step, this.find))
      // Found made: by the try whose answer was lost, or by an earlier call.
      if (next === now.task && isRead) return { ...now, before: tried }
      const isLegal = !(next instanceof MeshError)
      if (isLegal && next !== now.task) {
        const revision = await writing.write(next, now.revision)
        if (revision !== null) return this.#accept(writing, { task: next, revision }, now.task, step)
        tried = now.task
      }
      // Refused by the known task, or another session was faster: the current one decides.
      const latest = await this.read(store, id)
      isRead = true
      const isCurrent = latest.revision === now.revision
      if (!isLegal && isCurrent && !(await this.#refresh(store, latest.task))) throw next
      now = latest
      return null
    })
  }

  /** Reads the tasks that a task waits for. Returns true if any was unknown here: a refusal may be out of date. */
  async #refresh(store: ProjectStore, { after }: Task): Promise<boolean> {
    const known = after.map((id) => this.get(id)?.revision)
    for (const id of after) if (this.find(id)?.state !== 'done') await this.read(store, id).catch(ignoreMissing)
    return after.some((id, i) => this.get(id)?.revision !== known[i])
  }

  async #accept(writing: Writing, kept: Kept, before: Task, step: Step): Promise<Changed> {
    this.#keepOwn(kept)
    const isTied = kept.task.after.some((id) => !before.after.includes(id))
    if (isTied) await writing.uncertainly(() => this.#refuseCircle(writing.store, kept, before, step))
    return { ...kept, before }
  }

  /**
   * Refuses a circle. Two concurrent changes can close one that neither sees: the one stored later takes its edges
   * back.
   */
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
      hint: 'another session was a little faster',
    })
  }

  /** Returns the tasks that this holder has a lease on. */
  claimedBy(holder: Actor): Task[] {
    return [...this.#kept.values()].map(({ task }) => task).filter((task) => task.claim && isHolder(holder, task.claim))
  }

  /** Passes all leases of a session on to the new name that it took. */
  async rename(store: ProjectStore, former: Actor, current: Actor): Promise<void> {
    await this.open(store)
    for (const task of this.claimedBy(former)) {
      const op = findingId(task, { do: 'pass', to: actorOf(current) })
      await this.pass(store, task.id, { from: former, to: current, op })
    }
  }

  /** Passes the lease of `from` on a task to `to`. Throws as `change`. */
  async pass(store: ProjectStore, id: string, { from, to, op }: { from: Actor; to: Actor; op: string }): Promise<void> {
    const move = { do: 'pass', to: actorOf(to) } as const
    await this.change(store, id, { move, by: actorOf(from), at: new Date().toISOString(), op })
  }

  /** Returns a task as the engine has it now. Throws `not_found`. */
  async read(store: ProjectStore, id: string): Promise<Kept> {
    const entry = await store.tasks.get(id)
    if (!entry) throw new MeshError('not_found', `there is no task ${id}`, { hint: 'mesh task list all shows them' })
    const kept = { task: entry.value, revision: entry.revision }
    this.#keep(kept)
    return kept
  }
}
