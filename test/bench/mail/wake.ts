/**
 * An idle session of the real client woken by `mesh send`, through each of its doors: until its request reaches the
 * (scripted) model. The anchor is the client's own time: a frame written to its inbox socket by hand.
 */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { homedir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { call } from '../../../src/client/client.ts'
import { sessionDir, socketPath } from '../../../src/host/home.ts'
import { newId } from '../../../src/wire/names.ts'
import { type Lab as ClientLab, clientVersion, hasTmux, makeLab, Terminal } from '../../claude/support/client.ts'
import { eventually } from '../../claude/support/eventually.ts'
import { type Model, startModel } from '../../claude/support/mock-model.ts'
import type { Lab } from '../lab/lab.ts'
import { isLinux, timeProcess } from '../lab/process.ts'
import { ms, type Row, skipped, spread, summarize } from '../lab/row.ts'

const ROUNDS = 8
const BUDGET_MS = 20
/** A watched file is noticed late by the client itself. */
const WATCH_MS = 1000

/** The doors, and how a client is set up that has this one as its first. */
const ways = {
  mod: { what: 'idle session woken by the module', settings: {} },
  'inbox-socket': { what: 'idle session woken: mesh send → its model request', settings: {} },
  'file-watch': { what: 'idle session woken by the watched file', settings: { crossSessionInbound: 'refuse' } },
} as const
type Way = keyof typeof ways

const budgetOf = (way: Way) => (way === 'file-watch' ? `≤ ${WATCH_MS} ms` : '≤ the client’s own + 20 ms')

/** Never installed from here: `npm run test:claude` does. */
export function installedClient(): string | null {
  const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'sessionmesh-test')
  const path = join(cache, `claude-code-${clientVersion}`, 'node_modules', '.bin', 'claude')
  return existsSync(path) ? path : null
}

export const measureWake = (lab: Lab) => measureWay(lab, 'inbox-socket')
export const measureModuleWake = (lab: Lab) => measureWay(lab, 'mod')
export const measureWatchWake = (lab: Lab) => measureWay(lab, 'file-watch')

async function measureWay(lab: Lab, way: Way): Promise<Row> {
  const client = installedClient()
  const skip = (why: string) => skipped(ways[way].what, budgetOf(way), why)
  if (!client) return skip(`Claude Code ${clientVersion} is not in the tests’ cache`)
  if (!hasTmux()) return skip('tmux is not installed')
  if (!isLinux) return skip('the anchor reads the inbox socket’s name from /proc')
  const model = await startModel()
  const clientLab = makeLab(model.url)
  Object.assign(clientLab.env, {
    MESH_HOME: lab.home.root,
    MESH_ENGINE: lab.env.MESH_ENGINE,
    MESH_PROJECT: lab.project,
  })
  if (way === 'mod') clientLab.env.PATH = [dirname(client), clientLab.env.PATH].join(delimiter)
  const settings = JSON.parse(readFileSync(clientLab.settings, 'utf8')) as object
  writeFileSync(clientLab.settings, JSON.stringify({ ...settings, ...ways[way].settings }))
  const terminal = new Terminal(clientLab, client)
  try {
    return await wakeAll(lab, clientLab, terminal, model, way)
  } finally {
    terminal.close()
    await model.close()
    rmSync(clientLab.root, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 })
  }
}

async function wakeAll(lab: Lab, clientLab: ClientLab, terminal: Terminal, model: Model, way: Way): Promise<Row> {
  timeProcess(process.execPath, [lab.bin, 'install'], clientLab.env)
  const { pid } = await terminal.start()
  const dir = sessionDir(lab.home, `cc-${pid}`)
  const idle = () => eventually('the session is idle', async () => (await whoami(dir)).status === 'idle')
  await idle()
  const { name } = await whoami(dir)
  await lab.join('api')
  const request = (word: string) => call(lab.target('api').socket, 'send', { id: newId('m'), to: name, text: word })
  await reachDoor(dir, way, async () => {
    await timeWake(model, request)
    await idle()
  })
  const samples = { command: [] as number[], send: [] as number[], frame: [] as number[] }
  for (let i = 0; i < ROUNDS; i++) {
    if (way !== 'file-watch') samples.frame.push(await timeWake(model, (word) => postFrame(dir, word)))
    await idle()
    const env = { ...lab.env, MESH_NAME: 'api', MESH_PROJECT: lab.project }
    samples.command.push(
      await timeWake(model, (word) => void timeProcess(process.execPath, [lab.bin, 'send', name, '--', word], env)),
    )
    await idle()
    samples.send.push(await timeWake(model, request))
    await idle()
  }
  const [command, send] = [summarize(samples.command), summarize(samples.send)]
  const frame = samples.frame.length > 0 ? summarize(samples.frame) : null
  return {
    what: ways[way].what,
    measured: ms(send.p50),
    anchor: frame ? `a bare frame to the client’s socket ${ms(frame.p50)}` : '-',
    ratio: frame && send.p50 / frame.p50,
    budget: budgetOf(way),
    ok: send.p50 <= (frame ? frame.p50 + BUDGET_MS : WATCH_MS),
    details: [
      `accepted by the sender’s sidecar → request ${spread(send)}${frame ? `; bare frame ${spread(frame)}` : ''}`,
      `from the start of the mesh send command ${spread(command)}; Claude Code ${clientVersion}, interactive`,
    ],
    figures: { command, send, frame },
  }
}

/** Wakes the session until this door is its first: a client that refuses frames is known by two that led nowhere. */
async function reachDoor(dir: string, way: Way, wake: () => Promise<void>): Promise<void> {
  const first = async () => (await call(socketPath(dir), 'health', {})).doors.find(({ name }) => name !== 'hook')?.name
  if (way === 'mod') await eventually('the module is there', async () => (await first()) === way)
  for (let i = 0; (await first()) !== way; i++) {
    if (i > 4) throw new Error(`the door is ${await first()}, not ${way}`)
    await wake()
  }
}

function whoami(dir: string) {
  return call(socketPath(dir), 'whoami', {})
}

let count = 0

/** By the wall clock, as the model notes its requests. */
async function timeWake(model: Model, post: (word: string) => unknown): Promise<number> {
  const word = `wake-word-${++count}-end`
  const startedAt = performance.timeOrigin + performance.now()
  await post(word)
  const request = await eventually(`the model reads ${word}`, () => model.saw(word)[0])
  return request.at - startedAt
}

/** The sidecar's environment is the hook's: it names the socket and its token. */
export function postFrame(dir: string, word: string): Promise<void> {
  const { pid } = JSON.parse(readFileSync(join(dir, 'sidecar.json'), 'utf8')) as { pid: number }
  const lines = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0')
  const value = (name: string) => lines.find((line) => line.startsWith(`${name}=`))?.slice(name.length + 1)
  const [path, token] = [value('CLAUDE_CODE_MESSAGING_SOCKET'), value('CLAUDE_CODE_MESSAGING_TOKEN')]
  if (!path) throw new Error('the client has no inbox socket')
  const frames: object[] = [{ type: 'user', message: { role: 'user', content: word } }]
  if (token) frames.unshift({ type: 'auth', token })
  const data = frames.map((frame) => `${JSON.stringify(frame)}\n`).join('')
  return new Promise((resolve, reject) => {
    const socket = connect(path, () => socket.end(data, () => resolve()))
    socket.on('error', reject)
    socket.resume()
  })
}
