/** Expires leases whose holder has ended. Every sidecar that reads the board looks, and the first one writes. */
import type { Session } from '../../api/ops.schema.ts'
import { type Grace, judgeClaim } from '../../core/tasks/lease.ts'
import { MeshError } from '../../errors.ts'
import type { Logger } from '../../host/log.ts'
import type { ProjectStore } from '../../nats/project-store.ts'
import { times } from '../../wire/limits.ts'
import type { Actor, Task } from '../../wire/task.schema.ts'
import { findingId, holderFacts } from '../names/actor.ts'
import { holderOf } from '../names/registry.ts'
import type { Board } from './board.ts'

const LOOK_MS = 10
const RETRY_MS = 100
/**
 * Time between looks for silent sessions, per session of the project, so that all sidecars together read as many
 * records a second for ten sessions as for a thousand. Looks after a change that all see are spread over the same time.
 */
const QUIET_MS = 500
const SPREAD_MS = { each: 5, most: 2000 }

interface ClaimWatchOptions {
  log: Logger
  board(): Board
  grace: Grace
  me(): Actor
  /** Returns the sessions of the project, and records silent ones as lost. */
  sessions(store: ProjectStore): Promise<readonly Session[]>
  /** Called when this sidecar expired a lease. */
  onFell(before: Task, after: Task): Promise<void>
}

export class ClaimWatch {
  readonly #options: ClaimWatchOptions
  #timer: NodeJS.Timeout | null = null
  #dueAt = 0
  #looking: Promise<void> = Promise.resolve()
  /** Time of the next look at the sessions. */
  #sessionsAt = 0
  #sessions = 0
  #stop = () => {}

  constructor(options: ClaimWatchOptions) {
    this.#options = options
  }

  /** Starts looking, once the board has been read over this connection. */
  attach(store: ProjectStore): void {
    this.#stop()
    const board = this.#options.board()
    this.#sessionsAt = 0
    const stopChanges = board.onChange(({ task }) => {
      if (task.claim?.deadline) this.#lookIn(store, Date.parse(task.claim.deadline) - Date.now() + this.#spread())
    })
    const hasLease = (name: string | undefined) => [...board.tasks].some(({ task }) => task.claim?.holder.name === name)
    const names = store.names.watch('>', (record) => {
      if (record && hasLease(record.name)) this.#lookIn(store, this.#spread())
    })
    names.catch((error) => this.#note(error))
    this.#stop = () => {
      stopChanges()
      void names.then((stop) => stop()).catch(() => {})
    }
    this.#lookIn(store, 0)
  }

  #spread(): number {
    return LOOK_MS + Math.random() * Math.min(SPREAD_MS.most, SPREAD_MS.each * this.#sessions)
  }

  #lookIn(store: ProjectStore, ms: number): void {
    const dueAt = Date.now() + Math.max(0, ms)
    if (this.#timer && dueAt >= this.#dueAt) return
    if (this.#timer) clearTimeout(this.#timer)
    this.#dueAt = dueAt
    const look = () => {
      this.#timer = null
      this.#looking = this.#looking.then(() => this.#look(store))
    }
    this.#timer = setTimeout(look, dueAt - Date.now())
    this.#timer.unref()
  }

  async #look(store: ProjectStore): Promise<void> {
    const board = this.#options.board()
    if (!board.serves(store)) return
    try {
      const claimed = [...board.tasks].flatMap(({ task }) => (task.claim ? [task] : []))
      const me = this.#options.me().name
      const isOthers = claimed.some(({ claim }) => claim?.holder.name !== me)
      if (isOthers && Date.now() >= this.#sessionsAt) await this.#lookForSilence(store)
      const now = claimed.length === 0 ? 0 : await store.now()
      for (const [name, tasks] of byHolder(claimed)) {
        const record = await holderOf(store, name)
        for (const task of tasks) await this.#judge(store, board, task, record, now)
      }
    } catch (error) {
      this.#note(error)
    }
    if (board.serves(store)) this.#lookIn(store, this.#pause(board))
  }

  async #lookForSilence(store: ProjectStore): Promise<void> {
    this.#sessions = (await this.#options.sessions(store)).length
    this.#sessionsAt = Date.now() + Math.max(times.heartbeat, QUIET_MS * this.#sessions * (0.5 + Math.random()))
  }

  async #judge(
    store: ProjectStore,
    board: Board,
    task: Task,
    record: Awaited<ReturnType<typeof holderOf>>,
    now: number,
  ): Promise<void> {
    const move = judgeClaim(task, holderFacts(record, task.claim!.holder), now, this.#options.grace)
    if (!move) return
    // Two sidecars with the same finding make one operation of it.
    const step = { move, by: this.#options.me(), at: new Date().toISOString(), op: findingId(task, move) }
    try {
      const { before, task: after } = await board.change(store, task.id, step)
      if (before && move.do === 'fall') await this.#options.onFell(before, after)
    } catch (error) {
      if (MeshError.from(error).code !== 'conflict') throw error
    }
  }

  /** Returns the time until the next look at the sessions, or the next deadline. */
  #pause(board: Board): number {
    const deadlines = [...board.tasks].flatMap(({ task }) => task.claim?.deadline ?? [])
    const soonest = Math.min(...deadlines.map((at) => Date.parse(at)))
    const quiet = Math.max(this.#sessionsAt, Date.now() + times.heartbeat)
    return Math.max(RETRY_MS, Math.min(quiet, soonest + LOOK_MS) - Date.now())
  }

  #note(error: unknown): void {
    this.#options.log.debug({ error: MeshError.from(error).toBody() }, 'claims not judged')
  }
}

function byHolder(tasks: readonly Task[]): Map<string, Task[]> {
  const found = new Map<string, Task[]>()
  for (const task of tasks) {
    const { name } = task.claim!.holder
    found.set(name, [...(found.get(name) ?? []), task])
  }
  return found
}
