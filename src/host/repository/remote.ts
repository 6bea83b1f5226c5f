/** Tells the spellings of one remote apart from other remotes, as far as git's and ssh's own files say so. */
import { existsSync, readdirSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { readText } from '../files.ts'
import type { Env } from '../home.ts'
import { readConfig, type Setting, userHome } from './config.ts'
import type { Repository } from './git.ts'

const SSH_BYTES = 1024 * 1024
const SSH_DEPTH = 4

/** Hosts under which another host answers: ssh where port 22 is shut. */
const SAME_HOST: Readonly<Record<string, string>> = {
  'ssh.github.com': 'github.com',
  'altssh.gitlab.com': 'gitlab.com',
  'altssh.bitbucket.org': 'bitbucket.org',
}
/** They take a repository's path in any case. */
const CASELESS = new Set(['github.com', 'gitlab.com', 'bitbucket.org', 'codeberg.org'])

export interface Remote {
  isSsh: boolean
  /** Lower case; empty for a path of this machine. */
  host: string
  path: string
}

/** Reads a remote as written: without user, password, port, outer slashes and `.git`. A path of this machine is absolute. */
export function parseRemote(url: string, base: string): Remote {
  const withScheme = /^([a-z][a-z0-9+.-]*):\/\/(?:[^/@]*@)*(\[[^\]]*\]|[^/:]*)(?::\d*)?(\/.*)?$/i.exec(url)
  const scp = withScheme ? null : /^(?:[^/:@]*@)?(\[[^\]]*\]|[^/:]+):(.*)$/s.exec(url)
  const [host, path] = withScheme
    ? [withScheme[2] ?? '', withScheme[3] ?? '']
    : scp
      ? [scp[1] ?? '', scp[2] ?? '']
      : ['', resolve(base, url)]
  const trimmed = path
    .replace(/\/+$/, '')
    .replace(/\.git$/, '')
    .replace(/\/+$/, '')
  const isSsh = scp !== null || /ssh/i.test(withScheme?.[1] ?? '')
  return { isSsh, host: host.toLowerCase(), path: host === '' ? trimmed : trimmed.replace(/^\/+/, '') }
}

/** One text for all spellings of a repository's remote; null without a remote, or with one that is a work of this machine. */
export function sameRemote(repository: Repository, env: Env): string | null {
  const { commonDir, gitDir, branch } = repository
  const settings = readConfig(env, commonDir, gitDir, branch)
  const url = remoteUrl(settings)
  if (url === null) return null
  const { isSsh, host: written, path } = parseRemote(rewritten(url, settings), dirname(commonDir))
  if (written === '') return existsSync(join(path, '.git')) ? null : path
  const aliased = isSsh ? hostName(written, env) : written
  const host = SAME_HOST[aliased] ?? aliased
  return `${host}/${CASELESS.has(host) ? path.toLowerCase() : path}`
}

/** The URL of `origin`, else of the first remote. */
function remoteUrl(settings: readonly Setting[]): string | null {
  const urls = settings.filter(({ section, key, value }) => section === 'remote' && key === 'url' && value !== '')
  return (urls.find(({ part }) => part === 'origin') ?? urls[0])?.value ?? null
}

/** `url.<base>.insteadOf`: of several beginnings that fit, the longest. */
function rewritten(url: string, settings: readonly Setting[]): string {
  const fits = settings.filter(
    ({ section, key, value }) => section === 'url' && key === 'insteadof' && value !== '' && url.startsWith(value),
  )
  const [best] = fits.toSorted((a, b) => b.value.length - a.value.length)
  return best ? best.part + url.slice(best.value.length) : url
}

/** ssh_config(5): the first HostName of the blocks whose patterns fit. Blocks of `Match` are left aside. */
function hostName(alias: string, env: Env): string {
  const dir = join(userHome(env), '.ssh')
  const named = [join(dir, 'config'), '/etc/ssh/ssh_config'].flatMap((path) => namesFor(alias, path, dir)).at(0)
  return (named?.replaceAll('%h', alias) ?? alias).toLowerCase()
}

function namesFor(alias: string, path: string, dir: string, depth = 0): string[] {
  let fits = true
  return textOf(path)
    .split('\n')
    .flatMap((line) => {
      const [, key = '', value = ''] = /^\s*([A-Za-z]+)(?:\s*=\s*|\s+)"?(.*?)"?\s*$/.exec(line) ?? []
      const word = key.toLowerCase()
      if (word === 'host') fits = isFor(alias, value.split(/\s+/))
      else if (word === 'match') fits = value.trim().toLowerCase() === 'all'
      else if (fits && word === 'hostname') return [value]
      else if (fits && word === 'include' && depth < SSH_DEPTH)
        return included(value, dir).flatMap((one) => namesFor(alias, one, dir, depth + 1))
      return []
    })
}

/** Of wildcards those in a file's own name. */
function included(value: string, dir: string): string[] {
  return value.split(/\s+/).flatMap((word) => {
    const path = resolve(dir, word.replace(/^~(?=\/)/, dirname(dir)))
    if (!/[*?]/.test(path)) return [path]
    const names = existsSync(dirname(path)) ? readdirSync(dirname(path)).toSorted() : []
    return names.filter((name) => isFor(name, [basename(path)])).map((name) => join(dirname(path), name))
  })
}

function isFor(alias: string, patterns: readonly string[]): boolean {
  const fits = (pattern: string) => {
    const source = pattern
      .replace(/[\\^$.|+()[\]{}]/g, '\\$&')
      .replaceAll('*', '.*')
      .replaceAll('?', '.')
    return new RegExp(`^${source}$`, 'i').test(alias)
  }
  const isShut = patterns.some((pattern) => pattern.startsWith('!') && fits(pattern.slice(1)))
  return !isShut && patterns.some((pattern) => !pattern.startsWith('!') && fits(pattern))
}

function textOf(path: string): string {
  try {
    return readText(path, SSH_BYTES) ?? ''
  } catch {
    return ''
  }
}
