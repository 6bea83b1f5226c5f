/** Finds a nats-server: the one that `MESH_ENGINE` names, one fetched before, or one on PATH. */
import { spawnSync } from 'node:child_process'
import { accessSync, constants, existsSync, statSync } from 'node:fs'
import { delimiter, dirname, isAbsolute, join } from 'node:path'
import { MeshError } from '../errors.ts'
import { readJson, writeAtomic } from '../host/files.ts'
import type { Env, Home } from '../host/home.ts'
import { quote } from '../wire/names.ts'

const KNOWN_BYTES = 1024 * 1024
const VERSION_MS = 5_000

/** 2.11 brought per-message TTLs; older servers ignore the fields without a word. */
const MINIMUM = '2.11.0'
/** 2.14.1 and 2.14.3 fixed 13 CVEs. */
export const ADVISED = '2.14.3'

export interface EngineBinary {
  path: string
  version: string
  source: 'MESH_ENGINE' | 'fetched' | 'PATH'
}

/** Returns the binary to use; null if there is none. Throws `mesh_down` if `MESH_ENGINE` names a bad one. */
export function findEngine(env: Env, home: Home): EngineBinary | null {
  return searchEngine(env, home).engine
}

/** Does `findEngine`, and returns those on PATH that are too old: they are passed over, and the person gets a note. */
export function searchEngine(env: Env, home: Home): { engine: EngineBinary | null; tooOld: EngineBinary[] } {
  const named = namedEngine(env, home) ?? fetchedEngine(home)
  if (named) return { engine: named, tooOld: [] }
  const tooOld: EngineBinary[] = []
  for (const path of searchPath(env)) {
    const engine = usable(path, 'PATH', home)
    if (engine && checkVersion(engine.version).ok) return { engine, tooOld }
    if (engine) tooOld.push(engine)
  }
  return { engine: null, tooOld }
}

/** Throws rather than take another one than the user named. */
function namedEngine(env: Env, home: Home): EngineBinary | null {
  const path = env.MESH_ENGINE
  if (!path) return null
  const engine = usable(path, 'MESH_ENGINE', home)
  if (engine) return engine
  throw new MeshError('mesh_down', `the engine ${quote(path)} (from MESH_ENGINE) is not a nats-server that runs here`, {
    hint: `name a nats-server ${ADVISED} or newer, or none to have one fetched`,
  })
}

/** The one that was fetched into this mesh home; null if there is none that runs here. */
export function fetchedEngine(home: Home): EngineBinary | null {
  return usable(fetchedPath(home), 'fetched', home)
}

export function fetchedPath(home: Home): string {
  return join(home.engine, 'bin', 'nats-server')
}

/** Debian installs into /usr/sbin, which is not on a user's PATH; a program started from the desktop lacks brew's. */
function searchPath(env: Env): string[] {
  const usual = ['/usr/sbin', '/usr/local/sbin', '/usr/local/bin', '/opt/homebrew/bin']
  const dirs = [...(env.PATH ?? '').split(delimiter).filter((dir) => isAbsolute(dir)), ...usual]
  return [...new Set(dirs)].map((dir) => join(dir, 'nats-server'))
}

function usable(path: string, source: EngineBinary['source'], home: Home): EngineBinary | null {
  try {
    accessSync(path, constants.X_OK)
    const version = cachedVersion(path, home)
    return version === null ? null : { path, version, source }
  } catch {
    return null
  }
}

interface KnownVersion {
  mtimeMs: number
  size: number
  version: string
}

/** Asked once per file, so that healing starts no second process. */
function cachedVersion(path: string, home: Home): string | null {
  const { mtimeMs, size } = statSync(path)
  const cache = join(home.engine, 'versions.json')
  const known = (readJson(cache, KNOWN_BYTES) ?? {}) as Record<string, KnownVersion | undefined>
  const entry = known[path]
  if (entry?.mtimeMs === mtimeMs && entry.size === size && typeof entry.version === 'string') return entry.version
  const version = askVersion(path)
  if (version !== null) remember(cache, { ...known, [path]: { mtimeMs, size, version } })
  return version
}

/** Looking for a binary makes no mesh home. */
function remember(cache: string, known: object): void {
  if (!existsSync(dirname(cache))) return
  try {
    writeAtomic(cache, JSON.stringify(known))
  } catch {
    // Only a cache; what makes the home unusable is reported by those who need it.
  }
}

function askVersion(path: string): string | null {
  const { stdout } = spawnSync(path, ['--version'], { encoding: 'utf8', env: {}, timeout: VERSION_MS })
  return /^nats-server: v?(\d+\.\d+\.\d+\S*)/.exec(stdout ?? '')?.[1] ?? null
}

/** Older than 2.11.0 is not `ok`; older than 2.14.3 gets a warning: loopback only, never a listening hub. */
export function checkVersion(version: string): { ok: boolean; warning: string | null } {
  if (isOlder(version, MINIMUM)) {
    return { ok: false, warning: `nats-server ${version} is too old: mesh needs ${MINIMUM} or newer` }
  }
  if (!isOlder(version, ADVISED)) return { ok: true, warning: null }
  const warning = `nats-server ${version} lacks security fixes of ${ADVISED}: it is used on loopback only`
  return { ok: true, warning }
}

function isOlder(version: string, than: string): boolean {
  const [a, b] = [version, than].map((text) => text.split(/[.-]/).slice(0, 3).map(Number)) as [number[], number[]]
  const at = b.findIndex((part, i) => part !== a[i])
  return at >= 0 && !((a[at] ?? 0) > (b[at] ?? 0))
}
