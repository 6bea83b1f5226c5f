/**
 * Reads which repository a directory is in, from git's files. Never runs git: a repository's configuration can name
 * programs to execute. File formats: gitrepository-layout(5) and git-config(1).
 */
import { existsSync, realpathSync, statSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { readText } from '../files.ts'

const POINTER_BYTES = 16 * 1024
const CONFIG_BYTES = 1024 * 1024
const SECTION = /^\s*\[\s*([\w.-]+)(?:\s+"((?:[^"\\]|\\.)*)")?\s*\]/
const ASSIGNMENT = /^\s*([A-Za-z][A-Za-z0-9-]*)\s*=(.*)$/

export interface Repository {
  /** The real path of the working tree's top directory. */
  topLevel: string
  /** The real path of the git directory that all worktrees share. */
  commonDir: string
  /** Null when HEAD is detached. */
  branch: string | null
  /** The URL of `origin`, else of the first remote, as written; it may contain a password. */
  remote: string | null
}

/** The repository that `cwd` is in; null if there is none, or it is bare. */
export function readRepository(cwd: string): Repository | null {
  const start = realPath(cwd)
  if (start === null) return null
  for (let dir = start; ; dir = dirname(dir)) {
    const found = repositoryAt(dir)
    if (found) return found
    if (dir === dirname(dir)) return null
  }
}

function repositoryAt(topLevel: string): Repository | null {
  const gitDir = gitDirOf(topLevel)
  const head = gitDir && readBounded(join(gitDir, 'HEAD'), POINTER_BYTES)
  if (!gitDir || head === null) return null
  const common = readBounded(join(gitDir, 'commondir'), POINTER_BYTES)
  const commonDir = realPath(common === null ? gitDir : resolve(gitDir, common.trim()))
  if (commonDir === null || !existsSync(join(commonDir, 'objects'))) return null
  const config = readBounded(join(commonDir, 'config'), CONFIG_BYTES)
  return { topLevel, commonDir, branch: branchOf(head), remote: config === null ? null : remoteIn(config) }
}

/** `.git` is a directory, or in worktrees and submodules a file with the path of one. */
function gitDirOf(topLevel: string): string | null {
  const path = join(topLevel, '.git')
  try {
    if (statSync(path).isDirectory()) return path
  } catch {
    return null
  }
  const target = readBounded(path, POINTER_BYTES)?.match(/^gitdir: (.+?)[\r\n]*$/s)?.[1]
  return target ? resolve(topLevel, target) : null
}

/** With the reftable format HEAD names `.invalid`, and the branch is in a binary file. */
function branchOf(head: string): string | null {
  const branch = head.match(/^ref:\s*refs\/heads\/(.+?)\s*$/)?.[1]
  return branch === undefined || branch === '.invalid' ? null : branch
}

function remoteIn(config: string): string | null {
  const remotes = remoteUrls(config)
  return remotes.get('origin') ?? remotes.values().next().value ?? null
}

/** The first URL of each remote, in the file's order. */
function remoteUrls(config: string): Map<string, string> {
  const urls = new Map<string, string>()
  let remote: string | null = null
  for (let line of config
    .replace(/^\ufeff/, '')
    .replace(/\\\r?\n/g, '')
    .split(/\r?\n/)) {
    const section = SECTION.exec(line)
    if (section) {
      remote = remoteOf(section)
      line = line.slice(section[0].length)
    }
    const [, key, value] = ASSIGNMENT.exec(line) ?? []
    if (remote === null || key?.toLowerCase() !== 'url' || value === undefined || urls.has(remote)) continue
    const url = parseValue(value)
    if (url !== '') urls.set(remote, url)
  }
  return urls
}

/** `[remote "name"]`, or the old form `[remote.name]`. */
function remoteOf([, section = '', quoted]: RegExpExecArray): string | null {
  const lower = section.toLowerCase()
  if (quoted !== undefined) return lower === 'remote' ? quoted.replace(/\\(.)/g, '$1') : null
  return lower.startsWith('remote.') ? lower.slice('remote.'.length) : null
}

/** A value without its quotes, escapes, comment and outer white space. */
function parseValue(raw: string): string {
  let value = ''
  let kept = 0
  let quoted = false
  for (let i = 0; i < raw.length; i++) {
    const c = raw.charAt(i)
    if (c === '"') quoted = !quoted
    else if (!quoted && (c === '#' || c === ';')) break
    else if (c === '\\') value += unescaped(raw.charAt(++i))
    else value += c
    if (quoted || c.trim() !== '') kept = value.length
  }
  return value.slice(0, kept).trimStart()
}

function unescaped(c: string): string {
  return { n: '\n', t: '\t', b: '\b' }[c] ?? c
}

function realPath(path: string): string | null {
  try {
    return realpathSync(path)
  } catch {
    return null
  }
}

/** A file that cannot be read counts as absent: this is the user's repository, not a file of ours. */
function readBounded(path: string, maxBytes: number): string | null {
  try {
    return readText(path, maxBytes)
  } catch {
    return null
  }
}
