/** Finds the project, worktree and default name of a working directory. */
import { createHash } from 'node:crypto'
import { existsSync, realpathSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { MeshError } from '../../errors.ts'
import { quote, slugOf, toName } from '../../wire/names.ts'
import { isProject } from '../../wire/subjects.ts'
import { ensurePrivateDir, readJson, readText, writeAtomic } from '../files.ts'
import type { Env, Home } from '../home.ts'
import { INBOUND_RULE, type Inbound, isInbound } from '../inbound.ts'
import { type Repository, readRepository } from './git.ts'
import { parseRemote, sameRemote } from './remote.ts'

const PROJECT_FILE = '.mesh.json'
const PROJECT_FILE_BYTES = 64 * 1024
const ALLOWED_BYTES = 1024 * 1024
const HASH_DIGITS = 8
/** With a dash and the hash it fits a project id's 80 characters. */
const SLUG_CHARS = 71
const DERIVED = /-[0-9a-f]{8}$/
/** Branches that say nothing about what a session does. */
const TRUNKS = new Set(['main', 'master', 'trunk', 'develop'])

export interface Place {
  project: string
  /** The real path of the worktree's top directory; without a repository, of the working directory. */
  worktree: string
  /** Another project that is in use, of what looks like the same repository. */
  alike?: string
  /** The project that this folder was in before, of which nobody has been told. */
  former?: string
  /** The name that a session here asks for by default. */
  defaultName: string
  /** What the repository asks to be done with messages of other sessions. */
  inbound?: Inbound
}

/**
 * Finds the place of `cwd`: `MESH_PROJECT`, else the repository's `.mesh.json`, else an id derived from the remote,
 * the common git directory or the directory. Throws `bad_name` for what is not a project id, `bad_request` for a
 * malformed `.mesh.json`, `denied` for one that names another repository's project and was not allowed.
 */
export function resolvePlace(env: Env, cwd: string, home: Home): Place {
  const repository = readRepository(cwd)
  const worktree = repository?.topLevel ?? realPath(cwd)
  const inbound = repository && readProjectFile(join(repository.topLevel, PROJECT_FILE)).inbound
  return {
    ...projectOf(env, home, repository, worktree),
    worktree,
    defaultName: defaultName(repository, worktree),
    ...(inbound ? { inbound } : {}),
  }
}

function projectOf(
  env: Env,
  home: Home,
  repository: Repository | null,
  worktree: string,
): Pick<Place, 'project' | 'alike'> {
  if (env.MESH_PROJECT) return { project: checkProject(env.MESH_PROJECT, 'MESH_PROJECT') }
  if (!repository) return { project: derivedProject(null, worktree, env) }
  const committed = committedProject(repository, home, env)
  return committed === null ? knownProject(repository, home, env) : { project: committed }
}

/** Remembers that the operator lets `worktree` join `project`, although another repository may stand for it. */
export function allowProject(home: Home, worktree: string, project: string): void {
  checkProject(project, 'the project')
  ensurePrivateDir(home.root)
  const allowed = readAllowed(home)
  const projects = new Set(allowed[worktree]).add(project)
  writeAtomic(allowedPath(home), `${JSON.stringify({ ...allowed, [worktree]: [...projects] }, null, 2)}\n`)
}

function checkProject(value: string, source: string): string {
  if (isProject(value)) return value
  const slug = slugOf(value, 80)
  throw new MeshError('bad_name', `${source}: ${quote(value)} is not a project id`, {
    hint: `a project id is 1 to 80 of a-z 0-9 _ -${slug ? `, for example ${slug}` : ''}`,
  })
}

function committedProject(repository: Repository, home: Home, env: Env): string | null {
  const { project: named } = readProjectFile(join(repository.topLevel, PROJECT_FILE))
  if (named === null) return null
  const project = checkProject(named, PROJECT_FILE)
  const own = [derivedProject(repository, repository.topLevel, env), firstProject(repository)]
  const foreign = DERIVED.test(project) && !own.includes(project)
  if (foreign && !readAllowed(home)[repository.topLevel]?.includes(project)) {
    throw new MeshError('denied', `${PROJECT_FILE} names ${project}, which may be another repository's project`, {
      hint: 'if you trust this repository with it: mesh project allow',
    })
  }
  return project
}

/** Reads a committed file; null for what it does not say. */
function readProjectFile(path: string): { project: string | null; inbound: Inbound | null } {
  if (readText(path, PROJECT_FILE_BYTES) === null) return { project: null, inbound: null }
  const value = readJson(path, PROJECT_FILE_BYTES)
  const project = isObject(value) ? (value.project ?? null) : undefined
  const inbound = isObject(value) ? (value.inbound ?? null) : undefined
  const hint = 'it should read {"project": "NAME"}'
  if (inbound !== null && inbound !== undefined && !isInbound(inbound))
    throw new MeshError('bad_request', `${path}: inbound ${INBOUND_RULE}`, { hint })
  if (project === null || typeof project === 'string') return { project, inbound: inbound ?? null }
  throw new MeshError('bad_request', `${path} is malformed`, { hint })
}

function allowedPath(home: Home): string {
  return join(home.root, 'allowed.json')
}

function readAllowed(home: Home): Record<string, string[]> {
  const value = readJson(allowedPath(home), ALLOWED_BYTES)
  if (!isObject(value)) return {}
  const lists = Object.entries(value).filter((entry): entry is [string, string[]] => Array.isArray(entry[1]))
  return Object.fromEntries(lists)
}

/** Returns a text that is the same for all worktrees and clones of a repository; without one, for a directory. */
export function derivedProject(repository: Repository | null, worktree: string, env: Env): string {
  if (!repository) return projectId(basename(worktree), worktree)
  return ofSource(repository, sameRemote(repository, env))
}

/** The id as 0.1.0 derived it: of the remote as one file writes it. */
function firstProject(repository: Repository): string {
  const { commonDir, remote } = repository
  if (remote === null) return ofSource(repository, null)
  const { host, path } = parseRemote(remote, dirname(commonDir))
  return ofSource(repository, host === '' ? path : `${host}/${path}`)
}

function ofSource({ commonDir }: Repository, source: string | null): string {
  return source === null ? projectId(directoryName(commonDir), commonDir) : projectId(basename(source), source)
}

/** A project that was used here before keeps its id and its mail: `alike` then is the one of all other spellings. */
function knownProject(repository: Repository, home: Home, env: Env): Pick<Place, 'project' | 'alike'> {
  const derived = derivedProject(repository, repository.topLevel, env)
  const first = firstProject(repository)
  if (first === derived || !isKnown(home, first)) return { project: derived }
  return isKnown(home, derived) ? { project: first, alike: derived } : { project: first }
}

function isKnown(home: Home, project: string): boolean {
  return existsSync(join(home.projects, project))
}

function projectId(name: string, source: string): string {
  const hash = createHash('sha256').update(source).digest('hex').slice(0, HASH_DIGITS)
  return `${slugOf(name, SLUG_CHARS) || 'project'}-${hash}`
}

/** The name of what a git directory belongs to: `api/.git` and `api/.bare` are api's, and so is `api.git`. */
function directoryName(commonDir: string): string {
  const name = basename(commonDir)
  return name.startsWith('.') ? basename(dirname(commonDir)) : name.replace(/\.git$/, '')
}

function defaultName(repository: Repository | null, worktree: string): string {
  const branch = repository?.branch ?? null
  return toName(branch === null || TRUNKS.has(branch) ? basename(worktree) : branch)
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function realPath(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    return resolve(path)
  }
}
