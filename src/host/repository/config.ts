/**
 * Reads git's configuration as git-config(1) describes it: a repository's own, with its includes, and its user's. Values
 * are only compared: nothing of them is run, and a file that is missing, too large or too deep counts as empty.
 */
import { homedir } from 'node:os'
import { dirname, isAbsolute, join, resolve } from 'node:path'
import { readText } from '../files.ts'
import type { Env } from '../home.ts'

const FILE_BYTES = 1024 * 1024
const DEPTH = 8
const MOST_FILES = 50
/** More could keep a regular expression busy for long. */
const MOST_STARS = 12
const SECTION = /^\s*\[\s*([\w.-]+)(?:\s+"((?:[^"\\]|\\.)*)")?\s*\]/
const ASSIGNMENT = /^\s*([A-Za-z][A-Za-z0-9-]*)\s*=(.*)$/

/** One assignment, with names in lower case but for the part of a section that is quoted. */
export interface Setting {
  section: string
  /** The quoted part: a remote's name, a URL. Empty without one. */
  part: string
  key: string
  value: string
}

/** The settings of one file's text, in its order. */
export function parseConfig(text: string): Setting[] {
  const settings: Setting[] = []
  let at: { section: string; part: string } | null = null
  const lines = text
    .replace(/^\ufeff/, '')
    .replace(/\\\r?\n/g, '')
    .split(/\r?\n/)
  for (let line of lines) {
    const section = SECTION.exec(line)
    if (section) {
      at = namesOf(section)
      line = line.slice(section[0].length)
    }
    const [, key, raw] = ASSIGNMENT.exec(line) ?? []
    if (at !== null && key !== undefined && raw !== undefined)
      settings.push({ ...at, key: key.toLowerCase(), value: parseValue(raw) })
  }
  return settings
}

/** `[remote "name"]`, or the old form `[remote.name]`. */
function namesOf([, section = '', quoted]: RegExpExecArray): { section: string; part: string } {
  const lower = section.toLowerCase()
  if (quoted !== undefined) return { section: lower, part: quoted.replace(/\\(.)/g, '$1') }
  const dot = lower.indexOf('.')
  return dot < 0 ? { section: lower, part: '' } : { section: lower.slice(0, dot), part: lower.slice(dot + 1) }
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

interface Files {
  env: Env
  /** The git directory of the worktree, which conditions are compared with. */
  gitDir: string
  branch: string | null
  left: number
}

/**
 * Returns the settings that hold for a repository: the system's, the user's, its own and its worktree's, each with what it
 * includes. Later ones win.
 */
export function readConfig(env: Env, commonDir: string, gitDir: string, branch: string | null): Setting[] {
  const files = { env, gitDir, branch, left: MOST_FILES }
  const own = fileSettings(join(commonDir, 'config'), files)
  const usesWorktrees = own.some(
    ({ section, key, value }) =>
      section === 'extensions' && key === 'worktreeconfig' && !/^(false|no|off|0)$/i.test(value),
  )
  return [
    ...userFiles(env).flatMap((path) => fileSettings(path, files)),
    ...own,
    ...(usesWorktrees ? fileSettings(join(gitDir, 'config.worktree'), files) : []),
  ]
}

function userFiles(env: Env): string[] {
  const system = env.GIT_CONFIG_NOSYSTEM ? [] : [env.GIT_CONFIG_SYSTEM ?? '/etc/gitconfig']
  if (env.GIT_CONFIG_GLOBAL !== undefined) return [...system, env.GIT_CONFIG_GLOBAL]
  const home = userHome(env)
  return [...system, join(env.XDG_CONFIG_HOME || join(home, '.config'), 'git', 'config'), join(home, '.gitconfig')]
}

export function userHome(env: Env): string {
  return env.HOME || homedir()
}

function fileSettings(path: string, files: Files, depth = 0): Setting[] {
  if (depth > DEPTH || files.left-- <= 0) return []
  return parseConfig(textOf(path)).flatMap((setting) => {
    const { section, part, key, value } = setting
    const isInclude = section === 'include' || (section === 'includeif' && applies(part, dirname(path), files))
    if (!isInclude || key !== 'path') return [setting]
    return [setting, ...fileSettings(resolve(dirname(path), inHome(value, files.env)), files, depth + 1)]
  })
}

function inHome(path: string, env: Env): string {
  return path.startsWith('~/') ? join(userHome(env), path.slice(2)) : path
}

/** Conditions on the directory and the branch; others never apply. */
function applies(condition: string, dir: string, { env, gitDir, branch }: Files): boolean {
  const [, kind, pattern = ''] = /^(gitdir|gitdir\/i|onbranch):(.*)$/.exec(condition) ?? []
  if (kind === 'onbranch') return branch !== null && matches(pattern, branch)
  if (kind === undefined) return false
  const placed = pattern.startsWith('./')
    ? join(dir, pattern.slice(2)) + (pattern.endsWith('/') ? '/' : '')
    : inHome(pattern, env)
  const whole = isAbsolute(placed) ? placed : `**/${placed}`
  return kind === 'gitdir/i' ? matches(whole.toLowerCase(), gitDir.toLowerCase()) : matches(whole, gitDir)
}

/** A pattern that ends in / matches all below it. */
function matches(pattern: string, text: string): boolean {
  const whole = pattern.endsWith('/') ? `${pattern}**` : pattern
  if (whole.split('*').length > MOST_STARS) return false
  const source = whole.replace(/\*\*\/|\*\*|[*?]|[^*?]+/g, (piece) => {
    if (piece === '**/') return '(?:.*/)?'
    if (piece === '**') return '.*'
    if (piece === '*') return '[^/]*'
    return piece === '?' ? '[^/]' : piece.replace(/[\\^$.|+()[\]{}]/g, '\\$&')
  })
  return new RegExp(`^${source}$`, 's').test(text)
}

function textOf(path: string): string {
  try {
    return readText(path, FILE_BYTES) ?? ''
  } catch {
    // A file of the user's, not of ours.
    return ''
  }
}
