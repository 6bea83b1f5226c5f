/** Handles the operations on file claims. */
import type { ShownClaim } from '../../api/file-ops.schema.ts'
import type { Standing } from '../../core/files/claims.ts'
import { overlap } from '../../core/files/paths.ts'
import { isHolder } from '../../core/tasks/board.ts'
import { MeshError } from '../../errors.ts'
import { type Located, locate } from '../../host/repository/located.ts'
import { times } from '../../wire/limits.ts'
import { actorOf, graceOf } from '../names/actor.ts'
import type { Session } from '../session.ts'
import type { HandlersOf } from '../socket/call.ts'
import { claimFiles, releaseFiles, standingClaims } from './claims.ts'

export const fileHandlers = {
  async claim(session, { paths, cwd, forMs = times.fileClaim, why }) {
    const located = paths.map((path) => find(session, path, cwd))
    const now = await session.link.store.now()
    const asked = {
      paths: located.map(({ path }) => path),
      holder: actorOf(session.record),
      at: new Date(now).toISOString(),
      until: new Date(now + forMs).toISOString(),
      ...(why === undefined ? {} : { why }),
    }
    const all = await claimFiles(session.link.store, repositoryOf(located), asked, graceOf(session.settings))
    const wanted = new Set(asked.paths)
    return all.map((one) => shown(session, one)).filter(({ path, mine }) => mine && wanted.has(path))
  },

  async claims(session, { path, cwd }) {
    const at = find(session, path ?? '.', cwd)
    const all = await standingClaims(session.link.store, at.repository, graceOf(session.settings))
    const met = path === undefined ? all : all.filter(({ claim }) => overlap(claim.path, at.path))
    return met.map((one) => shown(session, one)).sort((a, b) => (a.path < b.path ? -1 : 1))
  },

  async release(session, { paths, cwd, all }) {
    if ((paths === undefined) === (all !== true))
      throw new MeshError('bad_request', 'name paths, or say all', { hint: 'mesh claims shows yours' })
    const located = paths?.map((path) => find(session, path, cwd)) ?? [find(session, '.', cwd)]
    const named = paths === undefined ? null : located.map(({ path }) => path)
    const by = actorOf(session.record)
    const gone = await releaseFiles(session.link.store, repositoryOf(located), named, by, graceOf(session.settings))
    return gone.map(({ path }) => ({ path }))
  },
} satisfies HandlersOf<Session>

/** Returns the repository of a call's paths: all are in that of the directory they start from. */
function repositoryOf(located: readonly Located[]): string {
  return located[0]!.repository
}

/** Locates a path. Relative paths start from the top of the session's worktree, or from `cwd`. */
function find({ place }: Session, path: string, cwd = place.worktree): Located {
  return locate(cwd, path)
}

function shown({ record }: Session, { claim, until, because }: Standing): ShownClaim {
  const { path, holder, since, why = null } = claim
  return { path, holder: holder.name, mine: isHolder(actorOf(record), claim), since, until, because, why }
}
