/**
 * `mesh demo`: what mesh does, shown on a mesh of its own that is gone afterwards. Every line is printed when its thing
 * has happened, as the mesh command itself shows it: everything here runs as child processes.
 */
import { rmSync } from 'node:fs'
import { constants } from 'node:os'
import { MeshError } from '../../../errors.ts'
import type { Context } from '../../command.ts'
import { type Shown, Stage, since } from './stage.ts'
import { steps } from './steps.ts'

/** On a terminal there is time to read. */
const READ_MS = 900
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

export async function run({ env, home, out }: Context): Promise<number> {
  const stage = new Stage(env, home, out)
  const stopped = catchSignals(stage)
  let code = 1
  try {
    await stage.print({ name: 'home' }, { text: `a mesh of its own in ${stage.root}`, fields: { path: stage.root } })
    code = await play(stage)
  } finally {
    code = Math.max(code, await strike(stage))
  }
  if (stopped.signal) return 128 + constants.signals[stopped.signal]
  if (code === 0 && !out.json) await out.line(NEXT)
  return code
}

const NEXT = [
  '',
  'Next: mesh install    every new Claude Code session joins by itself',
  '      mesh ps         who is there; mesh --help lists the commands, README.md has a tour',
].join('\n')

/** The command line ends itself at once on an interrupt. Here there is something to clean up first. */
function catchSignals(stage: Stage): { signal: NodeJS.Signals | null } {
  const stopped: { signal: NodeJS.Signals | null } = { signal: null }
  for (const signal of SIGNALS) {
    process.removeAllListeners(signal)
    process.on(signal, () => {
      stopped.signal ??= signal
      stage.stop.abort(new MeshError('internal', `interrupted by ${signal}`))
      stage.endChildren()
    })
  }
  return stopped
}

async function play(stage: Stage): Promise<number> {
  for (const step of steps) {
    try {
      await stage.print(step, await step.run(stage))
      if (process.stdout.isTTY) await stage.pause(READ_MS)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EPIPE') throw error
      const { message } = stage.stop.signal.aborted ? stage.stop.signal.reason : MeshError.from(error)
      await stage.print(step, { text: `FAILED: ${message}`, fields: { ok: false } })
      return 1
    }
  }
  return 0
}

/** Ends everything and says what was left. Never throws: who reads along may have gone. */
async function strike(stage: Stage): Promise<number> {
  let ok = false
  let shown: Shown
  try {
    shown = await cleanUp(stage)
    ok = shown.fields.ok !== false
  } catch (error) {
    shown = { text: `FAILED: ${MeshError.from(error).message}`, fields: { ok: false } }
  }
  await stage.print({ name: 'down' }, shown).catch(() => {})
  return ok ? 0 : 1
}

async function cleanUp(stage: Stage): Promise<Shown> {
  const startedAt = performance.now()
  stage.endChildren()
  const down = await stage.mesh(null, ['down', '--json'], { always: true })
  const left = await stage.processesLeft()
  for (const pid of left) process.kill(pid, 'SIGKILL')
  rmSync(stage.root, { recursive: true, force: true })
  const fields = { ...(JSON.parse(down) as object), left, ms: since(startedAt), ok: left.length === 0 }
  if (left.length === 0) return { text: `mesh down: nothing left running, ${stage.root} removed`, fields }
  return { text: `FAILED: mesh down left ${left.length} processes running, which were killed`, fields }
}
