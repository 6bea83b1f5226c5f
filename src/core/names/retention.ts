/** Decides how long the names of ended sessions are kept. Pure. */
import type { NameRecord } from '../../wire/envelope.schema.ts'
import { times } from '../../wire/limits.ts'
import { isUnnamedChild } from '../../wire/names.ts'

/** Returns true for a name whose session ended so long ago that it goes, if nothing is left under it. */
export function isLeftover({ state, endedAt, name, run }: NameRecord, now: number): boolean {
  if (state !== 'gone' || endedAt === undefined) return false
  const age = run !== undefined && isUnnamedChild(name, run) ? times.unnamedAge : times.nameAge
  return now - Date.parse(endedAt) > age
}
