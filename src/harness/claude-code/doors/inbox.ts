/**
 * The client's inbox socket. A frame starts a turn of an idle session within 0.2 s. The poster must belong to the
 * client's process tree, or a session in bypass mode screens the message and asks its user.
 */
import { existsSync, lstatSync } from 'node:fs'
import { MeshError } from '../../../errors.ts'
import type { Env } from '../../../host/home.ts'
import { connectPrivately } from '../../../host/listen.ts'
import type { SessionStatus } from '../../../wire/envelope.schema.ts'
import { times } from '../../../wire/limits.ts'
import type { Door } from '../../types.ts'

const SEND_MS = 2000
/** The client takes 30 frames at once and one more per 2 s. It drops the rest silently. */
const BUDGET = 20
const REFILL_MS = 2500
/** Frames in a row that left no evidence: then the socket counts as broken, whatever the reason. */
const MISSES = 2
/** The pause before a broken socket is tried again. */
const RETRY_MS = 300_000

export class InboxDoor implements Door {
  readonly name = 'inbox-socket'
  readonly #isOnly: () => boolean
  #path: string | undefined
  readonly #token: string | undefined
  #budget = BUDGET
  #refilledAt = performance.now()
  /** The last frame, until there is evidence of it. */
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

  /** Takes the path that the client's registry names: a hook that ran before the socket was open did not have it. */
  found(path: string | undefined): void {
    if (path && path !== this.#path && !this.#exists() && isOwnSocket(path)) this.#path = path
  }

  /** During a turn the client takes a frame in between two tool calls; a person's Esc then starts a turn with it. */
  get reaches(): readonly SessionStatus[] {
    return this.#isOnly() ? ['idle', 'busy'] : ['idle']
  }

  available(): boolean {
    this.#refill()
    return this.#budget >= 1 && this.works()
  }

  /** Returns false without a socket, and when the last frames led nowhere. */
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

  /**
   * Sends one JSON object per line and expects no reply. The auth line is documented by the client, the second is not.
   */
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

  /** A frame cannot be taken back: the client has it. */
  async withdraw(): Promise<boolean> {
    return false
  }

  #refill(): void {
    const steps = Math.floor((performance.now() - this.#refilledAt) / REFILL_MS)
    this.#budget = Math.min(BUDGET, this.#budget + steps)
    this.#refilledAt += steps * REFILL_MS
  }
}

function isOwnSocket(path: string): boolean {
  const stat = lstatSync(path, { throwIfNoEntry: false })
  return stat?.isSocket() === true && stat.uid === process.getuid?.()
}

/**
 * Fails only while nothing can have arrived; evidence shows whether the client takes what was sent. The client closes
 * the connection once it has read everything (2.1.329: after 10 to 66 ms); a stopped one leaves it open.
 */
function send(path: string, data: string, onRead: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connectPrivately(path)
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
