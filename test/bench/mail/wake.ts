/**
 * An idle session of the real client woken by `mesh send`: until its request reaches the (scripted) model. The anchor is
 * the client's own time: the same kind of frame written to its inbox socket by hand.
 */
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { call } from '../../../src/client/client.ts'
import { sessionDir, socketPath } from '../../../src/host/home.ts'
import { newId } from '../../../src/wire/names.ts'
import { type Lab as ClientLab, clientVersion, hasTmux, makeLab, Terminal } from '../../claude/support/client.ts'
import { eventually } from '../../claude/support/eventually.ts'
import { type Model, startModel } from '../../claude/support/mock-model.ts'
import type { Lab } from '../lab/lab.ts'
import { isLinux, timeProcess } from '../lab/process.ts'
import { ms, type Row, skipped, spread, summarize } from '../lab/row.ts'

const WHAT = 'idle session woken: mesh send → its model request'
const BUDGET = '≤ the client’s own + 20 ms'
const ROUNDS = 8
const BUDGET_MS = 20

/** Never installed from here: `npm run test:claude` does. */
export function installedClient(): string | null {
  const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'sessionmesh-test')
  const path = join(cache, `claude-code-${clientVersion}`, 'node_modules', '.bin', 'claude')
  return existsSync(path) ? path : null
}

export async function measureWake(lab: Lab): Promise<Row> {
  const client = installedClient()
  if (!client) return skipped(WHAT, BUDGET, `Claude Code ${clientVersion} is not in the tests’ cache`)
  if (!hasTmux()) return skipped(WHAT, BUDGET, 'tmux is not installed')
  if (!isLinux) return skipped(WHAT, BUDGET, 'the anchor reads the inbox socket’s name from /proc')
  const model = await startModel()
  const clientLab = makeLab(model.url)
  Object.assign(clientLab.env, {
    MESH_HOME: lab.home.root,
    MESH_ENGINE: lab.env.MESH_ENGINE,
    MESH_PROJECT: lab.project,
  })
  const terminal = new Terminal(clientLab, client)
  try {
    return await wakeAll(lab, clientLab, terminal, model)
  } finally {
    terminal.close()
    await model.close()
    rmSync(clientLab.root, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 })
  }
}

async function wakeAll(lab: Lab, clientLab: ClientLab, terminal: Terminal, model: Model): Promise<Row> {
  timeProcess(process.execPath, [lab.bin, 'install'], clientLab.env)
  const { pid } = await terminal.start()
  const dir = sessionDir(lab.home, `cc-${pid}`)
  const idle = () => eventually('the session is idle', async () => (await whoami(dir)).status === 'idle')
  await idle()
  const { name } = await whoami(dir)
  await lab.join('api')
  const samples = { command: [] as number[], send: [] as number[], frame: [] as number[] }
  for (let i = 0; i < ROUNDS; i++) {
    samples.frame.push(await timeWake(model, (word) => postFrame(dir, word)))
    await idle()
    const env = { ...lab.env, MESH_NAME: 'api', MESH_PROJECT: lab.project }
    samples.command.push(
      await timeWake(model, (word) => void timeProcess(process.execPath, [lab.bin, 'send', name, '--', word], env)),
    )
    await idle()
    const request = (word: string) => call(lab.target('api').socket, 'send', { id: newId('m'), to: name, text: word })
    samples.send.push(await timeWake(model, request))
    await idle()
  }
  const [command, send, frame] = [summarize(samples.command), summarize(samples.send), summarize(samples.frame)]
  return {
    what: WHAT,
    measured: ms(send.p50),
    anchor: `a bare frame to the client’s socket ${ms(frame.p50)}`,
    ratio: send.p50 / frame.p50,
    budget: BUDGET,
    ok: send.p50 <= frame.p50 + BUDGET_MS,
    details: [
      `accepted by the sender’s sidecar → request ${spread(send)}; bare frame ${spread(frame)}`,
      `from the start of the mesh send command ${spread(command)}; Claude Code ${clientVersion}, interactive`,
    ],
    figures: { command, send, frame },
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
