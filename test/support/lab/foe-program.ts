/**
 * What another local user would run: takes the engine's port once it is free, says what the engine says, and relays those
 * who come to the engine wherever that is by then. Reports as JSON lines.
 */
import { readFileSync } from 'node:fs'
import { createServer, connect as dial, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

const HOST = '127.0.0.1'
/** Where engines listen. */
const [FIRST, LAST] = [20_000, 30_000]
const LISTENS = '0A'
const SEEK_MS = 2000

const port = Number(process.env.FOE_PORT)
const first = await greet(Number(process.env.FOE_ENGINE))
const name = nameIn(first?.info ?? '')
first?.socket.destroy()

function say(word: object): void {
  process.stdout.write(`${JSON.stringify(word)}\n`)
}

/** A connection to a server, and the line that it greets with. */
function greet(at: number): Promise<{ socket: Socket; info: string } | null> {
  return new Promise((resolve) => {
    const socket = dial({ host: HOST, port: at })
    socket.on('error', () => resolve(null))
    socket.once('close', () => resolve(null))
    socket.once('data', (chunk: Buffer) => resolve({ socket, info: chunk.toString('latin1') }))
  })
}

function nameIn(info: string): string | undefined {
  return /"server_name":"([^"]*)"/.exec(info)?.[1]
}

/** The engine, at whatever port it is now. */
async function seekEngine(): Promise<{ socket: Socket; info: string } | null> {
  const deadline = performance.now() + SEEK_MS
  while (performance.now() < deadline) {
    for (const at of listeners()) {
      const found = await greet(at)
      if (found && nameIn(found.info) === name) return found
      found?.socket.destroy()
    }
    await sleep(20)
  }
  return null
}

function listeners(): number[] {
  const rows = readFileSync('/proc/net/tcp', 'latin1')
    .split('\n')
    .map((row) => row.trim().split(/\s+/))
  const ports = rows.filter((row) => row[3] === LISTENS).map((row) => Number.parseInt(row[1]!.split(':')[1]!, 16))
  return ports.filter((at) => at >= FIRST && at < LAST && at !== port)
}

async function onVictim(victim: Socket): Promise<void> {
  say({ victim: victim.remotePort })
  victim.on('error', () => {})
  victim.on('data', (chunk: Buffer) => say({ heard: chunk.length, text: chunk.toString('latin1', 0, 80) }))
  const engine = await seekEngine()
  if (!engine) return void victim.end(first?.info ?? '')
  say({ relayed: victim.remotePort })
  victim.write(engine.info, 'latin1')
  victim.pipe(engine.socket).pipe(victim)
}

const server = createServer((victim) => void onVictim(victim))
server.on('error', () => setImmediate(() => server.listen({ host: HOST, port })))
server.once('listening', () => say({ captured: port }))
say({ ready: name ?? null })
server.listen({ host: HOST, port })
