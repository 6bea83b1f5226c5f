/** Decides who owns a run: its owner while that lives, else the nearest living session above it. Pure. */
import type { NameRecord } from '../../wire/envelope.schema.ts'
import { limits, times } from '../../wire/limits.ts'
import type { RunRecord } from '../../wire/run.schema.ts'
import { isOwned } from '../names/kinds.ts'

export interface Kin {
  names: readonly NameRecord[]
  /** Runs by id, at least those above the ones that are asked about. */
  runs: ReadonlyMap<string, Pick<RunRecord, 'owner'>>
  /** Milliseconds. */
  now: number
}

type Owned = Pick<RunRecord, 'owner' | 'lineage' | 'endedAt'>

/**
 * Returns the session that takes the run over from its owner. Null while the owner keeps it: the owner lives, no session
 * above the run does, or the run ended while the owner lived and the news waits for its return. A rename is followed. A
 * name without a record is that of a person who has not come yet.
 */
export function heirOf({ owner, lineage, endedAt }: Owned, kin: Kin): string | null {
  const current = ownerOf(owner, kin)
  if (current === null) return null
  if (isLiving(current, kin.now)) return current.name === owner ? null : current.name
  if (endedAt !== undefined && endedAt < (current.endedAt ?? '')) return null
  return nearest(lineage, kin)
}

/** Returns the nearest living session above: one that is a run of the line, or owns one; null if none lives. */
export function nearest(lineage: readonly string[], kin: Kin): string | null {
  for (const id of lineage.toReversed()) {
    const session = sessionOf(id, kin)
    const owner = kin.runs.get(id)?.owner
    for (const record of [session, owner === undefined ? null : ownerOf(owner, kin)]) {
      if (record && isLiving(record, kin.now)) return record.name
    }
  }
  return null
}

/** Returns the owner of a session that was started in a line of runs; null when no run started it: it owns itself. */
export function ownerIn(lineage: readonly string[], kin: Kin): string | null {
  const living = nearest(lineage, kin)
  if (living !== null) return living
  // No session above lives: the nearest is notified when it comes back.
  for (const id of lineage.toReversed()) {
    const known = sessionOf(id, kin)?.name ?? kin.runs.get(id)?.owner
    if (known !== undefined) return known
  }
  return null
}

/** True when the owner's session is over, and nobody above the run is there to adopt it. */
export function isOrphan(run: Owned, kin: Kin): boolean {
  const current = ownerOf(run.owner, kin)
  return current !== null && !isLiving(current, kin.now) && nearest(run.lineage, kin) === null
}

/** A record after its adoption. */
export function adopted(record: RunRecord, owner: string): RunRecord {
  const formerOwners = [...(record.formerOwners ?? []), record.owner].slice(-limits.formerOwners)
  return { ...record, owner, formerOwners }
}

/** A session that is lost for long counts as over: its end may never be seen. */
function isLiving(record: NameRecord, now: number): boolean {
  const { state, endedAt } = record
  if (state === 'lost') return now - Date.parse(endedAt ?? '') < times.ownerLost
  return isOwned(record)
}

/** Returns the name that has the run's process now: others that had it were left by a rename. */
function sessionOf(id: string, { names }: Kin): NameRecord | null {
  const records = names.filter(({ run, renamedTo }) => run === id && renamedTo === undefined)
  return records.find(isOwned) ?? records[0] ?? null
}

function ownerOf(name: string, { names }: Kin): NameRecord | null {
  const seen = new Set<string>()
  for (let at = name; ; ) {
    const record = names.find((one) => one.name === at)
    if (!record?.renamedTo || seen.has(at)) return record ?? null
    seen.add(at)
    at = record.renamedTo
  }
}
