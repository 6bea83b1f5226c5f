/**
 * Reports the end of sessions whose sidecar died with them. One sidecar per mesh home is the witness, and every other
 * keeps a connection to it, so that a death shows as end of file, without polling.
 */
import { createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { SidecarRecord } from '../../api/sidecar-record.schema.ts'
import type { ReadRecord } from '../../core/runs/agent-end.ts'
import { readRecord as readEngine } from '../../engine/record.ts'
import { MeshError } from '../../errors.ts'
import { type Home, sessionDir, socketPath } from '../../host/home.ts'
import { connectPrivately, listenPrivately } from '../../host/listen.ts'
import { foreignOwner, type Lock, lockOwner, tryLock } from '../../host/lock.ts'
import type { Logger } from '../../host/log.ts'
import { isOfOtherSpace, processState } from '../../host/process/process.ts'
import type { ProjectStore } from '../../nats/project-store.ts'
import { isRunId } from '../../wire/names.ts'
import { readSessionEnd, sessionEnd } from '../../wire/session-end.ts'
import { readRecord, removeLocked, sessionKeys, sweepLeftovers } from '../disk/session-dir.ts'
import { drainOutbox } from '../mail/drain.ts'
import { witness } from '../names/registry.ts'
import { notifyOfKilled } from './killed.ts'
import { RunWitness } from './runs.ts'

const RETRY_MS = 50
/** Longest wait between tries for the post while another host has its lock. */
const RETRY_MAX_MS = 5000
/** Time within which sidecars connect to a new witness; those that do not are examined. */
const RETURN_MS = 200
/** Time between looks at a session whose sidecar died and may come back. */
const POLL_MS = 200
/** Time between looks at one of another process space, whose lock shows whether it lives. */
const SPACE_POLL_MS = 1000
const KEY_LINE_BYTES = 64
const SWEEP_MS = 3_600_000

interface WitnessOptions {
  home: Home
  /** Key of this sidecar's session. */
  key: string
  log: Logger
  name(): string
  /** Returns the store; null while the engine is away. */
  store(): ProjectStore | null
  readRecord: ReadRecord
  notifyPeople(text: string): Promise<void>
}

export class Witness {
  readonly #options: WitnessOptions
  readonly #path: string
  readonly #followed = new Map<string, Socket>()
  readonly #watched = new Set<string>()
  readonly #runs: RunWitness
  #lock: Lock | null = null
  #server: Server | null = null
  #post: Socket | null = null
  #sweeper: NodeJS.Timeout | null = null
  #stopped = false

  constructor(options: WitnessOptions) {
    this.#options = options
    this.#runs = new RunWitness({ ...options, isFollowed: (id) => this.#followed.has(id) })
    this.#path = socketPath(join(options.home.run, 'witness'))
  }

  start(): void {
    void this.#seek()
  }

  stop(): void {
    this.#stopped = true
    this.#runs.stop()
    this.#post?.destroy()
    this.#server?.close()
    if (this.#sweeper) clearInterval(this.#sweeper)
    for (const socket of this.#followed.values()) socket.destroy()
    this.#lock?.release()
  }

  /** Follows the current witness, or becomes it. */
  async #seek(): Promise<void> {
    const path = join(this.#options.home.run, 'witness.lock')
    for (let pause = RETRY_MS; !this.#stopped; pause = foreignOwner(path) ? pause * 2 : RETRY_MS) {
      if (await this.#follow()) return
      if (this.#stopped) return
      this.#lock = isGuest(this.#options.home) ? null : tryLock(path)
      if (this.#lock) return this.#serve().catch((error) => this.#options.log.warn({ error }, 'no witness'))
      await sleep(Math.min(pause, RETRY_MAX_MS) * (0.5 + Math.random()))
    }
  }

  #follow(): Promise<boolean> {
    return new Promise((resolve) => {
      const socket = connectPrivately(this.#path)
      socket.once('connect', () => {
        this.#post = socket
        socket.write(`${this.#options.key}\n`)
        socket.resume()
        resolve(true)
      })
      socket.once('error', () => resolve(false))
      socket.once('close', () => {
        if (this.#post !== socket) return
        this.#post = null
        void this.#seek()
      })
    })
  }

  async #serve(): Promise<void> {
    const server = createServer((socket) => this.#onFollower(socket))
    this.#server = server
    await listenPrivately(server, this.#path)
    server.unref()
    this.#options.log.debug('serves as witness')
    await sleep(RETURN_MS)
    if (this.#stopped) return
    this.#runs.start()
    this.#sweep()
    this.#sweeper = setInterval(() => this.#sweep(), SWEEP_MS).unref()
    for (const key of sessionKeys(this.#options.home)) {
      if (key !== this.#options.key && !this.#followed.has(key)) void this.#look(key)
    }
  }

  #sweep(): void {
    try {
      sweepLeftovers(this.#options.home, Date.now())
    } catch (error) {
      this.#options.log.warn({ error: MeshError.from(error).toBody() }, 'leftovers not swept')
    }
  }

  #onFollower(socket: Socket): void {
    let line = ''
    socket.on('error', () => {})
    socket.on('data', (chunk) => {
      line += chunk.toString('latin1')
      if (line.length > KEY_LINE_BYTES) socket.destroy()
      const key = line.endsWith('\n') ? line.trim() : null
      if (key === null) return
      this.#followed.set(key, socket)
      socket.once('close', () => {
        if (this.#followed.get(key) === socket) this.#followed.delete(key)
        if (!this.#stopped) void (isRunId(key) ? this.#runs.look(key) : this.#look(key))
      })
    })
  }

  /** Examines a session whose sidecar is away, until it is back or its process is dead, which is then published. */
  async #look(key: string): Promise<void> {
    if (this.#watched.has(key)) return
    this.#watched.add(key)
    try {
      while (!this.#stopped) {
        const record = readRecord(this.#options.home, key)
        // It published its end itself, but perhaps not that of its runs.
        if (!record) this.#runs.scan()
        if (!record || this.#followed.has(key)) return
        if (processState(record.sidecar) === 'unknown') {
          if (!isOfOtherSpace(record.sidecar) || (await this.#tidy(key, record))) return
          await sleep(SPACE_POLL_MS, undefined, { ref: false })
          continue
        }
        // A dying process closes its sockets before it is dead: if it seems alive, look again.
        const isOver =
          processState(record.sidecar) !== 'alive' && (record.ended || processState(record.process) === 'dead')
        if (isOver && (await this.#publishEnd(key, record))) return
        await sleep(POLL_MS, undefined, { ref: false })
      }
    } finally {
      this.#watched.delete(key)
    }
  }

  /**
   * Sends what a dead sidecar of another process space left, and removes its directory. Whether its session has ended is
   * not to be seen from here: its heartbeat says.
   */
  async #tidy(key: string, record: SidecarRecord): Promise<boolean> {
    const { home, log } = this.#options
    const own = this.#options.store()
    if (!own || lockOwner(join(sessionDir(home, key), 'lock'))) return false
    try {
      await drainOutbox(home, await own.sibling(record.project), record.name, log)
      this.#clear(key, record)
      return true
    } catch (error) {
      log.warn({ error: MeshError.from(error).toBody(), name: record.name }, 'outbox not sent yet')
      return false
    }
  }

  async #publishEnd(key: string, record: SidecarRecord): Promise<boolean> {
    const own = this.#options.store()
    if (!own) return false
    try {
      const store = await own.sibling(record.project)
      const { ended } = record
      const how = ended ? readSessionEnd(ended) : sessionEnd('killed')
      const at = ended?.at ?? new Date().toISOString()
      const end = { ...how, at, witness: this.#options.name(), isOver: ended !== undefined }
      if (await witness(store, record, end)) await store.presence.delete(record.name)
      if (how.code === 'killed') await notifyOfKilled(this.#options, record)
      await drainOutbox(this.#options.home, store, record.name, this.#options.log)
      this.#clear(key, record)
      this.#runs.scan()
      return true
    } catch (error) {
      this.#options.log.warn({ error: MeshError.from(error).toBody(), name: record.name }, 'end not published yet')
      return false
    }
  }

  /** Removes what a session left, unless its sidecar has come back: an operator's next command starts one. */
  #clear(key: string, record: SidecarRecord): void {
    const dir = sessionDir(this.#options.home, key)
    const lock = readRecord(this.#options.home, key) && tryLock(join(dir, 'lock'))
    if (!lock) return
    const current = readRecord(this.#options.home, key)
    if (current?.startedAt === record.startedAt && current.pid === record.pid) removeLocked(dir)
    lock.release()
  }
}

/** True in another process space than the engine's: the sessions there are not to be judged from here. */
function isGuest(home: Home): boolean {
  const engine = readEngine(home)
  return engine !== null && isOfOtherSpace(engine)
}
