/** Runs a command without a supervisor, where a sandbox keeps one from the mesh home: an unreachable mesh prevents no run. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { EndedRun, RunSpec } from '../api/supervisor.schema.ts'
import { MeshError } from '../errors.ts'
import type { Env } from '../host/home.ts'
import { Refused, type StartedRun } from './runs.ts'

const NOT_FOUND = 127
const NOT_EXECUTABLE = 126
const GRACE_MS = 5000

/** Starts the command of `spec` as a child of this process. Throws `Refused` as `startRun` does. */
export async function startAlone(spec: RunSpec, env: Env): Promise<StartedRun> {
  const startedAt = performance.now()
  const [word = '', ...args] = spec.command
  const child = spawn(word, args, { cwd: spec.cwd, env, stdio: 'inherit' })
  await once(child, 'spawn').catch((error: NodeJS.ErrnoException) => {
    throw refused(word, error)
  })
  return { pid: child.pid!, ended: ended(spec, child, startedAt), signal: (name) => void child.kill(name) }
}

async function ended(spec: RunSpec, child: ChildProcess, startedAt: number): Promise<EndedRun> {
  let isLate = false
  const timers = spec.timeoutMs === null ? [] : [setTimeout(late, spec.timeoutMs)]
  const [exitCode, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null]
  for (const timer of timers) clearTimeout(timer)
  const durationMs = Math.round(performance.now() - startedAt)
  const shown = { runId: spec.run, exitCode, signal, durationMs, stderrTail: '' }
  if (isLate) return { ...shown, state: 'terminated', reason: 'timeout', reasonCode: 'timeout' }
  if (signal) return { ...shown, state: 'terminated', reason: `signal ${signal}`, reasonCode: 'signalled' }
  const state = exitCode === 0 ? 'completed' : 'failed'
  return { ...shown, state, reason: `exit ${exitCode}`, reasonCode: 'exited' }

  function late(): void {
    isLate = true
    child.kill('SIGTERM')
    timers.push(setTimeout(() => child.kill('SIGKILL'), GRACE_MS))
  }
}

function refused(word: string, { code }: NodeJS.ErrnoException): Refused {
  const isAbsent = code === 'ENOENT'
  const what = isAbsent ? 'not found' : 'cannot be executed'
  const error = new MeshError('bad_request', `${word}: ${what}`, { hint: 'nothing was run' })
  return new Refused(isAbsent ? NOT_FOUND : NOT_EXECUTABLE, error.toBody())
}
