/** Looks at what `mesh install` wrote, and at settings that switch hooks off. Reads only. */
import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { MeshError } from '../../errors.ts'
import { readText } from '../../host/files.ts'
import type { Env, Home } from '../../host/home.ts'
import { hookScript, isOurs, scriptName, settingsHooks } from './hook-script.ts'
import { localSettings } from './install.ts'
import { listRecords } from './install-record.ts'
import { hasHooks } from './settings-merge.ts'

const SETTINGS_BYTES = 4 * 1024 * 1024
const PLUGIN = /^mesh@/

/** `other`: our entries of another version. `elsewhere`: those of another mesh home. */
export type HookState = 'current' | 'missing' | 'other' | 'elsewhere'

export interface Inspection {
  settingsPath: string
  /** Why the user's settings cannot be read; null when they can, or are not there. */
  unreadable: string | null
  /** Our hooks in the user's settings, by event; all `missing` without any. */
  hooks: Record<string, HookState>
  /** The mesh home that entries `elsewhere` name. */
  otherHome: string | null
  /** The plugin form is enabled. */
  plugin: boolean
  /** Settings of single repositories that have hooks of ours. */
  projects: string[]
  script: 'current' | 'other' | 'missing'
  scriptPath: string
  /** What the script starts; null without a script that can be read. */
  starts: { node: string; sidecar: string } | null
  /** Settings that switch hooks off: the file and its key. */
  switchedOff: { path: string; key: string }[]
}

type Json = Record<string, unknown>

/** `cwd` decides which repository's settings count. `managed`: where an administrator's settings are. */
export function inspectClaudeCode(env: Env, home: Home, top: string, managed = managedPath()): Inspection {
  const settingsPath = join(env.CLAUDE_CONFIG_DIR || join(env.HOME || homedir(), '.claude'), 'settings.json')
  const { settings, unreadable } = readSettings(settingsPath)
  const scriptPath = join(home.hooks, scriptName)
  const script = readText(scriptPath, SETTINGS_BYTES)
  const starts = script === null ? null : startsOf(script)
  return {
    settingsPath,
    unreadable,
    ...hooksIn(settings, home),
    plugin: Object.entries(object(settings.enabledPlugins)).some(([name, on]) => PLUGIN.test(name) && on === true),
    projects: projectsOf(home, top),
    script: script === null ? 'missing' : starts && isCurrent(script, home, starts) ? 'current' : 'other',
    scriptPath,
    starts,
    switchedOff: switchesOff(settingsPath, settings, top, managed),
  }
}

/** What a hook of the session itself runs at `event`: the line of the settings. */
export function hookCommand(home: Home, event: string): string {
  return settingsHooks(home.root)[event]![0]!.command
}

/** Those that installs wrote down, and the one of this repository. */
function projectsOf(home: Home, top: string): string[] {
  const recorded = listRecords(home).flatMap(({ path, repository }) => (repository ? [path] : []))
  return [...new Set([localSettings(top), ...recorded])].filter((path) => hasHooks(readSettings(path).settings))
}

function hooksIn(settings: Json, home: Home): Pick<Inspection, 'hooks' | 'otherHome'> {
  const found = object(settings.hooks)
  const states: Record<string, HookState> = {}
  let otherHome: string | null = null
  for (const [event, wanted] of Object.entries(settingsHooks(home.root))) {
    const ours = handlers(found[event]).filter(({ command }) => isOurs(command))
    const other = ours.map(({ command }) => homeOf(String(command))).find((root) => root !== null && root !== home.root)
    otherHome ??= other ?? null
    states[event] = stateOf(ours, wanted, other !== undefined)
  }
  return { hooks: states, otherHome }
}

function stateOf(ours: Json[], wanted: object[], isElsewhere: boolean): HookState {
  if (ours.length === 0) return 'missing'
  if (isElsewhere) return 'elsewhere'
  return JSON.stringify(ours) === JSON.stringify(wanted) ? 'current' : 'other'
}

function homeOf(command: string): string | null {
  return unquote(/^H=('(?:[^']|'\\'')*');/.exec(command)?.[1])
}

function startsOf(script: string): { node: string; sidecar: string } | null {
  const value = (name: string) => unquote(new RegExp(`^${name}=('(?:[^']|'\\\\'')*')$`, 'm').exec(script)?.[1])
  const [node, sidecar] = [value('node'), value('sidecar')]
  return node === null || sidecar === null ? null : { node, sidecar }
}

function isCurrent(script: string, home: Home, starts: { node: string; sidecar: string }): boolean {
  return script === hookScript({ home: home.root, ...starts })
}

function unquote(word: string | undefined): string | null {
  return word === undefined ? null : word.slice(1, -1).replaceAll(`'\\''`, `'`)
}

function readSettings(path: string): { settings: Json; unreadable: string | null } {
  try {
    const text = readText(path, SETTINGS_BYTES)
    const value = text === null || text.trim() === '' ? {} : (JSON.parse(text) as unknown)
    if (isObject(value)) return { settings: value, unreadable: null }
    return { settings: {}, unreadable: 'not a JSON object' }
  } catch (error) {
    const why = error instanceof MeshError ? error.message : `not valid JSON: ${(error as Error).message}`
    return { settings: {}, unreadable: why }
  }
}

function switchesOff(userPath: string, user: Json, top: string, managed: string): Inspection['switchedOff'] {
  const paths = [join(top, '.claude', 'settings.json'), join(top, '.claude', 'settings.local.json'), managed]
  const others = paths
    .filter((path) => existsSync(path))
    .map((path) => ({ path, settings: readSettings(path).settings }))
  return [{ path: userPath, settings: user }, ...others].flatMap(({ path, settings }) => {
    const keys = path === managed ? ['disableAllHooks', 'allowManagedHooksOnly'] : ['disableAllHooks']
    return keys.filter((key) => settings[key] === true).map((key) => ({ path, key }))
  })
}

/** Where an administrator's settings are, by Claude Code's documentation. */
function managedPath(): string {
  const dir = process.platform === 'darwin' ? '/Library/Application Support/ClaudeCode' : '/etc/claude-code'
  return join(dir, 'managed-settings.json')
}

function handlers(entries: unknown): Json[] {
  const list = Array.isArray(entries) ? entries.map(object) : []
  return list.flatMap(({ hooks }) => (Array.isArray(hooks) ? hooks.filter(isObject) : []))
}

function object(value: unknown): Json {
  return isObject(value) ? value : {}
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
