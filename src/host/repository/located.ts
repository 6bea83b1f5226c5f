/** Locates paths in a repository: the same for all its worktrees and clones. */
import { existsSync, realpathSync } from 'node:fs'
import { dirname, isAbsolute, join, relative, resolve, sep } from 'node:path'
import { MeshError } from '../../errors.ts'
import { quote } from '../../wire/names.ts'
import { checkBraces, checkPath, isGlob } from '../../wire/paths.ts'
import { type Repository, readRepository } from './git.ts'
import { derivedProject } from './project.ts'

export interface Located {
  /** Names the repository; without one, the directory. */
  repository: string
  /** The top directory of the worktree. */
  top: string
  /** Relative to it, with / between folders. */
  path: string
}

/**
 * Locates the path that a command in the directory `cwd` means by `given`, which may contain wildcards. Links are followed. Throws
 * `bad_request` for what is not in the repository of `cwd` (any worktree of it will do) or no path at all.
 */
export function locate(cwd: string, given: string): Located {
  checkPath(given)
  const names = given.split('/')
  const wildAt = names.findIndex(isGlob)
  const fixed = wildAt < 0 ? given : names.slice(0, wildAt).join('/')
  const wild = wildAt < 0 ? [] : names.slice(wildAt).filter((name) => name !== '' && name !== '.')
  if (wild.includes('..'))
    throw new MeshError('bad_request', `${quote(given)} has .. after a wildcard`, { hint: 'write it without' })
  const real = realPath(resolve(cwd, isAbsolute(given) ? `/${fixed}` : fixed))
  if (!existsSync(real)) checkBraces(given)
  const here = readRepository(cwd)
  const there = readRepository(existing(real))
  const top = there?.topLevel ?? realPath(cwd)
  const inside = within(top, real)
  if (here?.commonDir !== there?.commonDir || inside === null) throw outside(given, here, there)
  const path = [...inside, ...wild].join('/') || '**'
  checkPath(path)
  return { repository: derivedProject(there, top, process.env), top, path }
}

/** Locates an edited file; outside of any repository it is one of the directory `worktree`, or null. */
export function locateFile(file: string, worktree: string): Located | null {
  const real = realPath(file)
  const repository = readRepository(existing(dirname(real)))
  const top = repository?.topLevel ?? worktree
  const inside = within(top, real)
  if (!inside || inside.length === 0) return null
  return { repository: derivedProject(repository, top, process.env), top, path: inside.join('/') }
}

function outside(given: string, here: Repository | null, there: Repository | null): MeshError {
  const where = there && here ? `in another repository (${there.topLevel})` : 'outside of the repository'
  const hint = there && here ? `cd ${there.topLevel}, and claim it there` : `paths below ${here?.topLevel ?? 'here'}`
  return new MeshError('bad_request', `${quote(given)} is ${where}`, { hint })
}

/** The names on the way from `top` to `path`; null if it is not below. */
function within(top: string, path: string): string[] | null {
  const way = relative(top, path)
  if (way === '') return []
  return way === '..' || way.startsWith(`..${sep}`) || isAbsolute(way) ? null : way.split(sep)
}

/** Follows the links of all that is there. */
function realPath(path: string): string {
  const there = existing(path)
  return join(realpathSync.native(there), relative(there, path))
}

/** The path, or the nearest directory above it that is there. */
function existing(path: string): string {
  for (let at = path; ; at = dirname(at)) if (existsSync(at) || at === dirname(at)) return at
}
