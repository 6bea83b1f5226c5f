/** The sidecar's link to the engine: connects, heals a dead engine, connects anew when the engine moved. */
import { setTimeout as delay } from 'node:timers/promises'
import { healEngine, startEngine } from '../engine/engine.ts'
import { engineUser } from '../engine/nkey.ts'
import { MeshError } from '../errors.ts'
import type { Env, Home } from '../host/home.ts'
import { connectEngine, type LinkEvent, type NatsConnection } from '../nats/connect.ts'
import { ProjectStore } from '../nats/project-store.ts'
import type { Logger } from './log.ts'

const RETRY_MS = { first: 50, most: 2000 }
/** A reconnect that did not come by itself within this long means that the engine may have moved. */
const STALE_MS = 1500

interface LinkOptions {
  home: Home
  env: Env
  project: string
  name: string
  log: Logger
  /** Called after every connect and reconnect, with a store that works. Throwing counts as not connected. */
  onUp(store: ProjectStore, fresh: boolean): Promise<void>
  onDown(): void
}

export class Link {
  readonly #options: LinkOptions
  #nc: NatsConnection | null = null
  #store: ProjectStore | null = null
  #url: string | null = null
  #up = false
  #stopped = false
  #mending: Promise<void> | null = null
  #awaiting: (() => void)[] = []

  constructor(options: LinkOptions) {
    this.#options = options
  }

  /** The store, or `mesh_down`. */
  get store(): ProjectStore {
    if (this.#store && this.#up) return this.#store
    throw new MeshError('mesh_down', 'the engine is not running')
  }

  get up(): boolean {
    return this.#up
  }

  /** Resolves once the link is up, or after `ms`. */
  async whenUp(ms: number): Promise<void> {
    if (this.#up) return
    await Promise.race([new Promise<void>((resolve) => this.#awaiting.push(resolve)), delay(ms)])
  }

  /**
   * Starts the engine if nobody did, also after `mesh down`: this is a new session. Connects. Resolves once connected or once it is clear that it will take time; then it goes on in the background.
   */
  async start(): Promise<void> {
    const { home, env, log } = this.#options
    try {
      await startEngine(home, env, (line) => log.info({ engine: line }, 'engine'))
      await this.#connect()
    } catch (error) {
      log.warn({ error: MeshError.from(error).toBody() }, 'not connected')
      this.#mend()
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true
    this.#up = false
    await this.#nc?.close().catch(() => {})
  }

  /** Told by whoever saw the engine misbehave. */
  suspect(): void {
    if (!this.#up) this.#mend()
  }

  #onEvent(nc: NatsConnection, event: LinkEvent): void {
    if (this.#stopped || nc !== this.#nc) return
    if (event === 'reconnect') {
      void this.#raise(false).catch(() => this.#mend())
      return
    }
    if (this.#up) this.#lower()
    this.#mend()
  }

  #lower(): void {
    this.#up = false
    this.#options.onDown()
  }

  #mend(): void {
    if (this.#mending || this.#stopped) return
    this.#mending = this.#mendLoop().finally(() => {
      this.#mending = null
      // A link that broke again while this one ended is noticed here.
      if (!this.#up && !this.#stopped) this.#mend()
    })
  }

  async #mendLoop(): Promise<void> {
    const { home, env, log } = this.#options
    const since = Date.now()
    for (let wait = RETRY_MS.first; !this.#up && !this.#stopped; wait = Math.min(wait * 2, RETRY_MS.most)) {
      try {
        const engine = await healEngine(home, env)
        const moved = engine?.url && engine.url !== this.#url
        const dead = !this.#nc || this.#nc.isClosed() || Date.now() - since > STALE_MS
        if (engine?.running && (moved || dead)) await this.#connect()
      } catch (error) {
        log.warn({ error: MeshError.from(error).toBody() }, 'engine not healed')
      }
      // Jitter: a thousand sidecars notice at once.
      if (!this.#up) await delay(wait * (0.5 + Math.random()), undefined, { ref: false })
    }
  }

  async #connect(): Promise<void> {
    const { home, env, name } = this.#options
    const engine = await healEngine(home, env)
    if (!engine?.url) throw new MeshError('mesh_down', 'the engine is not running')
    const old = this.#nc
    const nc = await connectEngine({ url: engine.url, user: engineUser(home), name: `mesh ${name}` }, (event) => {
      this.#onEvent(nc, event)
    })
    this.#nc = nc
    this.#url = engine.url
    this.#store = null
    await old?.close().catch(() => {})
    await this.#raise(true)
  }

  async #raise(fresh: boolean): Promise<void> {
    if (!this.#nc || this.#stopped) return
    if (fresh || !this.#store) this.#store = await ProjectStore.open(this.#nc, this.#options.project)
    else await this.#store.ensure()
    this.#up = true
    try {
      await this.#options.onUp(this.#store, fresh)
    } catch (error) {
      this.#lower()
      throw error
    }
    for (const resolve of this.#awaiting.splice(0)) resolve()
  }
}
