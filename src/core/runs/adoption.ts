/** Whose a run is: its owner's while that lives, else the nearest living session's above it. Pure. */
import type { NameRecord } from '../../wire/envelope.schema.ts'
import { limits, times } from '../../wire/limits.ts'
import type { RunRecord } from '../../wire/run.schema.ts'

export interface Kin {
  names: readonly NameRecord[]
  /** Runs by id, at least those above the ones that are asked about. */
  runs: ReadonlyMap<string, Pick<RunRecord, 'owner'>>
  /** Milliseconds. */
  now: number
}

type Owned = Pick<RunRecord, 'owner' | 'lineage' | 'endedAt'>

/**
 * The session that is to have the run instead of its owner; null while the owner is to keep it: it lives, or nobody
 * above the run does, or the run ended while it lived, and its mail waits for its return. A rename is followed. A name
 * that nobody ever held is that of a person who has not come yet.
 */
export function heirOf({ owner, lineage, endedAt }: Owned, kin: Kin): string | null {
  const holder = holderOf(owner, kin)
  if (holder === null) return null
  if (isLiving(holder, kin.now)) return holder.name === owner ? null : holder.name
  if (endedAt !== undefined && endedAt < (holder.endedAt ?? '')) return null
  return nearest(lineage, kin)
}

/** The nearest living session above: one that is a run of the line, or that owns one; null if none lives. */
export function nearest(lineage: readonly string[], kin: Kin): string | null {
  for (const id of lineage.toReversed()) {
    const session = sessionOf(id, kin)
    const owner = kin.runs.get(id)?.owner
    for (const record of [session, owner === undefined ? null : holderOf(owner, kin)]) {
      if (record && isLiving(record, kin.now)) return record.name
    }
  }
  return null
}

/** Who is told of a session that was started in a line of runs; null when nobody started it: it is its own owner. */
export function ownerIn(lineage: readonly string[], kin: Kin): string | null {
  const living = nearest(lineage, kin)
  if (living !== null) return living
  // Nobody lives: whoever was nearest is told when it comes back.
  for (const id of lineage.toReversed()) {
    const known = sessionOf(id, kin)?.name ?? kin.runs.get(id)?.owner
    if (known !== undefined) return known
  }
  return null
}

/** True when the owner's session is over, and nobody above the run is there to adopt it. */
export function isOrphan(run: Owned, kin: Kin): boolean {
  const holder = holderOf(run.owner, kin)
  return holder !== null && !isLiving(holder, kin.now) && nearest(run.lineage, kin) === null
}

/** A record after its adoption. */
export function adopted(record: RunRecord, owner: string): RunRecord {
  const formerOwners = [...(record.formerOwners ?? []), record.owner].slice(-limits.formerOwners)
  return { ...record, owner, formerOwners }
}

/** A session that is lost for long counts as over: nobody may ever see it end. */
function isLiving({ state, endedAt }: NameRecord, now: number): boolean {
  if (state === 'lost') return now - Date.parse(endedAt ?? '') < times.ownerLost
  return state === 'held'
}

/** Of several that had the run's process one has it now: the others were left by a rename. */
function sessionOf(id: string, { names }: Kin): NameRecord | null {
  const records = names.filter(({ run, renamedTo }) => run === id && renamedTo === undefined)
  return records.find(({ state }) => state === 'held') ?? records[0] ?? null
}

function holderOf(name: string, { names }: Kin): NameRecord | null {
  const seen = new Set<string>()
  for (let at = name; ; ) {
    const record = names.find((one) => one.name === at)
    if (!record?.renamedTo || seen.has(at)) return record ?? null
    seen.add(at)
    at = record.renamedTo
  }
}
