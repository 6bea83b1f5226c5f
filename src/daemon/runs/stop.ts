/** Ends a run of this machine: through its supervisor or, if that is gone, from this sidecar. */

import { rmSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { RunAnswer, RunSpec } from '../../api/supervisor.schema.ts'
import type { StopRequest } from '../../core/runs/process-end.ts'
import { MeshError } from '../../errors.ts'
import { readText } from '../../host/files.ts'
import { runDir } from '../../host/home.ts'
import { askLine } from '../../host/line.ts'
import { processState } from '../../host/process/process.ts'
import { files, isBySidecar, readSpec, readSteps, writeStop } from '../../run/dir.ts'
import { signalAttached, signalGroup } from '../../run/subject.ts'
import type { ProcessIdentity } from '../../wire/envelope.schema.ts'
import type { RunRecord } from '../../wire/run.schema.ts'
import type { RunsSession } from './runs.ts'

/** Time, on top of the grace, within which a supervisor that is awake answers. */
const ANSWER_MS = 3000
const POLL_MS = 50
/** Bytes read of the client's output when it started a background session. */
const SAID_BYTES = 64 * 1024

/** Asks the supervisor to stop the run. If it is dead or suspended, signals the process group directly. */
export async function stopRun(session: RunsSession, record: RunRecord, signal: string, graceMs: number): Promise<void> {
  const dir = runDir(session.home, record.id)
  const by = session.record.name
  const spec = readSpec(dir)
  const request = JSON.stringify({ op: 'stop', by, signal, graceMs })
  const asked = isBySidecar(spec) ? null : askLine(files.socket(dir), request, graceMs + ANSWER_MS)
  const answer = await asked?.catch((error) => {
    if (MeshError.from(error).code === 'timeout') return null
    throw error
  })
  if (answer !== null && answer !== undefined) {
    const word = JSON.parse(answer) as RunAnswer
    if ('error' in word) throw MeshError.fromBody(word.error)
    return
  }
  const started = readSteps(dir).find((step) => step.t === 'started')
  if (!started || processState(started.child) === 'dead') return
  if (spec?.runKind === 'subagent')
    throw new MeshError('conflict', `${record.id} is a subagent`, {
      hint: `stop its session: ${record.lineage.at(-1)}`,
    })
  const stop = { by, signal, at: new Date().toISOString() }
  if (spec?.background) return stopInBackground(session, spec, started.child, stop, graceMs)
  // A process that mesh did not start may be in a group with others.
  const isForeign = spec?.attach !== undefined || isBySidecar(spec)
  const send = (name: NodeJS.Signals | 0) =>
    isForeign ? signalAttached(started.child, name) : signalGroup(started.child.pid, name)
  send(0)
  writeStop(dir, stop)
  send(signal as NodeJS.Signals)
  send('SIGCONT')
  if (!(await isDeadWithin(started.child, graceMs))) send('SIGKILL')
}

/**
 * Makes the client end a background session, or returns that it did not. The client restarts one that is only killed.
 */
async function stopInBackground(
  session: RunsSession,
  spec: RunSpec,
  child: ProcessIdentity,
  stop: StopRequest,
  graceMs: number,
): Promise<void> {
  const { home, runs } = session
  const dir = runDir(home, spec.run)
  const isFirst = writeStop(dir, stop) === stop
  try {
    await runs.stopBackground?.(spec, child.pid, readText(files.output(dir, 'stdout'), SAID_BYTES) ?? '')
    if (await isDeadWithin(child, graceMs + ANSWER_MS)) return
    throw new MeshError('conflict', `its client did not end process ${child.pid}`)
  } catch (error) {
    // It goes on: this stop is not the reason of its later end.
    if (isFirst) rmSync(files.stop(dir), { force: true })
    throw new MeshError('conflict', `${spec.run} goes on: ${MeshError.from(error).message}`, {
      hint: `its client starts it again when it is killed: mesh logs ${spec.name} says how to stop it`,
    })
  }
}

async function isDeadWithin(child: ProcessIdentity, ms: number): Promise<boolean> {
  for (const until = performance.now() + ms; processState(child) !== 'dead'; ) {
    if (performance.now() > until) return false
    await sleep(POLL_MS)
  }
  return true
}
