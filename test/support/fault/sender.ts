/**
 * A sender of the crash suite, run as a process of its own: what `mesh send` does, without a Node start per message.
 * It is the command's own context, client and `transmit`, in a loop; a share of the messages goes by the real command.
 */
import './version.ts'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { transmit } from '../../../src/cli/commands/mail/sending.ts'
import { createContext } from '../../../src/cli/context.ts'
import type { Parsed } from '../../../src/cli/parse.ts'
import { MeshError } from '../../../src/errors.ts'

export interface SenderJob {
  name: string
  /** One lane per recipient: its messages go one after the other, lanes side by side. */
  lanes: { to: string; count: number }[]
  /** Every n-th message of a lane goes by the real command. */
  cliEvery: number
  meshJs: string
}

/** What became of one message, one JSON line each. Acknowledged: `state` is set. */
export interface SendOutcome {
  text: string
  from: string
  to: string
  n: number
  via: 'client' | 'cli'
  ms: number
  id?: string
  state?: string
  error?: string
}

type Result = Pick<SendOutcome, 'id' | 'state' | 'error'>

async function runLane(job: SenderJob, to: string, count: number): Promise<void> {
  const sidecar = contextOf(job.name).sidecar()
  for (let n = 1; n <= count; n++) {
    const words = `${job.name}>${to} ${n}`
    const via = n % job.cliEvery === 0 ? 'cli' : 'client'
    const startedAt = performance.now()
    const result = via === 'cli' ? await sendByCommand(job, to, words) : await sendByClient(sidecar, to, words)
    const ms = Math.round(performance.now() - startedAt)
    const outcome: SendOutcome = { text: words, from: job.name, to, n, via, ms, ...result }
    process.stdout.write(`${JSON.stringify(outcome)}\n`)
  }
}

/** As the command line makes it from `mesh send --as NAME`. */
function contextOf(name: string) {
  const parsed = { command: { name: 'send' }, args: [], flags: { as: name, json: true } } as unknown as Parsed
  return createContext(parsed, process.env, () => process.cwd())
}

async function sendByClient(sidecar: ReturnType<ReturnType<typeof contextOf>['sidecar']>, to: string, words: string) {
  try {
    const { id, state } = await transmit(sidecar, 'send', { to, text: words })
    return { id, state }
  } catch (error) {
    const { code, message } = MeshError.from(error)
    return { error: `${code}: ${message}` }
  }
}

async function sendByCommand(job: SenderJob, to: string, words: string): Promise<Result> {
  const args = [job.meshJs, 'send', to, '--json', '--as', job.name, '--', words]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')])
  if (child.exitCode !== 0) return { error: `exit ${child.exitCode}: ${stderr.trim()}` }
  const { id, state } = JSON.parse(stdout) as { id: string; state: string }
  return { id, state }
}

/** Runs only as a program; the test imports the types. */
if (process.env.FAULT_JOB) {
  const job = JSON.parse(process.env.FAULT_JOB) as SenderJob
  await Promise.all(job.lanes.map(({ to, count }) => runLane(job, to, count)))
}
