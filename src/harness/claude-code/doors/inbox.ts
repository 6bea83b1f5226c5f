/**
 * The client's inbox socket: a frame starts a turn of an idle session within 0.2 s. Poster and client must be of one
 * process tree, else a session in bypass mode holds the message for approval.
 */
import { existsSync } from 'node:fs'
import { connect } from 'node:net'
import { MeshError } from '../../../errors.ts'
import type { Env } from '../../../host/home.ts'
import type { SessionStatus } from '../../../wire/envelope.schema.ts'
import { times } from '../../../wire/limits.ts'
import type { Door } from '../../types.ts'

const SEND_MS = 2000
/** The client takes 30 at once and one more per 2 s, and drops the rest without a word (CLAUDE_CODE_PROBES P2). */
const BUDGET = 20
const REFILL_MS = 2500
/** Frames in a row of which nothing was seen: then the socket does not work, whatever the reason. */
const MISSES = 2
/** Until a socket that did not work is tried again. */
const RETRY_MS = 300_000

export class InboxDoor implements Door {
  readonly name = 'inbox-socket'
  readonly #isOnly: () => boolean
  readonly #path: string | undefined
  readonly #token: string | undefined
  #budget = BUDGET
  #refilledAt = performance.now()
  /** The last frame, as long as nothing is seen of it. */
  #unseen: { token: string; at: number } | null = null
  #misses = 0
  readonly #onRead: (token: string) => void

  /** `onRead`: the client has read the frame with this token. `isOnly`: there is no other way into a running turn. */
  constructor(env: Env, onRead: (token: string) => void, isOnly: () => boolean = () => false) {
    this.#onRead = onRead
    this.#isOnly = isOnly
    this.#path = env.CLAUDE_CODE_MESSAGING_SOCKET || undefined
    this.#token = env.CLAUDE_CODE_MESSAGING_TOKEN || undefined
  }

  /** During a turn the client takes a frame in between two tool calls; a person's Esc then starts a turn with it. */
  get reaches(): readonly SessionStatus[] {
    return this.#isOnly() ? ['idle', 'busy'] : ['idle']
  }

  available(): boolean {
    this.#refill()
    return this.#budget >= 1 && this.works()
  }

  /** False without a socket, and when the last frames led nowhere. */
  works(): boolean {
    const { at } = this.#unseen ?? { at: Number.POSITIVE_INFINITY }
    const age = performance.now() - at
    const misses = this.#misses + (age > times.handedEvidence ? 1 : 0)
    return this.#exists() && (misses < MISSES || age > RETRY_MS)
  }

  onEvidence(token: string): void {
    if (this.#unseen?.token !== token) return
    this.#unseen = null
    this.#misses = 0
  }

  #exists(): boolean {
    return this.#path !== undefined && existsSync(this.#path)
  }

  /** One JSON object per line, no reply (CLAUDE_CODE 4.1: the auth line is documented, the second is not). */
  async offer(text: string, token: string): Promise<void> {
    if (!this.#path || !this.available()) throw new MeshError('conflict', 'the inbox socket takes no message now')
    const frames: object[] = [{ type: 'user', message: { role: 'user', content: text } }]
    if (this.#token) frames.unshift({ type: 'auth', token: this.#token })
    const data = frames.map((frame) => `${JSON.stringify(frame)}\n`).join('')
    await send(this.#path, data, () => this.#onRead(token))
    this.#budget--
    if (this.#unseen) this.#misses++
    this.#unseen = { token, at: performance.now() }
  }

  lies(): boolean {
    return false
  }

  /** The client has it: there is no way to take it back. */
  async withdraw(): Promise<boolean> {
    return false
  }

  #refill(): void {
    const steps = Math.floor((performance.now() - this.#refilledAt) / REFILL_MS)
    this.#budget = Math.min(BUDGET, this.#budget + steps)
    this.#refilledAt += steps * REFILL_MS
  }
}

/**
 * Fails only as long as nothing can have arrived: whether the client takes what was sent is up to the evidence. The
 * client closes the connection when it has read all (2.1.329: after 10 to 66 ms); a stopped one lets it wait.
 */
function send(path: string, data: string, onRead: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(path)
    const timer = setTimeout(() => socket.destroy(new Error('it does not answer')), SEND_MS)
    socket.once('connect', () =>
      socket.end(data, () => {
        clearTimeout(timer)
        resolve()
      }),
    )
    socket.once('end', onRead)
    socket.on('error', (cause) => {
      clearTimeout(timer)
      if (socket.bytesWritten > 0) resolve()
      else reject(new MeshError('conflict', `the inbox socket is shut: ${cause.message}`, { cause }))
    })
    socket.resume()
    socket.unref()
  })
}
