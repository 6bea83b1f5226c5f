/**
 * Notices an engine that is reachable but stores nothing. A full disk wedges a stream: publishing stays dead after space
 * was freed, until the server is restarted.
 */
import { statfsSync } from 'node:fs'
import { MIN_FREE_BYTES } from '../engine/config.ts'
import { engineStatus, restartEngine } from '../engine/engine.ts'
import { MeshError } from '../errors.ts'
import type { Env, Home } from '../host/home.ts'
import type { Logger } from '../host/log.ts'

/** Less free space than this counts as full: a stream block, an index and a journal want to be written. */
const FULL_BYTES = 4 * 1024 * 1024
/** With less the engine would be stopped and not start again. */
const FREE_AGAIN_BYTES = MIN_FREE_BYTES
/** With room on the disk, an engine that stores nothing for this long is wedged; before, it is busy. */
const PATIENCE_MS = 10_000
const CHECK_MS = 500

interface StallsOptions {
  home: Home
  env: Env
  log: Logger
}

export class Stalls {
  readonly #options: StallsOptions
  #pid: number | null = null
  #timer: NodeJS.Timeout | null = null
  /** When there was last too little space at a send. */
  #shortAt = 0
  /** Since when nothing was stored although the engine was connected. */
  #lateSince: number | null = null

  constructor(options: StallsOptions) {
    this.#options = options
  }

  /** Before each send. Throws `store_full` while the disk under the store is known to be full. */
  check(): void {
    const free = this.#free()
    if (free < FREE_AGAIN_BYTES) this.#shortAt = Date.now()
    if (this.#timer && free < FULL_BYTES) throw fullError()
  }

  /** A publish was stored. */
  clear(): void {
    this.#lateSince = null
  }

  /** A publish failed: with the engine there and the disk full, the store is wedged until it is restarted. */
  suspect(error: MeshError): void {
    if (this.#timer || (error.code !== 'timeout' && error.code !== 'store_full')) return
    const { running, pid } = engineStatus(this.#options.home)
    if (!running || (error.code === 'timeout' && !this.#isWedged())) return
    this.#pid = pid
    this.#lateSince = null
    this.#options.log.error({ error: error.toBody() }, 'the engine does not store: waiting for free space')
    this.#timer = setInterval(() => void this.#mend(), CHECK_MS)
    this.#timer.unref()
  }

  #isWedged(): boolean {
    const now = Date.now()
    this.#lateSince ??= now
    // Space may have been freed since the message was sent.
    const wasShort = this.#free() < FREE_AGAIN_BYTES || now - this.#shortAt < PATIENCE_MS
    return wasShort || now - this.#lateSince > PATIENCE_MS
  }

  stop(): void {
    if (this.#timer) clearInterval(this.#timer)
    this.#timer = null
  }

  async #mend(): Promise<void> {
    if (this.#free() < FREE_AGAIN_BYTES || !this.#timer) return
    this.stop()
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
