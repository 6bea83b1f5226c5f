/**
 * Notices an engine that is reachable but stores nothing, whatever was to be stored. A full disk wedges a stream: writing
 * stays dead after space was freed, until the server is restarted.
 */
import { statfsSync } from 'node:fs'
import { MIN_FREE_BYTES } from '../engine/config.ts'
import { engineStatus, restartEngine } from '../engine/engine.ts'
import { MeshError } from '../errors.ts'
import type { Env, Home } from '../host/home.ts'
import type { Logger } from '../host/log.ts'
import type { StoreListener } from '../nats/writes.ts'

/** Less free space than this counts as full: a stream block, an index and a journal want to be written. */
const FULL_BYTES = 4 * 1024 * 1024
/** With less the engine would be stopped and not start again. */
const FREE_AGAIN_BYTES = MIN_FREE_BYTES
/** With room on the disk, a stream that takes nothing for this long is wedged; before, the engine is busy. */
const PATIENCE_MS = 10_000
const CHECK_MS = 500
/** An engine that stores answers long before. */
const ANSWER_MS = 700
/** With room on the disk all the time, another restart would not help sooner. */
const RESTART_MS = 30_000
/** Refusals that a full disk can be the reason of: without JetStream, which ends with the space, nobody answers. */
const SUSPECT: readonly string[] = ['timeout', 'store_full', 'mesh_down']

interface StallsOptions {
  home: Home
  env: Env
  log: Logger
}

export class Stalls implements StoreListener {
  readonly #options: StallsOptions
  /** The engine's process. */
  #pid: number | null = null
  #timer: NodeJS.Timeout | null = null
  /** When there was last too little space at a write. */
  #shortAt = 0
  #restartedAt = 0
  /** When each stream last stored something. */
  readonly #storedAt = new Map<string, number>()
  /** Streams that stored nothing since, although the engine was connected. */
  readonly #late = new Map<string, { since: number; last: number }>()
  /** Streams that have not answered a write that began on a full disk, with when it began. */
  readonly #unanswered = new Map<string, number>()
  #watch: NodeJS.Timeout | null = null
  /** Streams that stored nothing when the wait for space began, or later. */
  readonly #stalled = new Set<string>()

  constructor(options: StallsOptions) {
    this.#options = options
  }

  /** Another process of the engine has nothing of what kept the last one from storing. */
  connected(pid: number | null): void {
    if (pid === this.#pid) return
    this.stop()
    this.#pid = pid
    this.#shortAt = 0
    this.#late.clear()
  }

  /** Throws `store_full` while the disk under the store, or the stream, is known to take nothing. */
  begins(stream: string): void {
    const free = this.#free()
    if (free < FREE_AGAIN_BYTES) this.#noteShort(stream)
    if (this.#timer && (free < FULL_BYTES || (free < FREE_AGAIN_BYTES && this.#stalled.has(stream)))) throw fullError()
  }

  #noteShort(stream: string): void {
    this.#shortAt = Date.now()
    if (!this.#unanswered.has(stream)) this.#unanswered.set(stream, this.#shortAt)
    this.#watch ??= setInterval(() => this.#lookAtUnanswered(), CHECK_MS).unref()
  }

  /** A wedged stream does not answer at all: with space again there is nothing to wait for. */
  #lookAtUnanswered(): void {
    if (this.#unanswered.size === 0) this.#endWatch()
    if (this.#free() < FREE_AGAIN_BYTES) return
    const overdue = [...this.#unanswered].find(([, since]) => Date.now() - since > ANSWER_MS)
    if (overdue) this.refused(overdue[0], new MeshError('timeout', 'the engine did not answer in time'))
  }

  #endWatch(): void {
    this.#unanswered.clear()
    if (this.#watch) clearInterval(this.#watch)
    this.#watch = null
  }

  answered(stream: string): void {
    this.#unanswered.delete(stream)
  }

  stored(stream: string): void {
    this.answered(stream)
    this.#late.delete(stream)
    this.#storedAt.set(stream, Date.now())
  }

  /** With the engine there and the disk full, the store is wedged until it is restarted. */
  refused(stream: string, error: MeshError): void {
    this.answered(stream)
    if (!SUSPECT.includes(error.code)) return
    const { running, pid } = engineStatus(this.#options.home)
    if (running && pid === this.#pid && (error.code === 'store_full' || this.#isWedged(stream)))
      this.#wait(stream, error)
  }

  /** What the engine refused while a connection was opened counts only if the disk was full: it may be busy. */
  refusedAtOpen(error: MeshError): void {
    if (error.code === 'store_full' || this.#free() < FREE_AGAIN_BYTES || this.#wasShort('')) this.refused('', error)
  }

  #wait(stream: string, error: MeshError): void {
    this.#late.clear()
    this.#stalled.add(stream)
    if (this.#timer) return
    this.#options.log.error({ stream, error: error.toBody() }, 'the engine does not store: waiting for free space')
    this.#timer = setInterval(() => void this.#mend(), CHECK_MS)
    this.#timer.unref()
    void this.#mend()
  }

  #isWedged(stream: string): boolean {
    const now = Date.now()
    const late = this.#late.get(stream)
    // Failures that are far apart are no proof of each other.
    const since = late && now - late.last < PATIENCE_MS ? late.since : now
    this.#late.set(stream, { since, last: now })
    return this.#free() < FREE_AGAIN_BYTES || this.#wasShort(stream) || now - since > PATIENCE_MS
  }

  /** Space may have been freed since the write began, or long ago by a process that wrote nothing afterwards. */
  #wasShort(stream: string): boolean {
    return this.#shortAt > Math.max(this.#restartedAt, this.#storedAt.get(stream) ?? 0)
  }

  stop(): void {
    if (this.#timer) clearInterval(this.#timer)
    this.#timer = null
    this.#stalled.clear()
    this.#endWatch()
  }

  async #mend(): Promise<void> {
    if (this.#free() < FREE_AGAIN_BYTES || !this.#timer) return
    const isNew = this.#shortAt > this.#restartedAt || Date.now() - this.#restartedAt > RESTART_MS
    if (!isNew) return
    this.stop()
    this.#restartedAt = Date.now()
    const { home, env, log } = this.#options
    log.warn('there is free space again: restarting the engine')
    // Of many sidecars the first restarts it: the others see another process by then.
    if (this.#pid !== null)
      await restartEngine(home, env, this.#pid).catch((error) => log.warn({ error }, 'engine not restarted'))
  }

  #free(): number {
    try {
      const { bavail, bsize } = statfsSync(this.#options.home.engine)
      return bavail * bsize
    } catch {
      return Number.POSITIVE_INFINITY
    }
  }
}

function fullError(): MeshError {
  return new MeshError('store_full', 'the disk of the engine is full')
}
