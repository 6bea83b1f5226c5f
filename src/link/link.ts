/** The sidecar's link to the engine: connects, heals a dead engine, connects anew. */
import { setTimeout as sleep } from 'node:timers/promises'
import { BEAT_MS, beatFor } from '../engine/beat.ts'
import { healEngine, startEngine } from '../engine/engine.ts'
import { FETCHING, type Say } from '../engine/fetch.ts'
import { engineUser } from '../engine/nkey.ts'
import { MeshError } from '../errors.ts'
import type { Env, Home } from '../host/home.ts'
import type { Logger } from '../host/log.ts'
import { connectEngine, type NatsConnection } from '../nats/connect.ts'
import type { StoreListener } from '../nats/writes.ts'
import { Stalls } from './stalls.ts'

const RETRY_MS = { first: 50, most: 2000 }
/** A full disk is looked at this often: an engine that ended on it starts as soon as there is space. */
const FULL_MS = 500
/** A call waits this long for an engine that is being fetched, which usually takes a few seconds. */
const FETCH_MS = 8000

interface LinkOptions<Store> {
  home: Home
  env: Env
  name: string
  log: Logger
  /** Opens what the connection is for. `stalls` hears of its writes. */
  open(nc: NatsConnection, stalls: StoreListener): Promise<Store>
  /** Called after every connect, with a store that works. Throwing counts as not connected: it is called again. */
  onUp(store: Store): Promise<void>
  onDown(): void
}

export class Link<Store> {
  /** Judges whether the engine stores what it is given. */
  readonly stalls: Stalls
  readonly #options: LinkOptions<Store>
  #nc: NatsConnection | null = null
  #store: Store | null = null
  #isReady = false
  #progress: string | null = null
  /** The reason why the last try to connect failed. */
  #fault: MeshError | null = null
  #stopped = false
  #beat: NodeJS.Timeout | null = null
  #mending = false
  #awaiting: (() => void)[] = []
  readonly #downListeners = new Set<() => void>()

  constructor(options: LinkOptions<Store>) {
    this.#options = options
    this.stalls = new Stalls(options)
  }

  /** The store, or `mesh_down`. */
  get store(): Store {
    if (this.#store) return this.#store
    throw this.down
  }

  /** Why there is no store; while the engine is started, also how far that is. */
  get whyDown(): string {
    return this.down.message
  }

  /** The error of whoever needs the store while there is none. */
  get down(): MeshError {
    if (this.#progress !== null) return new MeshError('mesh_down', `the engine is not running yet: ${this.#progress}`)
    return this.#fault?.code === 'mesh_down' ? this.#fault : new MeshError('mesh_down', 'the engine is not running')
  }

  /** There is a store, though perhaps not yet everything that `onUp` does. */
  get up(): boolean {
    return this.#store !== null
  }

  /** Resolves once the link is up and `onUp` is done, or after `ms`. */
  async whenUp(ms: number): Promise<void> {
    if (this.#isReady) return
    const waited = new AbortController()
    const up = new Promise<void>((resolve) => this.#awaiting.push(resolve))
    await Promise.race([up, sleep(ms, undefined, { signal: waited.signal }).catch(() => {})])
    waited.abort()
  }

  /** Calls `listener` each time the connection is lost, until the returned function is called. */
  onDown(listener: () => void): () => void {
    this.#downListeners.add(listener)
    return () => void this.#downListeners.delete(listener)
  }

  /**
   * Starts the engine if it does not run, also after a `mesh down` before `began`: this is a new session. Connects.
   * Resolves once connected or once it is clear that it will take time; then it goes on in the background.
   */
  start(began?: number): Promise<void> {
    return new Promise((resolve) => {
      const say = (line: string) => {
        this.#progress = line
        this.#options.log.info({ engine: line }, 'engine')
        if (line.startsWith(FETCHING)) setTimeout(resolve, FETCH_MS).unref()
      }
      void this.#start(say, began).then(resolve)
    })
  }

  async #start(say: Say, began?: number): Promise<void> {
    const { home, env, log } = this.#options
    this.#mending = true
    try {
      await startEngine(home, env, say, began)
      await this.#connect()
    } catch (error) {
      this.#fault = MeshError.from(error)
      log.warn({ error: this.#fault.toBody() }, 'not connected')
    }
    this.#progress = null
    this.#mending = false
    this.#mend()
  }

  /** Connects in the background, as a part of what is there: a dead engine is healed, one that was stopped is left alone. */
  join(): void {
    this.#mend()
  }

  /** Connects anew: `onUp` then completes what was left half done. */
  reset(): void {
    void this.#nc?.close().catch(() => {})
  }

  async stop(): Promise<void> {
    this.#stopped = true
    if (this.#beat) clearInterval(this.#beat)
    this.stalls.stop()
    this.#lower()
    await this.#nc?.close().catch(() => {})
  }

  #lower(): void {
    const wasUp = this.up
    this.#store = null
    this.#isReady = false
    for (const listener of [...this.#downListeners]) listener()
    if (wasUp) this.#options.onDown()
  }

  #mend(): void {
    if (this.#isReady || this.#mending || this.#stopped) return
    this.#mending = true
    void this.#mendLoop().finally(() => {
      this.#mending = false
      // A link that broke again while this one ended is noticed here.
      this.#mend()
    })
  }

  async #mendLoop(): Promise<void> {
    const since = performance.now()
    while (!this.#isReady && !this.#stopped) {
      let most = RETRY_MS.most
      await this.#connect().catch((error) => {
        this.#fault = MeshError.from(error)
        if (this.#fault.code === 'store_full') most = FULL_MS
        this.#options.log.warn({ error: this.#fault.toBody() }, 'engine not healed')
      })
      if (this.#isReady) return
      // In proportion to how long it is away already. With jitter: a thousand sidecars notice at once.
      const wait = Math.min(Math.max(RETRY_MS.first, (performance.now() - since) / 4), most)
      await sleep(wait * (0.5 + Math.random()), undefined, { ref: false })
    }
  }

  /** Connects to the engine, which is started if it is dead. Does nothing after `mesh down`. */
  async #connect(): Promise<void> {
    const { home, env, name } = this.#options
    const engine = await healEngine(home, env)
    this.#fault = null
    if (!engine?.url || this.#stopped) return
    this.#startBeat()
    const nc = await connectEngine({ url: engine.url, user: engineUser(home), name: `mesh ${name}` }, () => {
      if (this.#nc !== nc) return
      this.#nc = null
      this.#lower()
      this.#mend()
    })
    this.#nc = nc
    this.stalls.connected(engine.pid)
    try {
      const store = await this.#options.open(nc, this.stalls)
      this.#checkOpen(nc)
      this.#store = store
      await this.#options.onUp(store)
      this.#checkOpen(nc)
      this.#isReady = true
    } catch (error) {
      if (!nc.isClosed()) this.stalls.refusedAtOpen(MeshError.from(error))
      this.#lower()
      await nc.close().catch(() => {})
      throw error
    }
    for (const resolve of this.#awaiting.splice(0)) resolve()
  }

  /** Goes on while the engine is away: it is started again by this machine. */
  #startBeat(): void {
    const { home } = this.#options
    beatFor(home)
    this.#beat ??= setInterval(() => beatFor(home), BEAT_MS).unref()
  }

  #checkOpen(nc: NatsConnection): void {
    if (this.#stopped || this.#nc !== nc) throw new MeshError('mesh_down', 'the engine went away')
  }
}
