/** A run's record and events, as made on the machine where it runs. */
import type { EndedRun, RunSpec } from '../api/supervisor.schema.ts'
import { runReasonCode } from '../core/runs/reason-code.ts'
import { isTerminal, type Run } from '../core/runs/run.ts'
import { MeshError } from '../errors.ts'
import { hostName } from '../host/process/process.ts'
import { LOCAL_MEMBER, localSender } from '../link/keys.ts'
import type { RunEvent, RunRecord } from '../wire/run.schema.ts'
import type { RunStep } from './dir.ts'

/** A run's record before its first event. */
export function recordOf(spec: RunSpec, startedAt: string, more: Partial<RunRecord>): RunRecord {
  const { run, name, owner, project, lineage, cwd, runKind = 'process' } = spec
  return {
    v: 1,
    kind: 'run',
    id: run,
    project,
    runKind,
    name,
    owner,
    lineage,
    member: LOCAL_MEMBER,
    state: 'spawned',
    seq: 0,
    startedAt,
    host: hostName(),
    cwd,
    ...more,
  } as RunRecord
}

/** Makes an event of a run, published by `from` of this member. */
export function eventOf(
  spec: RunSpec,
  seq: number,
  from: string,
  fields: Pick<RunEvent, 'type' | 'at'> & Partial<RunEvent>,
): RunEvent {
  const { run, name, owner, project, lineage, runKind = 'process', attended, notify } = spec
  const by = localSender({ name: from, epoch: 0 })
  const isAskedFor = notify === 'progress' && fields.type === 'run_progress' && fields.text !== undefined
  const marks = { ...(attended ? { attended } : {}), ...(isAskedFor ? { notify: true } : {}) }
  const identity = { v: 1, kind: 'run_event', id: `${run}.${seq}`, project, run, runKind } as const
  return { ...identity, name, owner, lineage, from: by, seq, ...marks, ...fields }
}

/** Returns a run's end as a waiting command reads it. */
export function endedOf(event: RunEvent, run: Run): EndedRun {
  if (!isTerminal(event.type)) throw new MeshError('internal', `${event.type} is no end`)
  const { reason = '', exitCode = null, signal = null, durationMs = 0, stderrTail = '' } = event
  const state = run.state as EndedRun['state']
  const code = runReasonCode(event)
  const reasonCode = code === undefined ? {} : { reasonCode: code }
  return { runId: event.run, state, reason, ...reasonCode, exitCode, signal, durationMs, stderrTail }
}

/** The first event of a run that is on disk as started. */
export function spawnedBy(
  spec: RunSpec,
  { at, child }: RunStep & { t: 'started' },
): Pick<RunEvent, 'type' | 'at'> & Partial<RunEvent> {
  const attached = spec.attach ? { evidence: `attached: process ${child.pid} ran already` } : {}
  return { type: 'run_spawned', at, host: hostName(), pid: child.pid, ...attached }
}
