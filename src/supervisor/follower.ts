/** A supervisor's connection to the holder of the post of witness: when it ends, the witness looks what became of the run. */
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { type Home, socketPath } from '../host/home.ts'
import { connectPrivately } from '../host/listen.ts'

/** There may be no sidecar at all for hours. */
const RETRY_MS = { first: 100, most: 2000 }

export class PostFollower {
  readonly #path: string
  readonly #key: string
  #socket: Socket | null = null
  #timer: NodeJS.Timeout | null = null
  #pause: number = RETRY_MS.first
  #stopped = false

  constructor(home: Home, key: string) {
    this.#path = socketPath(join(home.run, 'witness'))
    this.#key = key
  }

  /** Resolves once the witness knows, or when there is none: then it goes on trying. */
  start(): Promise<void> {
    return new Promise((resolve) => this.#connect(resolve))
  }

  #connect(settled: () => void): void {
    if (this.#stopped) return
    const socket = connectPrivately(this.#path)
    this.#socket = socket
    socket.once('connect', () => {
      this.#pause = RETRY_MS.first
      socket.write(`${this.#key}\n`, settled)
      socket.resume()
    })
    socket.on('error', () => {})
    socket.once('close', () => {
      settled()
      if (this.#stopped) return
      this.#timer = setTimeout(() => this.#connect(() => {}), this.#pause * (0.5 + Math.random()))
      this.#pause = Math.min(this.#pause * 2, RETRY_MS.most)
    })
  }

  stop(): void {
    this.#stopped = true
    if (this.#timer) clearTimeout(this.#timer)
    this.#socket?.destroy()
  }
}
