/**
 * Makes an HTTP/1.1 exchange over a Unix socket by hand: `node:http` would cost every command 5 ms more.
 * It knows only the answers of a sidecar: a status, a few headers, a body whose length they state.
 */
import type { Socket } from 'node:net'
import { connectPrivately } from '../host/listen.ts'

const HEAD_BYTES = 64 * 1024
/** More than a sidecar's unread mail (32 MiB) when every byte needs a JSON escape of six. */
const RESPONSE_BYTES = 256 * 1024 * 1024

export interface Answer {
  status: number
  headers: Map<string, string>
  body: Buffer
}

export interface ExchangeOptions {
  signal?: AbortSignal
  /** 0: none. */
  timeoutMs?: number
  headers?: Record<string, string>
}

/** The connection ended before the answer did. */
export class Broken extends Error {
  /** The request may have been acted upon. */
  readonly sent: boolean

  constructor(message: string, sent: boolean, cause?: unknown) {
    super(message, { cause })
    this.sent = sent
  }
}

/** No answer came within `timeoutMs`. */
export class TimedOut extends Error {}

/** Posts `json` to `path`. Rejects with `Broken`, `TimedOut` or the signal's reason; all close the connection. */
export function post(socketPath: string, path: string, json: string, options: ExchangeOptions = {}): Promise<Answer> {
  const { signal, timeoutMs = 0 } = options
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason)
    let connected = false
    const answer = new AnswerReader()
    const socket = connectPrivately(socketPath)
    const timer = timeoutMs > 0 ? setTimeout(() => finish(() => reject(new TimedOut())), timeoutMs) : undefined
    const finish = (act: () => void) => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', abort)
      socket.destroy()
      act()
    }
    const abort = () => finish(() => reject(signal?.reason))
    signal?.addEventListener('abort', abort, { once: true })
    const settle = (chunk: Buffer) => {
      try {
        const done = answer.push(chunk)
        if (done) finish(() => resolve(done))
      } catch (error) {
        finish(() => reject(new Broken((error as Error).message, true, error)))
      }
    }
    socket.on('connect', () => {
      connected = true
      sendRequest(socket, path, json, options.headers)
    })
    socket.on('data', (chunk: Buffer) => settle(chunk))
    socket.on('error', (error) => finish(() => reject(new Broken(error.message, connected, error))))
    socket.on('close', () => finish(() => reject(new Broken('the connection closed', connected))))
  })
}

function sendRequest(socket: Socket, path: string, json: string, headers: Record<string, string> = {}): void {
  const extra = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  const head =
    `POST ${path} HTTP/1.1\r\nhost: mesh\r\nconnection: close\r\ncontent-type: application/json\r\n` +
    `content-length: ${Buffer.byteLength(json)}\r\n${extra.join('')}\r\n`
  socket.write(head + json)
}

/** Gathers the bytes of one answer. */
class AnswerReader {
  #chunks: Buffer[] = []
  #bytes = 0
  #head: { status: number; headers: Map<string, string> } | null = null
  /** Bytes of the body, once the head is read. */
  #length = Number.POSITIVE_INFINITY

  push(chunk: Buffer): Answer | null {
    this.#chunks.push(chunk)
    this.#bytes += chunk.length
    if (this.#bytes > RESPONSE_BYTES) throw new Error('the answer is too large')
    if (!this.#head && !this.#readHead()) return null
    return this.#bytes >= this.#length ? { ...this.#head!, body: Buffer.concat(this.#chunks) } : null
  }

  #readHead(): boolean {
    const all = Buffer.concat(this.#chunks)
    const end = all.indexOf('\r\n\r\n')
    if (end < 0) {
      if (all.length > HEAD_BYTES) throw new Error('the answer is not HTTP')
      return false
    }
    this.#head = parseHead(all.toString('latin1', 0, end))
    this.#length = Number(this.#head.headers.get('content-length') ?? Number.NaN)
    if (Number.isNaN(this.#length)) throw new Error('the answer does not say how long it is')
    const rest = all.subarray(end + 4)
    this.#chunks = [rest]
    this.#bytes = rest.length
    return true
  }
}

function parseHead(text: string): { status: number; headers: Map<string, string> } {
  const [first = '', ...lines] = text.split('\r\n')
  const status = /^HTTP\/1\.[01] (\d{3})/.exec(first)
  if (!status) throw new Error('the answer is not HTTP')
  const headers = new Map<string, string>()
  for (const line of lines) {
    const at = line.indexOf(':')
    if (at > 0) headers.set(line.slice(0, at).toLowerCase(), line.slice(at + 1).trim())
  }
  return { status: Number(status[1]), headers }
}
