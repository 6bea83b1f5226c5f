/** Converts runs and their events to the form that callers see. */
import type { ShownEvent, ShownRun } from '../../api/run-ops.schema.ts'
import { runReasonCode } from '../../core/runs/reason-code.ts'
import { isOver } from '../../core/runs/run.ts'
import { runDir } from '../../host/home.ts'
import { lockOwner } from '../../host/lock.ts'
import { hostName } from '../../host/process/process.ts'
import type { Delivery } from '../../nats/mail.ts'
import type { RunStore } from '../../nats/run-store.ts'
import { files } from '../../run/dir.ts'
import type { RunEvent, RunRecord } from '../../wire/run.schema.ts'
import type { Session } from '../session.ts'
import { current, decode } from './find.ts'

export async function showRun(session: Session, store: RunStore, found: RunRecord): Promise<ShownRun> {
  const record = await current(session, store, found)
  const { id, runKind, name, owner, lineage, state, startedAt, host = null, pid = null } = record
  const { endedAt, reason, suspect, exitCode, signal, durationMs, text, percent } = record
  const reasonCode = runReasonCode(record)
  return {
    runId: id,
    kind: runKind,
    name,
    owner,
    parent: lineage.at(-1) ?? null,
    lineage,
    state,
    startedAt,
    host,
    pid,
    supervised: isOver(state) ? null : isSupervised(session, record),
    endedAt,
    reason,
    reasonCode,
    suspect,
    exitCode,
    signal,
    durationMs,
    text,
    percent,
  }
}

function isSupervised(session: Session, { id, host }: RunRecord): boolean | null {
  if (host !== hostName()) return null
  return lockOwner(files.lock(runDir(session.home, id))) !== null
}

export function showEvent(session: Session, delivery: Delivery): ShownEvent | null {
  const found = decode(session, delivery)
  return found && shownEvent(found.event, found.verified)
}

function shownEvent(event: RunEvent, verified: boolean): ShownEvent {
  const {
    v: _v,
    kind: _kind,
    id: _id,
    project: _project,
    from: _from,
    sig: _sig,
    reasonCode: _code,
    run,
    runKind,
    lineage,
    ...rest
  } = event
  const reasonCode = runReasonCode(event)
  const shown = { ...rest, ...(reasonCode === undefined ? {} : { reasonCode }) }
  return { ...shown, runId: run, kind: runKind, lineage, parent: lineage.at(-1) ?? null, verified }
}
