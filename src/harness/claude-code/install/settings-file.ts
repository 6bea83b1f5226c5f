/** A settings file of the client as a whole: read, replaced, put back; formatting, mode and links stay. */
import { createHash } from 'node:crypto'
import { chmodSync, lstatSync, mkdirSync, readlinkSync, realpathSync, rmdirSync, rmSync, statSync } from 'node:fs'
import { basename, dirname, join, resolve, sep } from 'node:path'
import { MeshError } from '../../../errors.ts'
import { readBytes, writeAtomic } from '../../../host/files.ts'
import { type Env, userHome } from '../../../host/home.ts'

const SETTINGS_BYTES = 4 * 1024 * 1024
const NEW_FILE_INDENT = '  '
const BYTE_ORDER_MARK = '\ufeff'

export type Json = Record<string, unknown>

export interface SettingsFile {
  /** The path as the client names it; it may be a link. */
  path: string
  /** Null if there is no file. */
  bytes: Buffer | null
  settings: Json
}

export function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export interface SettingsPlace {
  path: string
  repository?: string
}

/** Returns the user's settings: `settings.json` in CLAUDE_CONFIG_DIR or ~/.claude. */
export function userSettings(env: Env): SettingsPlace {
  return { path: join(env.CLAUDE_CONFIG_DIR || join(userHome(env), '.claude'), 'settings.json') }
}

export function localSettings(repository: string): string {
  return join(repository, '.claude', 'settings.local.json')
}

/** Returns the path of an administrator's settings that Claude Code's documentation gives. */
export function managedPath(): string {
  const dir = process.platform === 'darwin' ? '/Library/Application Support/ClaudeCode' : '/etc/claude-code'
  return join(dir, 'managed-settings.json')
}

/**
 * Reads settings, after a byte order mark too, as the client does; an empty file counts as none. Throws `bad_request` for anything but a JSON object in UTF-8, and
 * `denied`.
 */
export function openSettings(path: string): SettingsFile {
  const bytes = onFile(path, () => readBytes(path, SETTINGS_BYTES))
  return { path, bytes, settings: parse(bytes, path) }
}

/** Turns what the file system refuses into an error of the file or its owner, not of mesh. */
function onFile<T>(path: string, work: () => T): T {
  const isThere = (place: string) => statSync(place, { throwIfNoEntry: false })
  if (isThere(dirname(path))?.isDirectory() === false) throw unreadable(path, 'its folder is a file')
  if (isThere(path)?.isFile() === false) throw unreadable(path, 'not a file')
  try {
    return work()
  } catch (error) {
    const { code, message } = (error instanceof MeshError ? (error.cause ?? error) : error) as NodeJS.ErrnoException
    if (code !== 'EACCES' && code !== 'EPERM' && code !== 'EROFS') throw error
    throw new MeshError('denied', `${path}: ${message}`, {
      cause: error,
      hint: 'check the owner and mode of its folder',
    })
  }
}

/** Returns the error for settings that a program cannot change. */
export function unreadable(path: string, why: string): MeshError {
  return new MeshError('bad_request', `${path}: ${why}`, { hint: 'mend the file by hand, then run the command again' })
}

function parse(bytes: Buffer | null, path: string): Json {
  let value: unknown
  try {
    const text = bytes ? new TextDecoder('utf-8', { fatal: true }).decode(bytes) : ''
    value = text.trim() === '' ? {} : JSON.parse(text)
  } catch (error) {
    throw unreadable(path, `not valid JSON: ${(error as Error).message}`)
  }
  if (isObject(value)) return value
  throw unreadable(path, 'not a JSON object')
}

/** Returns `settings` as the file's text, with the mark, indentation, line ends and final newline that it has. */
export function format(settings: Json, { bytes }: SettingsFile): string {
  const whole = bytes?.toString('utf8') ?? null
  const mark = whole?.startsWith(BYTE_ORDER_MARK) ? BYTE_ORDER_MARK : ''
  const before = whole?.slice(mark.length) ?? null
  const indent = before === null ? NEW_FILE_INDENT : (/\{\r?\n([ \t]+)"/.exec(before)?.[1] ?? '')
  const oneLine = before !== null && before.trim() !== '' && indent === '' && !/\{\r?\n"/.test(before)
  const text = JSON.stringify(settings, null, oneLine ? undefined : indent || NEW_FILE_INDENT)
  const end = before === null ? '\n' : (/\s*$/.exec(before)?.[0] ?? '')
  return mark + (before?.includes('\r\n') ? text.replaceAll('\n', '\r\n') : text) + end
}

export function hashOf(bytes: string | Uint8Array | null): string {
  return bytes === null ? '' : createHash('sha256').update(bytes).digest('hex')
}

/** Returns the hash of the file as it is now. */
export function currentHash(path: string): string {
  return hashOf(readBytes(path, SETTINGS_BYTES))
}

/**
 * Replaces the file at its real place (dotfile managers link it there) and keeps its mode. `from` is the hash of the
 * file that the new text was made from. Throws `conflict` if the file changed since.
 */
export function replaceFile(path: string, data: string | Uint8Array, from: string): void {
  onFile(path, () => place(path, data, from))
}

function place(path: string, data: string | Uint8Array, from: string): void {
  const target = targetOf(path)
  const mode = statSync(target, { throwIfNoEntry: false })?.mode
  if (mode === undefined) mkdirSync(dirname(target), { recursive: true, mode: 0o700 })
  checkUnchanged(path, from)
  writeAtomic(target, data)
  if (mode !== undefined) chmodSync(target, mode & 0o7777)
}

/** Removes the file, not the link to it. Throws `conflict` as `replaceFile`. */
export function removeFile(path: string, from: string): void {
  checkUnchanged(path, from)
  rmSync(targetOf(path), { force: true })
}

function checkUnchanged(path: string, from: string): void {
  if (currentHash(path) === from) return
  throw new MeshError('conflict', `${path} was changed meanwhile`, { hint: 'run the command again' })
}

/** Returns the directories that `replaceFile` would make for this file, outermost first. */
export function missingDirs(path: string): string[] {
  const missing: string[] = []
  for (let dir = dirname(targetOf(path)); !statSync(dir, { throwIfNoEntry: false }); dir = dirname(dir)) {
    missing.unshift(dir)
  }
  return missing
}

/** Removes directories if they are empty, innermost first. */
export function removeEmptyDirs(dirs: readonly string[]): void {
  try {
    for (const dir of dirs.toReversed()) rmdirSync(dir)
  } catch {
    // It is in use.
  }
}

/** Throws `denied` if writing `path` would write outside of `root`: a repository's files may be links to anywhere. */
export function checkWithin(path: string, root: string): void {
  const target = targetOf(path)
  let dir = dirname(target)
  while (!statSync(dir, { throwIfNoEntry: false })) dir = dirname(dir)
  const real = join(realpathSync(dir), basename(target))
  if (real.startsWith(realpathSync(root) + sep)) return
  throw new MeshError('denied', `${path} is a link that leads out of the repository`, {
    hint: 'look at where it leads',
  })
}

function targetOf(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    const link = lstatSync(path, { throwIfNoEntry: false })
    return link?.isSymbolicLink() ? resolve(dirname(path), readlinkSync(path)) : path
  }
}
