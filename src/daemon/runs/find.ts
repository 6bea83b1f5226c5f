/** Finds runs, including those of this machine that the engine does not know yet. */
import { isOver, recordAfter } from '../../core/runs/run.ts'
import { MeshError } from '../../errors.ts'
import { runDir } from '../../host/home.ts'
import { isAway } from '../../link/until.ts'
import type { Entry } from '../../nats/bucket.ts'
import type { Delivery } from '../../nats/mail.ts'
import type { RunStore } from '../../nats/run-store.ts'
import { changedAt, readSpec, readSteps, runIds } from '../../run/dir.ts'
import { recordOf } from '../../run/record.ts'
import { decodeEvent } from '../../wire/codec.ts'
import { isRunId, quote } from '../../wire/names.ts'
import type { RunRecord } from '../../wire/run.schema.ts'
import type { Session } from '../session.ts'

const ID_PREFIX = /^r_[0-9a-f]{8,31}$/
const DAY_MS = 86_400_000
/** Number of runs that an error lists. */
const NAMED = 8
/** Time after which a supervisor that reaches the engine has announced its run. */
const FRESH_MS = 30_000

/**
 * Finds a run by its id, by a prefix of it, or by its name: the one that goes on, else the newest. Throws `not_found`,
 * `bad_request` for what fits several.
 */
export async function findRun(session: Session, text: string): Promise<RunRecord> {
  const { runs } = session.link.store
  if (isRunId(text)) {
    const known = (await runs.records.get(text))?.value ?? localRecord(session, text)
    if (known) return current(session, runs, known)
    throw notFound(text)
  }
  if (text.startsWith('r_') && !ID_PREFIX.test(text)) {
    throw new MeshError('bad_request', `${quote(text)} is not a run id`, {
      hint: 'r_ and 8 to 32 hex digits; mesh ps --runs',
    })
  }
  const found = ID_PREFIX.test(text) ? await byPrefix(session, text) : await byName(session, text)
  if (found) return current(session, runs, found)
  throw notFound(text)
}

/** Returns the ids of the runs of these names, if all are sessions that this one spawned. Throws `mesh_down`, `timeout`. */
export async function findChildren(session: Session, names: readonly string[]): Promise<string[] | null> {
  const runs = await Promise.all(names.map((name) => findOrNull(session, name)))
  const me = session.record.name
  const ids = runs.flatMap((run) => (run?.runKind === 'session' && run.owner === me && run.name !== me ? run.id : []))
  return ids.length === names.length ? ids : null
}

async function findOrNull(session: Session, text: string): Promise<RunRecord | null> {
  try {
    return await findRun(session, text)
  } catch (error) {
    if (isAway(error)) throw error
    return null
  }
}

async function byPrefix(session: Session, prefix: string): Promise<RunRecord | undefined> {
  const found = (await allRecords(session)).filter(({ id }) => id.startsWith(prefix))
  if (found.length > 1) throw ambiguous(`${prefix} fits`, found)
  return found[0]
}

/** Finds the run of a name that goes on, else the newest. Tries unfinished runs first, since ended ones are many. */
async function byName(session: Session, name: string): Promise<RunRecord | undefined> {
  const known = await withUnannounced(session, await session.currentRuns())
  const unfinished = known.filter((record) => record.name === name && !isOver(record.state))
  const store = session.link.store.runs
  // The index may be behind: one that has ended is no namesake.
  const looked = unfinished.length < 2 ? unfinished : unfinished.map((record) => current(session, store, record))
  const living = (await Promise.all(looked)).filter(({ state }) => !isOver(state))
  if (living.length > 1) throw ambiguous(`${quote(name)} is the name of`, living)
  return living[0] ?? newest((await allRecords(session)).filter((record) => record.name === name))
}

/** The caller saw one of them, and only the caller knows which. */
function ambiguous(words: string, runs: readonly RunRecord[]): MeshError {
  const ids = runs.slice(0, NAMED).map(({ id }) => id)
  const more = runs.length > NAMED ? ' …' : ''
  return new MeshError('bad_request', `${words} ${runs.length} runs: ${ids.join(', ')}${more}`, {
    hint: `give the id of one, for example ${ids[0]!.slice(0, 12)}; mesh ps --runs lists them`,
  })
}

function newest(records: readonly RunRecord[]): RunRecord | undefined {
  return records.toSorted((a, b) => (a.startedAt < b.startedAt ? 1 : -1))[0]
}

function notFound(text: string): MeshError {
  return new MeshError('not_found', `there is no run ${quote(text)} in this project`, {
    hint: 'mesh ps --runs lists them',
  })
}

/** Returns the record of a run of this machine that was not announced yet. */
function localRecord(session: Session, id: string): RunRecord | null {
  const spec = readSpec(runDir(session.home, id))
  if (spec?.project !== session.place.project) return null
  const started = readSteps(runDir(session.home, id)).find((step) => step.t === 'started')
  const child = started ? { pid: started.child.pid } : {}
  return recordOf(spec, started?.at ?? new Date().toISOString(), { state: 'running', ...child })
}

/** Returns the runs that go on or ended within a day. */
export async function recentRecords(session: Session): Promise<RunRecord[]> {
  const all = await allRecords(session)
  return all.filter(({ endedAt }) => !endedAt || Date.now() - Date.parse(endedAt) < DAY_MS)
}

async function allRecords(session: Session): Promise<RunRecord[]> {
  return withUnannounced(session, await session.link.store.runs.records.all())
}

/** Adds runs that began here too lately for the engine to have them. */
async function withUnannounced(session: Session, known: readonly Entry<RunRecord>[]): Promise<RunRecord[]> {
  const { home, link } = session
  const ids = new Set(known.map(({ key }) => key))
  const fresh = runIds(home).filter((id) => !ids.has(id) && Date.now() - changedAt(home, id) < FRESH_MS)
  // A run that ended long ago may have been touched just now.
  const stored = await Promise.all(fresh.map((id) => link.store.runs.records.get(id)))
  const unannounced = fresh.flatMap((id, i) => (stored[i] ? [] : (localRecord(session, id) ?? [])))
  return [...known.map(({ value }) => value), ...unannounced]
}

/** Returns the record that the events give: an index may be a step behind, an end never is. */
export async function current(session: Session, store: RunStore, record: RunRecord): Promise<RunRecord> {
  if (isOver(record.state)) return record
  const end = await store.end(record.id)
  const read = end && decode(session, end)
  return read ? { ...record, ...recordAfter(record, read.event) } : record
}

export function decode(session: Session, { subject, data }: Delivery) {
  const read = decodeEvent(session.place.project, subject, data, (member) => session.ring.keyOf(member))
  return 'event' in read ? read : null
}
