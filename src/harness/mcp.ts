/**
 * A client of which only its MCP server is known. It has no doors: such a client cannot be given anything unasked, and
 * reads its mail by the calls that it makes.
 */
import { fstatSync } from 'node:fs'
import { Socket } from 'node:net'
import { basename } from 'node:path'
import { MeshError } from '../errors.ts'
import { identifyProcess, processState } from '../host/process/process.ts'
import type { ProcessIdentity } from '../wire/envelope.schema.ts'
import { type SessionEnd, sessionEnd } from '../wire/session-end.ts'
import type { Conversation, Harness, HarnessEvents } from './types.ts'

/**
 * The pause between looks at a client that may stand still, which its end of file does not show. Elsewhere than on
 * Linux a look starts `ps`.
 */
const LOOK_MS = process.platform === 'linux' ? 1000 : 5000

/**
 * Opens the session of a client whose MCP server started this process. `sessionDir` is `<mesh home>/run/mcp-<pid of the
 * server>`: one client may have several, each a connection of its own, and they end with their client. Standard output
 * is a socket to the server; its end of file is the end of the session.
 */
export function createMcpSession(sessionDir: string, cwd: string): Harness {
  const key = basename(sessionDir)
  const pid = Number(/^mcp-(\d+)$/.exec(key)?.[1])
  if (!pid) throw new MeshError('bad_request', `${sessionDir} is not the directory of an MCP client`)
  const identity = identifyProcess(pid)
  if (!identity) throw new MeshError('not_alive', `no process ${pid}`)
  return new McpSession(identity, { sessionId: `${key}:${identity.start}`.slice(0, 128), source: 'startup', cwd })
}

class McpSession implements Harness {
  readonly kind = 'mcp'
  readonly doors = []
  readonly process: ProcessIdentity
  readonly conversation: Conversation
  #socket: Socket | null = null
  #timer: NodeJS.Timeout | null = null
  #ended = false

  constructor(identity: ProcessIdentity, conversation: Conversation) {
    this.process = identity
    this.conversation = conversation
  }

  async start(events: HarnessEvents): Promise<void> {
    events.status('idle')
    this.#follow(1, () => this.#end(events, sessionEnd('disconnected')))
    this.#timer = setInterval(() => {
      const state = processState(this.process)
      if (state === 'dead') this.#end(events, sessionEnd('killed'))
      else if (!this.#ended) events.status(state === 'paused' ? 'paused' : 'idle')
    }, LOOK_MS)
    await events.conversation(this.conversation)
  }

  async stop(): Promise<void> {
    this.#ended = true
    if (this.#timer) clearInterval(this.#timer)
    this.#socket?.destroy()
  }

  #follow(fd: number, onClose: () => void): void {
    if (!fstatSync(fd).isSocket()) return
    this.#socket = new Socket({ fd, readable: true, writable: false, allowHalfOpen: true })
    this.#socket.once('end', onClose)
    this.#socket.once('close', onClose)
    this.#socket.on('error', () => {})
    this.#socket.resume()
  }

  #end(events: HarnessEvents, end: SessionEnd): void {
    if (this.#ended) return
    this.#ended = true
    events.ended(end)
  }
}
