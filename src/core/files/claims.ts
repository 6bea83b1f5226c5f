/**
 * Claims on files: who may have which paths, and whose claims have expired. Takes the claims that stand and returns
 * those to keep. Who is first is decided by compare-and-set on the repository's record. Pure.
 */
import { MeshError } from '../../errors.ts'
import type { FileClaim } from '../../wire/files.schema.ts'
import { limits } from '../../wire/limits.ts'
import { quote } from '../../wire/names.ts'
import { folded } from '../../wire/paths.ts'
import type { Actor } from '../../wire/task.schema.ts'
import { isHolder } from '../tasks/board.ts'
import type { Grace, HolderFacts } from '../tasks/lease.ts'
import { comparing, covers, overlap, type Pattern, patternOf, patternsOverlap } from './paths.ts'

/** A step takes 40 ns, and one call decides all of them. */
const MOST_STEPS = 5_000_000

/** A claim, when it expires as things stand, and why it does so early (null: it does not). */
export interface Standing {
  claim: FileClaim
  until: string
  because: string | null
}

/** Returns the claim as things stand at `now`; null when it has expired. */
export function standing(claim: FileClaim, facts: HolderFacts, now: number, grace: Grace): Standing | null {
  const isThere = facts.state === 'held' || facts.state === 'resting'
  const end = isThere ? null : endOfGrace(claim, facts, grace)
  const isEarlier = end !== null && end < Date.parse(claim.until)
  const until = isEarlier ? new Date(end).toISOString() : claim.until
  if (Date.parse(until) <= now) return null
  const reason = facts.reason ? ` (${facts.reason})` : ''
  return { claim, until, because: isEarlier ? `${claim.holder.name} is ${facts.state}${reason}` : null }
}

function endOfGrace(claim: FileClaim, { state, at }: HolderFacts, grace: Grace): number {
  // No session has the name any more: it was forgotten.
  if (state === 'absent') return Date.parse(claim.since)
  return Date.parse(at ?? claim.since) + (state === 'lost' ? grace.lost : grace.gone)
}

export interface Asked {
  paths: readonly string[]
  holder: Actor
  at: string
  until: string
  why?: string
}

/** Returns the claims after `asked`: all of its paths or none. Throws `conflict` when another's is in the way, `too_large`. */
export function claimed(all: readonly Standing[], asked: Asked): FileClaim[] {
  const others = all
    .filter(({ claim }) => !isHolder(asked.holder, claim))
    .map((one) => ({ ...one, pattern: patternOf(one.claim.path) }))
  refuseCostly(others, asked.paths)
  for (const path of asked.paths) refuseTaken(others, path)
  const paths = new Map(asked.paths.map((path) => [folded(path), path]))
  const claims = all.map(({ claim }) => claim)
  const own = claims.filter((claim) => isHolder(asked.holder, claim))
  const since = new Map(own.map((claim) => [folded(claim.path), claim.since]))
  const kept = claims.filter((claim) => !own.includes(claim) || !paths.has(folded(claim.path)))
  const { holder, at, until, why } = asked
  const added = [...paths].map(([key, path]) => {
    return { path, holder, since: since.get(key) ?? at, until, ...(why === undefined ? {} : { why }) }
  })
  if (kept.length + added.length <= limits.fileClaims) return [...kept, ...added]
  throw new MeshError('too_large', `the repository has ${claims.length} claims already`, {
    hint: 'claim folders, or release some: mesh claims',
  })
}

type Other = Standing & { pattern: Pattern }

/** Refuses patterns whose comparison would keep the sidecar from everything else. */
function refuseCostly(others: readonly Other[], paths: readonly string[]): void {
  let steps = 0
  for (const asked of paths.map(patternOf)) for (const { pattern } of others) steps += comparing(pattern, asked)
  if (steps <= MOST_STEPS) return
  throw new MeshError('too_large', 'these patterns take too long to compare with the claims of the repository', {
    hint: 'claim folders, or fewer patterns at once',
  })
}

function refuseTaken(others: readonly Other[], path: string): void {
  const asked = patternOf(path)
  const taken = others.filter(({ pattern }) => patternsOverlap(pattern, asked))
  const [first] = taken
  if (!first) return
  const { claim, until, because } = first
  const as = claim.path === path ? '' : ` as ${quote(claim.path)}`
  const why = claim.why === undefined ? '' : `: ${claim.why}`
  const falls = because === null ? ` until ${until}` : `; ${because}, its claim falls at ${until}`
  const more = taken.length > 1 ? ` (and ${taken.length - 1} more)` : ''
  const message = `${quote(path)} is held by ${claim.holder.name}${as} since ${claim.since}${falls}${why}${more}`
  throw new MeshError('conflict', message, {
    hint: `nothing was claimed; mesh ask ${claim.holder.name} -- "may I have it?", or mesh claims`,
  })
}

/** Removes the claims of `by` on `paths` (null: all of them). Throws `not_found` for a path that it has not claimed. */
export function released(
  all: readonly Standing[],
  paths: readonly string[] | null,
  by: Actor,
): { left: FileClaim[]; gone: FileClaim[] } {
  const claims = all.map(({ claim }) => claim)
  const own = claims.filter((claim) => isHolder(by, claim))
  const named = paths?.map((path) => {
    const claim = own.find((one) => folded(one.path) === folded(path))
    if (claim) return claim
    const other = claims.find((one) => overlap(one.path, path))
    const who = other ? `; ${other.holder.name} holds ${quote(other.path)}` : ''
    throw new MeshError('not_found', `you have no claim on ${quote(path)}${who}`, { hint: 'mesh claims shows them' })
  })
  const gone = [...new Set(named ?? own)]
  return { left: claims.filter((claim) => !gone.includes(claim)), gone }
}

/** Returns true for another session's claim on the file at `path`. */
export function claimOn(claim: FileClaim, path: string, me: Actor): boolean {
  return !isHolder(me, claim) && covers(claim.path, path)
}

/** Returns the claims after those of `from` went over to `to`. */
export function passed(claims: readonly FileClaim[], from: Actor, to: Actor): FileClaim[] {
  return claims.map((claim) => (isHolder(from, claim) ? { ...claim, holder: to } : claim))
}
