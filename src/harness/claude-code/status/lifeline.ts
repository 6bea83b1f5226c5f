/** Sees the client's end: end of file on the hook's standard output at once, the process's own state as a backup. */
import { fstatSync } from 'node:fs'
import { Socket } from 'node:net'
import { type ProcessState, processState } from '../../../host/process/process.ts'
import type { ProcessIdentity } from '../../../wire/envelope.schema.ts'

/** Reading /proc is cheap; elsewhere a look starts `ps`. */
const BEAT_MS = process.platform === 'linux' ? 1000 : 5000
/** After the end of file the process is gone at once (kill -9) or within 2 s (SIGTERM). */
const CLOSE_BEAT_MS = 25
const CLOSE_LOOKS = 120

export class Lifeline {
  readonly #identity: ProcessIdentity
  readonly #onState: (state: ProcessState) => void
  readonly #fd: number
  #socket: Socket | null = null
  #timer: NodeJS.Timeout | null = null
  #looks = 0

  /** `fd` is the hook's standard output, inherited from the client: a socket pair. */
  constructor(identity: ProcessIdentity, onState: (state: ProcessState) => void, fd = 1) {
    this.#identity = identity
    this.#onState = onState
    this.#fd = fd
  }

  start(): void {
    if (isSocket(this.#fd)) {
      this.#socket = new Socket({ fd: this.#fd, readable: true, writable: false, allowHalfOpen: true })
      this.#socket.once('close', () => this.#closed())
      this.#socket.once('end', () => this.#closed())
      this.#socket.on('error', () => {})
      this.#socket.resume()
    }
    this.#look()
  }

  stop(): void {
    if (this.#timer) clearTimeout(this.#timer)
    this.#timer = null
    this.#looks = 0
    this.#socket?.destroy()
  }

  #closed(): void {
    if (!this.#timer) return
    this.#looks = CLOSE_LOOKS
    this.#look()
  }

  /** The callback may stop us: the next look is planned before it. */
  #look(): void {
    if (this.#timer) clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#look(), this.#looks-- > 0 ? CLOSE_BEAT_MS : BEAT_MS)
    this.#onState(processState(this.#identity))
  }
}

function isSocket(fd: number): boolean {
  try {
    return fstatSync(fd).isSocket()
  } catch {
    return false
  }
}
