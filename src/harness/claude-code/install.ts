/** Writes mesh's hooks into Claude Code's user settings and takes exactly them out again. */
import { chmodSync, lstatSync, readlinkSync, realpathSync, rmSync, statSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { MeshError } from '../../errors.ts'
import { ensurePrivateDir, readText, writeAtomic } from '../../host/files.ts'
import type { Env, Home } from '../../host/home.ts'
import { hookScript, isOurs, scriptName, settingsHooks } from './hook-script.ts'

const SETTINGS_BYTES = 4 * 1024 * 1024
const NEW_FILE_INDENT = '  '

export interface InstallOptions {
  env: Env
  home: Home
  /** The built sidecar program, an absolute path. */
  sidecarPath: string
  nodePath: string
}

export interface Installed {
  settingsPath: string
  /** False when everything was there already. */
  changed: boolean
  /** Events that got a hook, or another one than they had. */
  hooksAdded: string[]
}

type Json = Record<string, unknown>

/**
 * Merges our hooks into the user's settings; what else is there stays. Doing it twice is doing it once, and older
 * entries of ours are replaced. Throws `bad_request` if the settings are not a JSON object: then nothing is written.
 */
export function installClaudeCode({ env, home, sidecarPath, nodePath }: InstallOptions): Installed {
  const file = openSettings(env)
  const { settings } = file
  const hooks = section(settings.hooks ?? {}, file.path)
  const wanted = settingsHooks(home.root)
  const hooksAdded = Object.keys(wanted).filter((event) => {
    const entries = list(hooks[event] ?? [], file.path)
    const ours = entries.flatMap(handlers).filter(({ command }) => isOurs(command))
    if (JSON.stringify(ours) === JSON.stringify(wanted[event])) return false
    hooks[event] = [...without(entries), { hooks: wanted[event] }]
    return true
  })
  const obsolete = Object.keys(hooks).filter((event) => !(event in wanted) && hasOurs(hooks[event]))
  for (const event of obsolete) removeFrom(hooks, event)
  for (const dir of [home.root, home.run, home.hooks]) ensurePrivateDir(dir)
  const script = join(home.hooks, scriptName)
  const text = hookScript({ home: home.root, node: nodePath, sidecar: sidecarPath })
  const newScript = readText(script, SETTINGS_BYTES) !== text
  // The script first: a settings line without its script does nothing.
  if (newScript) writeAtomic(script, text)
  const newSettings = hooksAdded.length + obsolete.length > 0
  if (newSettings) file.save({ ...settings, hooks })
  return { settingsPath: file.path, changed: newSettings || newScript, hooksAdded }
}

/** Takes our hooks out of the user's settings and removes the hook script. Settings that are not JSON stay as they are. */
export function uninstallClaudeCode({ env, home }: { env: Env; home: Home }): {
  settingsPath: string
  changed: boolean
} {
  const file = openSettings(env)
  const { hooks, ...rest } = file.settings
  const events = isObject(hooks) ? Object.keys(hooks).filter((event) => hasOurs(hooks[event])) : []
  if (isObject(hooks) && events.length > 0) {
    for (const event of events) removeFrom(hooks, event)
    file.save(Object.keys(hooks).length > 0 ? file.settings : rest)
  }
  rmSync(home.hooks, { recursive: true, force: true })
  return { settingsPath: file.path, changed: events.length > 0 }
}

function hasOurs(entries: unknown): boolean {
  return Array.isArray(entries) && entries.flatMap(handlers).some(({ command }) => isOurs(command))
}

/** Containers that only we were in go as well. */
function removeFrom(hooks: Json, event: string): void {
  const left = without(hooks[event] as unknown[])
  if (left.length > 0) hooks[event] = left
  else delete hooks[event]
}

/** The entries without our handlers; an entry that held only ours goes. */
function without(entries: unknown[]): unknown[] {
  return entries.flatMap((entry) => {
    const all = handlers(entry)
    const others = all.filter(({ command }) => !isOurs(command))
    if (others.length === all.length) return [entry]
    return others.length === 0 ? [] : [{ ...(entry as Json), hooks: others }]
  })
}

function handlers(entry: unknown): Json[] {
  const hooks = isObject(entry) ? entry.hooks : null
  return Array.isArray(hooks) ? hooks.filter(isObject) : []
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function section(value: unknown, path: string): Json {
  if (isObject(value)) return value
  throw unreadable(path, '"hooks" is not an object')
}

function list(value: unknown, path: string): unknown[] {
  if (Array.isArray(value)) return value
  throw unreadable(path, 'an event of "hooks" is not a list')
}

function unreadable(path: string, why: string): MeshError {
  return new MeshError('bad_request', `${path}: ${why}`, { hint: 'mend the file by hand, then run mesh install again' })
}

interface SettingsFile {
  path: string
  settings: Json
  save(settings: Json): void
}

/** User settings: `settings.json` in CLAUDE_CONFIG_DIR or ~/.claude (CLAUDE_CODE 1). */
function openSettings(env: Env): SettingsFile {
  const path = join(env.CLAUDE_CONFIG_DIR || join(env.HOME || homedir(), '.claude'), 'settings.json')
  const text = readText(path, SETTINGS_BYTES)
  return {
    path,
    settings: text === null || text.trim() === '' ? {} : parse(text, path),
    save: (settings) => save(path, format(settings, text)),
  }
}

function parse(text: string, path: string): Json {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw unreadable(path, `not valid JSON: ${(error as Error).message}`)
  }
  if (isObject(value)) return value
  throw unreadable(path, 'not a JSON object')
}

/** In the indentation, line ends and final newline that the file had. */
function format(settings: Json, before: string | null): string {
  const indent = before === null ? NEW_FILE_INDENT : (/\{\r?\n([ \t]+)"/.exec(before)?.[1] ?? '')
  const oneLine = before !== null && before.trim() !== '' && indent === '' && !/\{\r?\n"/.test(before)
  const text = JSON.stringify(settings, null, oneLine ? undefined : indent || NEW_FILE_INDENT)
  const end = before === null ? '\n' : (/\s*$/.exec(before)?.[0] ?? '')
  return (before?.includes('\r\n') ? text.replaceAll('\n', '\r\n') : text) + end
}

/** Dotfile managers link the file to its real place: there it is replaced, with the mode it had. */
function save(path: string, text: string): void {
  const target = targetOf(path)
  const mode = statSync(target, { throwIfNoEntry: false })?.mode
  if (mode === undefined) ensureParent(target)
  writeAtomic(target, text)
  if (mode !== undefined) chmodSync(target, mode & 0o7777)
}

function ensureParent(path: string): void {
  const parent = dirname(path)
  if (!statSync(parent, { throwIfNoEntry: false })) ensurePrivateDir(parent)
}

function targetOf(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    const link = lstatSync(path, { throwIfNoEntry: false })
    return link?.isSymbolicLink() ? resolve(dirname(path), readlinkSync(path)) : path
  }
}
