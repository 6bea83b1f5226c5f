/** Builds of earlier revisions of this repository, kept outside the tree: what an upgrade starts from. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** 0.1.0. */
export const RELEASED = '3b4d1e0'

/** True if the clone has the revision, as a shallow one may not, and it runs on this Node: 0.1.0 does on 20 alone. */
export function hasRevision(revision: string): boolean {
  if (revision === RELEASED && !process.version.startsWith('v20.')) return false
  try {
    git('cat-file', '-e', `${revision}^{commit}`)
    return true
  } catch {
    return false
  }
}

/** The package of a revision, built with the dependencies it names. Takes seconds, and the registry, the first time. */
export function buildRevision(revision: string): string {
  const cache = process.env.MESH_TEST_CACHE || join(homedir(), '.cache', 'sessionmesh-test')
  const commit = git('rev-parse', `${revision}^{commit}`).trim()
  const dir = join(cache, `build-${commit}-${process.version}`)
  if (existsSync(dir)) return dir
  mkdirSync(cache, { recursive: true })
  const fresh = mkdtempSync(join(cache, 'build-'))
  try {
    execFileSync('tar', ['-x', '-C', fresh], { input: archive(commit) })
    execFileSync('npm', ['ci', '--no-audit', '--no-fund'], { cwd: fresh, stdio: 'pipe' })
    renameSync(fresh, dir)
  } finally {
    rmSync(fresh, { recursive: true, force: true })
  }
  return dir
}

function archive(commit: string): Buffer {
  return execFileSync('git', ['-C', root, 'archive', commit], { maxBuffer: 64 << 20 })
}

function git(...args: string[]): string {
  return execFileSync('git', ['-C', root, ...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
}
