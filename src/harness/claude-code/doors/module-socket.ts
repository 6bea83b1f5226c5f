/** The socket `mod` in the session directory: mesh's module in the client waits there for orders and reports what it did. */
import { existsSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { moduleSocketPath } from '../../../host/home.ts'
import { listenPrivately } from '../../../host/listen.ts'
import { type ModuleEvent, moduleEvent, type Order } from './module.schema.ts'

/** The client cuts a request after 30 s (2.1.332). */
const POLL_MS = 25_000
const EVENT_BYTES = 16 * 1024
/** Two plugins with the module, and one that is being reloaded. */
const POLLS = 4

/** The polls and events of one module. */
export interface ModuleHost {
  /** An open poll began or ended. */
  polled(): void
  /** A poll was answered with nothing: another is about to come. */
  renewed(): void
  /** Resolves to the order for the module that reported this. */
  heard(event: ModuleEvent): Promise<Order>
}

export class ModuleSocket {
  readonly #path: string
  readonly #host: ModuleHost
  readonly #log: (message: string, fields: object) => void
  readonly #polls = new Set<ServerResponse>()
  #server: Server | null = null

  constructor(sessionDir: string, host: ModuleHost, log: (message: string, fields: object) => void) {
    this.#path = moduleSocketPath(sessionDir)
    this.#host = host
    this.#log = log
  }

  /** Listens, again where the socket was removed. Without one the module is not heard, and other doors serve. */
  async listen(): Promise<void> {
    if (this.#server && existsSync(this.#path)) return
    this.#server?.close()
    const server = createServer((request, response) => void this.#answer(request, response))
    this.#server = server
    try {
      await listenPrivately(server, this.#path)
    } catch (error) {
      this.#log('the module has no socket', { error: String(error) })
      if (this.#server === server) this.#server = null
    }
  }

  stop(): void {
    this.#server?.close()
    this.#server?.closeAllConnections()
    this.#server = null
  }

  get polls(): number {
    return this.#polls.size
  }

  /** Answers one poll. Returns false if none is open. */
  order(order: Order): boolean {
    const [poll] = this.#polls
    if (!poll) return false
    this.#polls.delete(poll)
    reply(poll, order)
    return true
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.headers.origin !== undefined) return reply(response, { op: 'none' }, 403)
    if (request.method === 'GET' && request.url === '/wait') return this.#wait(response)
    const event = request.url === '/ev' ? await readEvent(request) : null
    if (!event) return reply(response, { op: 'none' }, 400)
    reply(response, await this.#host.heard(event))
  }

  #wait(response: ServerResponse): void {
    if (this.#polls.size >= POLLS) {
      reply(response, { op: 'none' }, 429)
      return
    }
    this.#polls.add(response)
    const timer = setTimeout(() => {
      if (!this.#polls.delete(response)) return
      reply(response, { op: 'none' })
      this.#host.renewed()
    }, POLL_MS)
    response.once('close', () => {
      clearTimeout(timer)
      this.#polls.delete(response)
      this.#host.polled()
    })
    this.#host.polled()
  }
}

/** Returns null for what is no event. */
async function readEvent(request: IncomingMessage): Promise<ModuleEvent | null> {
  let text = ''
  try {
    for await (const chunk of request.setEncoding('utf8') as AsyncIterable<string>) {
      text += chunk
      if (text.length > EVENT_BYTES) return null
    }
    return moduleEvent.safeParse(JSON.parse(text)).data ?? null
  } catch {
    return null
  }
}

function reply(response: ServerResponse, order: Order, status = 200): void {
  if (response.destroyed) return
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(JSON.stringify(order))
}
