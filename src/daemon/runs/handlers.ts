/** The operations on runs: what the events and records say, and ending a run of this machine. */
import type { ShownEvent, ShownRun } from '../../api/run-ops.schema.ts'
import { isOver, recordAfter } from '../../core/runs/run.ts'
import { MeshError } from '../../errors.ts'
import { runDir } from '../../host/home.ts'
import { lockOwner } from '../../host/lock.ts'
import { hostName } from '../../host/process/process.ts'
import type { Delivery } from '../../nats/mail.ts'
import type { RunStore } from '../../nats/run-store.ts'
import { changedAt, files, readSpec, readSteps, runIds } from '../../run/dir.ts'
import { recordOf } from '../../run/record.ts'
import { decodeEvent } from '../../wire/codec.ts'
import { times } from '../../wire/limits.ts'
import { checkName, isRunId, quote } from '../../wire/names.ts'
import type { RunEvent, RunRecord } from '../../wire/run.schema.ts'
import { FOREVER_MS } from '../mail/send.ts'
import type { Sidecar } from '../sidecar.ts'
import { deadline } from '../socket/deadline.ts'
import type { Handlers } from '../socket/server.ts'
import { stopRun } from './stop.ts'
import { traceRun } from './trace.ts'
import { nextChange, telling, waitForRuns } from './wait.ts'

type RunOp = 'runs' | 'run_events' | 'run_trace' | 'run_wait' | 'run_stop'

const ID_PREFIX = /^r_[0-9a-f]{8,31}$/
const DAY_MS = 86_400_000
/** A supervisor that reaches the engine has told of its run by then. */
const FRESH_MS = 30_000

export function createRunHandlers(sidecar: Sidecar): Pick<Handlers, RunOp> {
  return {
    async runs({ run }) {
      const store = sidecar.link.store.runs
      if (run !== undefined) return [await showRun(sidecar, store, await findRun(sidecar, run))]
      const recent = (await allRecords(sidecar)).filter(
        ({ endedAt }) => !endedAt || Date.now() - Date.parse(endedAt) < DAY_MS,
      )
      const shown = await Promise.all(recent.map((record) => showRun(sidecar, store, record)))
      return shown.sort((a, b) => (a.startedAt < b.startedAt ? -1 : 1))
    },

    async run_events({ run, owner, since, from, waitMs = 0 }, call) {
      const id = run === undefined ? undefined : (await findRun(sidecar, run)).id
      const scope = { ...(owner === undefined ? {} : { owner: checkName(owner) }), ...(id ? { run: id } : {}) }
      const after = since === undefined ? 0 : Date.parse(since)
      if (Number.isNaN(after)) throw new MeshError('bad_request', `${quote(since!)} is not a time`)
      const signal = deadline(call.signal, waitMs)
      for (let position = from ?? 1; ; ) {
        const store = sidecar.link.store.runs
        const changed = nextChange(store, scope, signal)
        const stored = await store.read(scope, position)
        position = (stored.at(-1)?.seq ?? position - 1) + 1
        const events = stored
          .flatMap((one) => showEvent(sidecar, one) ?? [])
          .filter(({ at }) => Date.parse(at) >= after)
        if (events.length > 0 || signal.aborted) {
          changed.stop()
          return { events, next: position }
        }
        await changed.happened
      }
    },

    async run_trace({ run }) {
      return traceRun(sidecar, await findRun(sidecar, run))
    },

    async run_wait({ runs, all = false, until = 'end', timeoutMs = FOREVER_MS }, call) {
      const ids = await Promise.all(runs.map(async (run) => (await findRun(sidecar, run)).id))
      const work = () => waitForRuns(sidecar, ids, until, all, deadline(call.signal, timeoutMs))
      return { events: await telling(sidecar, ids, until, call, work) }
    },

    async run_stop({ run, signal = 'SIGTERM', graceMs = times.runGrace }, call) {
      const record = await findRun(sidecar, run)
      const me = sidecar.record
      if (record.owner !== me.name && !me.roles.includes('operator'))
        throw new MeshError('denied', `${record.id} is a run of ${record.owner}`, {
          hint: 'ask its owner, or an operator',
        })
      if (isOver(record.state))
        throw new MeshError('not_alive', `${record.id} is over: ${record.state}`, { hint: 'mesh ps --runs' })
      // It has no process of its own: a signal would end its session.
      if (record.runKind === 'subagent')
        throw new MeshError(
          'bad_request',
          `${record.id} is a subagent of ${record.owner}: only its session can stop it`,
          {
            hint: `mesh send ${record.owner} -- please stop ${record.name}`,
          },
        )
      if (record.host !== hostName())
        throw new MeshError('conflict', `${record.id} runs on ${quote(record.host ?? '?')}`, { hint: 'stop it there' })
      const told = await telling(sidecar, [record.id], 'end', call, async () => {
        await stopRun(sidecar, record, signal, graceMs)
        return waitForRuns(sidecar, [record.id], 'end', true, call.signal)
      })
      return told[0]!
    },
  }
}

