/** Removes names that ended long ago and have nothing left. One session of the project looks, at calm moments. */
import { isOwned } from '../../core/names/kinds.ts'
import { isLeftover } from '../../core/names/retention.ts'
import { MeshError } from '../../errors.ts'
import type { Entry } from '../../nats/bucket.ts'
import type { ProjectStore } from '../../nats/project-store.ts'
import type { NameRecord } from '../../wire/envelope.schema.ts'
import type { RunRecord } from '../../wire/run.schema.ts'
import type { Task } from '../../wire/task.schema.ts'
import { claimsOf, type OwnClaim } from '../files/claims.ts'
import type { Session } from '../session.ts'
import { keyOf, readDocument } from './documents.ts'
import { removeName, unreadMail } from './forget.ts'

const FIRST_MS = 60_000
const LOOK_MS = 3_600_000
/** Number of names that one look examines. */
const MOST = 20

/** Looks from time to time for as long as this process lives. */
export function keepRetention(session: Session): void {
  const lookIn = (ms: number) => setTimeout(look, ms * (1 + Math.random())).unref()
  const look = async () => {
    if (session.link.up && session.isNamed) {
      await removeLeftovers(session, Date.now()).catch((error) => {
        session.log.debug({ error: MeshError.from(error).toBody() }, 'names that are left over not removed')
      })
    }
    lookIn(LOOK_MS)
  }
  lookIn(FIRST_MS)
}

/** Removes at most `MOST` names and returns them. Only the living session whose name comes first does anything. */
export async function removeLeftovers(session: Session, now: number): Promise<string[]> {
  const entries = await session.names()
  const living = entries.flatMap(({ value }) => (isOwned(value) ? value.name : [])).sort()
  if (living[0] !== session.record.name) return []
  const names = new Map(entries.map(({ key, value }) => [key, value]))
  const old = entries.filter(({ value }) => isLeftover(value, now) && !names.has(value.renamedTo ?? ''))
  if (old.length === 0) return []
  const bonds = await readBonds(session)
  const removed: string[] = []
  // Those that cannot go must not keep the others from their turn.
  const first = Math.floor(Math.random() * old.length)
  for (const entry of [...old.slice(first), ...old.slice(0, first)].slice(0, MOST)) {
    if (!isBound(entry.value, bonds) && (await remove(session, entry))) removed.push(entry.key)
  }
  if (removed.length > 0) session.log.info({ names: removed }, 'names that were left over removed')
  return removed
}

/** The records that may still need a name. */
interface Bonds {
  tasks: Task[]
  runs: RunRecord[]
  /** Names that have not taken a hand-off to them. */
  heirs: Set<string>
}

async function readBonds(session: Session): Promise<Bonds> {
  const { store } = session.link
  const [tasks, runs, pointers] = await Promise.all([
    store.tasks.latest(),
    session.currentRuns(),
    store.state.all('handoff.*'),
  ])
  return {
    tasks: tasks.map(({ value }) => value).filter(({ state }) => state === 'open' || state === 'claimed'),
    runs: runs.map(({ value }) => value),
    heirs: new Set(pointers.flatMap(({ value }) => (value.handoff ? [value.handoff.to, value.handoff.from.name] : []))),
  }
}

/** True for a name with open tasks, with runs whose end it has not read, or with a hand-off under way. */
function isBound({ name, run, endedAt = '' }: NameRecord, { tasks, runs, heirs }: Bonds): boolean {
  const hasTask = tasks.some((task) => {
    return task.claim?.holder.name === name || task.createdBy.name === name || task.for === name
  })
  const isWaitedFor = (one: RunRecord) => one.endedAt === undefined || one.endedAt > endedAt
  // Its own run is the session itself.
  const isAbove = (one: RunRecord) => one.id !== run && (one.owner === name || one.lineage.includes(run ?? ''))
  return hasTask || heirs.has(name) || runs.some((one) => isAbove(one) && isWaitedFor(one))
}

/** Removes the name unless it has mail, state or file claims, or has returned. */
async function remove(session: Session, entry: Entry<NameRecord>): Promise<boolean> {
  const { store } = session.link
  const { lastSeq } = await store.messagesState()
  if (await hasBelongings(store, entry.value)) return false
  if (!(await removeName(session, entry))) return false
  // Mail that came meanwhile is for the next owner of the name: it waits for the session to return.
  if ((await store.mailFrom(entry.key, lastSeq + 1)).length === 0) return true
  const vacancy = await store.names.vacancy(entry.key)
  if (vacancy !== null) await store.names.update(entry.key, entry.value, vacancy)
  return false
}

async function hasBelongings(store: ProjectStore, record: NameRecord): Promise<boolean> {
  const topics = record.topics.map(({ name }) => name)
  if ((await unreadMail(store, record, topics)).length > 0) return true
  const claims: OwnClaim[] = await claimsOf(store, record.name)
  if (claims.length > 0) return true
  const { isThere, value } = await store.state.look(keyOf({ own: record.name, epoch: 0 }))
  if (!isThere) return false
  // Of a later version of mesh.
  if (!value) return true
  const { document } = await readDocument(store, { own: record.name, epoch: record.epoch })
  return document.entries.length > 0 || document.notes.length > 0
}
