/**
 * Reads and writes file claims in the engine: one record per repository, changed by compare-and-set, with nothing in
 * memory.
 */
import { isDeepStrictEqual } from 'node:util'
import { type Asked, claimed, claimOn, passed, released, type Standing, standing } from '../../core/files/claims.ts'
import type { Grace } from '../../core/tasks/lease.ts'
import { MeshError } from '../../errors.ts'
import { untilWritten } from '../../link/until.ts'
import type { ProjectStore } from '../../nats/project-store.ts'
import type { FileClaim } from '../../wire/files.schema.ts'
import { limits } from '../../wire/limits.ts'
import type { Actor } from '../../wire/task.schema.ts'
import { holderFacts } from '../names/actor.ts'
import { holderOf } from '../names/registry.ts'

/**
 * Claims all paths or none. Throws `conflict` naming each holder, `too_large`, `mesh_down`. After `timeout` the call
 * may be repeated.
 */
export function claimFiles(store: ProjectStore, repository: string, asked: Asked, grace: Grace): Promise<Standing[]> {
  return change(store, repository, grace, (all) => {
    const claims = claimed(all, asked)
    const until = (claim: FileClaim) => all.find((one) => one.claim === claim) ?? { until: claim.until, because: null }
    return { claims, result: claims.map((claim) => ({ claim, ...until(claim) })) }
  })
}

/** Releases claims of `by`, or all of them if `paths` is null. Resolves to the released paths. Throws `not_found`. */
export function releaseFiles(
  store: ProjectStore,
  repository: string,
  paths: readonly string[] | null,
  by: Actor,
  grace: Grace,
): Promise<FileClaim[]> {
  return change(store, repository, grace, (all) => {
    const { left, gone } = released(all, paths, by)
    return { claims: gone.length === 0 ? null : left, result: gone }
  })
}

/** Returns the claims of a repository that have not expired. */
export async function standingClaims(store: ProjectStore, repository: string, grace: Grace): Promise<Standing[]> {
  return judged(store, (await store.claims.get(repository))?.value.claims ?? [], grace)
}

/** Returns the claim of another session on the file at `path`, or null. */
export async function claimAgainst(
  store: ProjectStore,
  repository: string,
  path: string,
  me: Actor,
  grace: Grace,
): Promise<FileClaim | null> {
  const stored = (await store.claims.get(repository))?.value.claims ?? []
  const near = stored.filter((claim) => claimOn(claim, path, me))
  return (await judged(store, near, grace))[0]?.claim ?? null
}

export interface OwnClaim {
  repository: string
  path: string
  since: string
  until: string
  why?: string
}

/** Returns the claims of `name` in every repository of the project, oldest first. */
export async function claimsOf(store: ProjectStore, name: string): Promise<OwnClaim[]> {
  const now = new Date(await store.now()).toISOString()
  const records = await store.claims.all()
  const own = records.flatMap(({ key, value }) => {
    const claims = value.claims.filter(({ holder, until }) => holder.name === name && until > now)
    return claims.map(({ holder: _, ...claim }) => ({ repository: key, ...claim }))
  })
  return own.sort((a, b) => (a.since < b.since ? -1 : 1))
}

/** Passes all claims of `from` to `to` in every repository, after a rename. */
export async function passClaims(store: ProjectStore, from: Actor, to: Actor): Promise<void> {
  for (const { key, value } of await store.claims.all()) {
    if (!value.claims.some(({ holder }) => holder.name === from.name)) continue
    await change(store, key, { gone: 0, lost: 0 }, (_, claims) => ({ claims: passed(claims, from, to), result: null }))
  }
}

/** A change of a repository's claims. `claims` null: nothing to write. */
type Change<T> = (all: readonly Standing[], stored: readonly FileClaim[]) => { claims: FileClaim[] | null; result: T }

async function change<T>(store: ProjectStore, repository: string, grace: Grace, make: Change<T>): Promise<T> {
  const changed = await untilWritten('the list of file claims', async () => {
    const { value, revision, isThere, isLater } = await store.claims.look(repository)
    if (isLater) throw new MeshError('version_skew', 'the claims of this repository are of a newer mesh')
    // Garbage gives way: it is nobody's claim.
    if (isThere && !value) store.reportDamage(`the file claims of ${repository}`)
    const stored = value?.claims ?? []
    const { claims, result } = make(await judged(store, stored, grace), stored)
    const isDone = claims === null || (await written(store, repository, claims, revision))
    return isDone ? { result } : null
  })
  return changed.result
}

/** Returns false if another session was faster. */
async function written(
  store: ProjectStore,
  repository: string,
  claims: FileClaim[],
  revision: number,
): Promise<boolean> {
  const record = { v: 1, kind: 'file_claims', claims } as const
  const bytes = Buffer.byteLength(JSON.stringify(record))
  if (bytes > limits.fileClaimsBytes)
    throw new MeshError('too_large', `the claims of this repository would be ${bytes} bytes`, {
      hint: 'claim folders, or release some: mesh claims',
    })
  try {
    return (await store.claims.update(repository, record, revision)) !== null
  } catch (error) {
    if (MeshError.from(error).code !== 'timeout') throw error
    // The answer was lost, the record perhaps not.
    return isDeepStrictEqual((await store.claims.get(repository))?.value, record)
  }
}

async function judged(store: ProjectStore, claims: readonly FileClaim[], grace: Grace): Promise<Standing[]> {
  const names = new Set(claims.map(({ holder }) => holder.name))
  const records = await Promise.all([...names].map(async (name) => [name, await holderOf(store, name)] as const))
  const byName = new Map(records)
  // A machine's own clock may be wrong.
  const now = claims.length === 0 ? 0 : await store.now()
  return claims.flatMap((claim) => {
    const facts = holderFacts(byName.get(claim.holder.name) ?? null, claim.holder)
    return standing(claim, facts, now, grace) ?? []
  })
}