/** A run by its id, by a beginning of it, or by its name: the newest of that name. Throws `not_found`, `bad_request`. */
export async function findRun(sidecar: Sidecar, text: string): Promise<RunRecord> {
  const { runs } = sidecar.link.store
  if (isRunId(text)) {
    const known = (await runs.records.get(text))?.value ?? localRecord(sidecar, text)
    if (known) return current(sidecar, runs, known)
    throw notFound(text)
  }
  if (text.startsWith('r_') && !ID_PREFIX.test(text)) {
    throw new MeshError('bad_request', `${quote(text)} is not a run id`, {
      hint: 'r_ and 8 to 32 hex digits; mesh ps --runs',
    })
  }
  const isId = ID_PREFIX.test(text)
  const found = (await allRecords(sidecar)).filter(({ id, name }) => (isId ? id.startsWith(text) : name === text))
  if (isId && found.length > 1) throw new MeshError('bad_request', `${text} fits ${found.length} runs`)
  const newest = found.sort((a, b) => (a.startedAt < b.startedAt ? 1 : -1))[0]
  if (newest) return current(sidecar, runs, newest)
  throw notFound(text)
}

function notFound(text: string): MeshError {
  return new MeshError('not_found', `there is no run ${quote(text)} in this project`, {
    hint: 'mesh ps --runs lists them',
  })
}

/** A run of this machine that was not announced yet. */
function localRecord(sidecar: Sidecar, id: string): RunRecord | null {
  const spec = readSpec(runDir(sidecar.options.home, id))
  if (spec?.project !== sidecar.options.place.project) return null
  const started = readSteps(runDir(sidecar.options.home, id)).find((step) => step.t === 'started')
  const child = started ? { pid: started.child.pid } : {}
  return recordOf(spec, started?.at ?? new Date().toISOString(), { state: 'running', ...child })
}

/** Every run of the project, also those that began here so lately that the engine may not have them yet. */
async function allRecords(sidecar: Sidecar): Promise<RunRecord[]> {
  const { home } = sidecar.options
  const records = (await sidecar.link.store.runs.records.all()).map(({ value }) => value)
  const known = new Set(records.map(({ id }) => id))
  const fresh = runIds(home).filter((id) => !known.has(id) && Date.now() - changedAt(home, id) < FRESH_MS)
  return [...records, ...fresh.flatMap((id) => localRecord(sidecar, id) ?? [])]
}

/** The record as the events have it: an index may be a step behind, an end never is. */
async function current(sidecar: Sidecar, store: RunStore, record: RunRecord): Promise<RunRecord> {
  if (isOver(record.state)) return record
  const end = await store.end(record.id)
  const read = end && decode(sidecar, end)
  return read ? { ...record, ...recordAfter(record, read.event) } : record
}

async function showRun(sidecar: Sidecar, store: RunStore, found: RunRecord): Promise<ShownRun> {
  const record = await current(sidecar, store, found)
  const { id, runKind, name, owner, lineage, state, startedAt, host = null, pid = null } = record
  const { endedAt, reason, exitCode, signal, durationMs, text, percent } = record
  return {
    ...{ runId: id, kind: runKind, name, owner, parent: lineage.at(-1) ?? null, lineage, state, startedAt, host, pid },
    supervised: isOver(state) ? null : isSupervised(sidecar, record),
    ...{ endedAt, reason, exitCode, signal, durationMs, text, percent },
  }
}

function isSupervised(sidecar: Sidecar, { id, host }: RunRecord): boolean | null {
  if (host !== hostName()) return null
  return lockOwner(files.lock(runDir(sidecar.options.home, id))) !== null
}

export function decode(sidecar: Sidecar, { subject, data }: Delivery) {
  const read = decodeEvent(sidecar.options.place.project, subject, data, (member) => sidecar.ring.keyOf(member))
  return 'event' in read ? read : null
}

export function showEvent(sidecar: Sidecar, delivery: Delivery): ShownEvent | null {
  const found = decode(sidecar, delivery)
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
    run,
    runKind,
    lineage,
    ...rest
  } = event
  return { ...rest, runId: run, kind: runKind, lineage, parent: lineage.at(-1) ?? null, verified }
}
