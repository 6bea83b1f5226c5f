/** The engine's port: choosing one that is free, and asking one whether our server answers on it. */
import { connect, createServer, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { MeshError } from '../errors.ts'

export const HOST = '127.0.0.1'
/**
 * Ports are chosen below the ephemeral ranges (32768 up on Linux, 49152 up on macOS): a client that dials a dead port
 * inside its range again and again ends up connected to itself, and then keeps the port from the server.
 */
const FIRST_PORT = 20_000
const PORTS = 10_000
const PORT_TRIES = 20
/** A store of 100,000 messages is ready in 0.2 s; a slow disk and a large store may take a hundred times as long. */
export const START_MS = 30_000
const POLL_MS = 4
const PROBE_MS = 1_000
const INFO_BYTES = 64 * 1024

/** The kept port, so that clients find the engine again; another if there is none or another process has it. */
export async function choosePort(kept: number | undefined): Promise<number> {
  if (kept !== undefined && (await isFree(kept))) return kept
  for (let i = 0; i < PORT_TRIES; i++) {
    const port = FIRST_PORT + Math.floor(Math.random() * PORTS)
    if (await isFree(port)) return port
  }
  throw new MeshError('mesh_down', `${PORT_TRIES} ports tried, none was free`, { hint: 'try again: mesh up' })
}

export function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen({ host: HOST, port }, () => server.close(() => resolve(true)))
  })
}

/** Throws unless the process that was meant is at the other end of the connection. */
type Prove = (socket: Socket) => Promise<void>

/** True once the server of that name answers on the port, and is proven where another process may have been faster. */
export async function untilServing(port: number, name: string, alive: () => boolean, prove?: Prove): Promise<boolean> {
  const deadline = performance.now() + START_MS
  while (alive() && performance.now() < deadline) {
    if (await serves(port, name, prove)) return alive()
    await sleep(POLL_MS)
  }
  return false
}

/** True if the server of that name answers on the port. It greets with `INFO {...}`; an nkey server sends a nonce. */
export function serves(port: number, name: string, prove: Prove = async () => {}): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: HOST, port, timeout: PROBE_MS })
    const finish = (answer: boolean) => {
      socket.destroy()
      resolve(answer)
    }
    let text = ''
    socket.setEncoding('utf8')
    socket.on('data', (chunk: string) => {
      text += chunk
      if (!text.includes('\n') && text.length <= INFO_BYTES) return
      if (isGreeting(text, name))
        void prove(socket).then(
          () => finish(true),
          () => finish(false),
        )
      else finish(false)
    })
    for (const event of ['error', 'timeout', 'end', 'close']) socket.once(event, () => finish(false))
  })
}

function isGreeting(text: string, name: string): boolean {
  try {
    const info = JSON.parse(/^INFO (\{.*\})/.exec(text)?.[1] ?? '') as { server_name?: unknown; nonce?: unknown }
    return info.server_name === name && typeof info.nonce === 'string'
  } catch {
    return false
  }
}

export function urlOf(port: number): string {
  return `nats://${HOST}:${port}`
}
