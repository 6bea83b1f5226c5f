/** The operations of claims on files. */
import type { ShownClaim } from '../../api/file-ops.schema.ts'
import type { Standing } from '../../core/files/claims.ts'
import { overlap } from '../../core/files/paths.ts'
import { holds } from '../../core/tasks/board.ts'
import { MeshError } from '../../errors.ts'
import { type Located, locate } from '../../host/repository/located.ts'
import { times } from '../../wire/limits.ts'
import { actorOf, graceOf } from '../names/actor.ts'
import type { Session } from '../session.ts'
import type { Handlers } from '../socket/server.ts'
import { claimFiles, releaseFiles, standingClaims } from './claims.ts'

type FileHandlers = Pick<Handlers, 'claim' | 'claims' | 'release'>

export function createFileHandlers(session: Session): FileHandlers {
  const { place, settings } = session
  const grace = graceOf(settings)
  const find = (path: string, cwd = place.worktree) => locate(cwd, path)
  const shown = ({ claim, until, because }: Standing): ShownClaim => {
    const { path, holder, since, why = null } = claim
    return { path, holder: holder.name, mine: holds(actorOf(session.record), claim), since, until, because, why }
  }
  return {
    async claim({ paths, cwd, forMs = times.fileClaim, why }) {
      const located = paths.map((path) => find(path, cwd))
      const now = Date.now()
      const asked = {
        paths: located.map(({ path }) => path),
        holder: actorOf(session.record),
        at: new Date(now).toISOString(),
        until: new Date(now + forMs).toISOString(),
        ...(why === undefined ? {} : { why }),
      }
      const all = await claimFiles(session.link.store, repositoryOf(located), asked, grace)
      const wanted = new Set(asked.paths)
      return all.map(shown).filter(({ path, mine }) => mine && wanted.has(path))
    },

    async claims({ path, cwd }) {
      const at = find(path ?? '.', cwd)
      const all = await standingClaims(session.link.store, at.repository, grace)
      const met = path === undefined ? all : all.filter(({ claim }) => overlap(claim.path, at.path))
      return met.map(shown).sort((a, b) => (a.path < b.path ? -1 : 1))
    },

    async release({ paths, cwd, all }) {
      if ((paths === undefined) === (all !== true))
        throw new MeshError('bad_request', 'name paths, or say all', { hint: 'mesh claims shows what you hold' })
      const located = paths?.map((path) => find(path, cwd)) ?? [find('.', cwd)]
      const named = paths === undefined ? null : located.map(({ path }) => path)
      const by = actorOf(session.record)
      const gone = await releaseFiles(session.link.store, repositoryOf(located), named, by, grace)
      return gone.map(({ path }) => ({ path }))
    },
  }
}

/** All paths of a call are in one repository: that of the directory that they start from. */
function repositoryOf(located: readonly Located[]): string {
  return located[0]!.repository
}
