/** Handles the operations on runs: shows events and records, and ends runs of this machine. */
import { isOver } from '../../core/runs/run.ts'
import { MeshError } from '../../errors.ts'
import { hostName } from '../../host/process/process.ts'
import { untilFound } from '../../link/until.ts'
import { times } from '../../wire/limits.ts'
import { checkName, quote } from '../../wire/names.ts'
import type { RunRecord } from '../../wire/run.schema.ts'
import { deadline, FOREVER_MS, type HandlersOf } from '../socket/call.ts'
import { findRun, recentRecords } from './find.ts'
import type { RunsSession } from './runs.ts'
import { showEvent, showRun } from './show.ts'
import { stopRun } from './stop.ts'
import { traceRun } from './trace.ts'
import { answering, LOOK_MS, waitForRuns } from './wait.ts'

export const runHandlers = {
  async runs(session, { run }) {
    const store = session.link.store.runs
    if (run !== undefined) return [await showRun(session, store, await findRun(session, run))]
    const shown = await Promise.all((await recentRecords(session)).map((record) => showRun(session, store, record)))
    return shown.sort((a, b) => (a.startedAt < b.startedAt ? -1 : 1))
  },

  async run_events(session, { run, owner, since, from, waitMs = 0 }, call) {
    const id = run === undefined ? undefined : (await findRun(session, run)).id
    const scope = { ...(owner === undefined ? {} : { owner: checkName(owner) }), ...(id ? { run: id } : {}) }
    const after = since === undefined ? 0 : Date.parse(since)
    if (Number.isNaN(after)) throw new MeshError('bad_request', `${quote(since!)} is not a time`)
    let next = from ?? 1
    const look = async () => {
      const stored = await session.link.store.runs.read(scope, next)
      next = (stored.at(-1)?.seq ?? next - 1) + 1
      const events = stored.flatMap((one) => showEvent(session, one) ?? []).filter(({ at }) => Date.parse(at) >= after)
      return events.length > 0 ? events : null
    }
    const subscribe = (changed: () => void) => session.link.store.runs.follow(scope, changed)
    const events = await untilFound(look, { subscribe, signal: deadline(call.signal, waitMs), pollMs: LOOK_MS })
    return { events: events ?? [], next }
  },

  async run_trace(session, { run }) {
    return traceRun(session, await findRun(session, run))
  },

  async run_wait(session, { runs, all = false, until = 'end', timeoutMs = FOREVER_MS }, call) {
    const ids = await Promise.all(runs.map(async (run) => (await findRun(session, run)).id))
    const work = () => waitForRuns(session, ids, until, all, deadline(call.signal, timeoutMs))
    return { events: await answering(session, ids, until, call, work) }
  },

  async run_stop(session, { run, signal = 'SIGTERM', graceMs = times.runGrace, yes = false }, call) {
    const record = await findRun(session, run)
    const me = session.record
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
    if (!yes && record.owner !== me.name && isOfPerson(record))
      throw new MeshError('conflict', `${record.name} is a session that a person started: nothing was stopped`, {
        detail: 'needs_consent',
        hint: `to end it all the same: mesh stop ${run} --yes`,
      })
    const ends = await answering(session, [record.id], 'end', call, async () => {
      await stopRun(session, record, signal, graceMs)
      return waitForRuns(session, [record.id], 'end', true, call.signal)
    })
    return ends[0]!
  },
} satisfies HandlersOf<RunsSession>

/** A session that nobody spawned owns itself. */
function isOfPerson({ runKind, name, owner }: RunRecord): boolean {
  return runKind === 'session' && owner === name
}
