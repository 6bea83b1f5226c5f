/** Looks at what `mesh install` wrote, in each of its forms, and at settings that switch hooks off. Reads only. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { MeshError } from '../../../errors.ts'
import { readText } from '../../../host/files.ts'
import type { Env, Home } from '../../../host/home.ts'
import { readRepository } from '../../../host/repository/git.ts'
import { type HookEntry, homeOfLine, hookEntry, isOurs, settingsHooks, unquoteWord } from '../hooks/entries.ts'
import { SCRIPT_NAME } from '../hooks/files.ts'
import { hookScript } from '../hooks/script.ts'
import { mainCheckout, otherConfigurations, type Stranger, strangers } from './neighbours.ts'
import { otherHome } from './other-home.ts'
import { pluginFiles } from './plugin.ts'
import { listInstalls } from './record.ts'
import { isObject, type Json, localSettings, managedPath, openSettings, userSettings } from './settings-file.ts'
import { isCurrent, isEnabled, moduleId, pluginId } from './settings-merge.ts'
import { whySwitchedOff } from './why-no-module.ts'

const SCRIPT_BYTES = 1024 * 1024

/** `other`: mesh's entries of another version. `elsewhere`: those of another mesh home. */
export type HookState = 'current' | 'missing' | 'other' | 'elsewhere'

/** A settings file that has hooks of mesh's or cannot be read. The user's is always one. */
export interface InstalledPlace {
  path: string
  /** The repository of these settings; null for the user's. */
  repository: string | null
  /** Why it cannot be read; null when it can, or is not there. */
  unreadable: string | null
  /** The state of mesh's entries, by event. */
  hooks: Record<string, HookState>
  /** The other mesh home that entries `elsewhere`, or the plugin, name. */
  otherHome: string | null
}

export interface Inspection {
  places: InstalledPlace[]
  /** The path of the user's settings. */
  userPath: string
  /** Sessions that start in the folder in question run hooks of mesh's. */
  isReached: boolean
  /** Settings of other configuration folders that have mesh's hooks or plugin. */
  elsewhere: string[]
  /** Other products with mesh's name. */
  strangers: Stranger[]
  /** The state of the enabled plugin. `other`: its files are not those of this version. */
  plugin: 'none' | 'current' | 'other'
  /** The module in the client: as `plugin`, and why no session can load it; null if they can. */
  module: { state: 'none' | 'current' | 'other'; why: string | null }
  script: 'current' | 'other' | 'missing'
  scriptPath: string
  /** The programs that the script starts; null without a script that can be read. */
  starts: { node: string; sidecar: string } | null
  /** Settings that switch hooks off: the file and its key. */
  switchedOff: { path: string; key: string }[]
}

export interface InspectOptions {
  env: Env
  home: Home
  /** The repository, or the directory, whose settings count besides the user's. */
  top: string
  /** The folder of mesh's own package. */
  packageDir: string
  /** The path of an administrator's settings; by default the one of Claude Code's documentation. */
  managed?: string
}

export function inspectClaudeCode({ env, home, top, packageDir, managed = managedPath() }: InspectOptions): Inspection {
  const user = userSettings(env).path
  const scriptPath = join(home.hooks, SCRIPT_NAME)
  const script = readText(scriptPath, SCRIPT_BYTES)
  const starts = script === null ? null : startsOf(script)
  const isCurrent = starts !== null && script === hookScript({ home: home.root, ...starts })
  const places = placesOf(user, home, top)
  const plugin = pluginState(user, home, packageDir)
  return {
    places,
    userPath: user,
    isReached: plugin !== 'none' || places.some((place) => hasAny(place) && reaches(place, top)),
    elsewhere: otherConfigurations(env, home),
    strangers: strangers(env, top),
    plugin,
    module: moduleState(user, home, packageDir, whySwitchedOff(env, managed)),
    script: script === null ? 'missing' : isCurrent ? 'current' : 'other',
    scriptPath,
    starts,
    switchedOff: switchesOff(user, top, managed),
  }
}

/** A worktree has the local settings of its main checkout; a submodule, or one of a bare repository, has its own alone. */
function reaches({ repository }: InstalledPlace, top: string): boolean {
  if (repository === null || repository === top) return true
  const here = readRepository(top)
  return here !== null && repository === mainCheckout(here.commonDir)
}

/** Returns the line of the settings that a hook of the session itself runs at `event`. */
export function hookCommand(home: Home, event: string): string {
  return settingsHooks(home.root)[event]![0]!.command
}

/**
 * Returns the user's settings, those that installs wrote down, and this repository's. A file that is gone or has no
 * hook of mesh's is left out.
 */
function placesOf(user: string, home: Home, top: string): InstalledPlace[] {
  const recorded = listInstalls(home).flatMap(({ path, repository }) =>
    repository !== undefined && existsSync(repository) ? [[path, repository] as const] : [],
  )
  const others = new Map([...recorded, [localSettings(top), top] as const].filter(([path]) => path !== user))
  const places = [...others].map(([path, repository]) => lookAt(path, repository, home))
  const isRecorded = (path: string) => recorded.some(([one]) => one === path)
  // Only a record shows whether an unreadable file of a repository is mesh's.
  return [
    lookAt(user, null, home),
    ...places.filter((place) => hasAny(isRecorded(place.path) ? place : { ...place, unreadable: null })),
  ]
}

/** Returns true if there are hooks of mesh's, or if that cannot be known. */
export function hasAny({ hooks, unreadable }: InstalledPlace): boolean {
  return unreadable !== null || Object.values(hooks).some((state) => state !== 'missing')
}

function lookAt(path: string, repository: string | null, home: Home): InstalledPlace {
  const { settings, unreadable } = readSettings(path)
  const found = object(settings.hooks)
  const hooks: Record<string, HookState> = {}
  for (const [event, wanted] of Object.entries(settingsHooks(home.root))) {
    hooks[event] = stateOf(found[event], hookEntry(event, wanted), home)
  }
  return { path, repository, unreadable, hooks, otherHome: otherHome(settings, home) }
}

function stateOf(entries: unknown, wanted: HookEntry, home: Home): HookState {
  const ours = handlers(entries).filter(({ command }) => isOurs(command))
  const homes = ours.map(({ command }) => homeOfLine(String(command)))
  if (ours.length === 0) return 'missing'
  if (homes.some((root) => root !== null && root !== home.root)) return 'elsewhere'
  return isCurrent(entries, wanted) ? 'current' : 'other'
}

function pluginState(user: string, home: Home, packageDir: string): Inspection['plugin'] {
  if (!isEnabled(readSettings(user).settings, pluginId)) return 'none'
  return pluginFiles(home, packageDir).some(({ changed }) => changed) ? 'other' : 'current'
}

/** The plugin with the hooks has the module too. */
function moduleState(user: string, home: Home, packageDir: string, why: string | null): Inspection['module'] {
  const { settings } = readSettings(user)
  const form = isEnabled(settings, moduleId) ? 'module' : isEnabled(settings, pluginId) ? 'full' : null
  if (form === null) return { state: 'none', why }
  return { state: pluginFiles(home, packageDir, form).some(({ changed }) => changed) ? 'other' : 'current', why }
}

function startsOf(script: string): { node: string; sidecar: string } | null {
  const value = (name: string) => unquoteWord(new RegExp(`^${name}=('(?:[^']|'\\\\'')*')$`, 'm').exec(script)?.[1])
  const [node, sidecar] = [value('node'), value('sidecar')]
  return node === null || sidecar === null ? null : { node, sidecar }
}

function readSettings(path: string): { settings: Json; unreadable: string | null } {
  try {
    return { settings: openSettings(path).settings, unreadable: null }
  } catch (error) {
    return { settings: {}, unreadable: MeshError.from(error).message }
  }
}

function switchesOff(user: string, top: string, managed: string): Inspection['switchedOff'] {
  const paths = [user, join(top, '.claude', 'settings.json'), localSettings(top), managed]
  return paths.flatMap((path) => {
    const { settings } = readSettings(path)
    const keys = path === managed ? ['disableAllHooks', 'allowManagedHooksOnly'] : ['disableAllHooks']
    return keys.filter((key) => settings[key] === true).map((key) => ({ path, key }))
  })
}

function handlers(entries: unknown): Json[] {
  const list = Array.isArray(entries) ? entries.map(object) : []
  return list.flatMap(({ hooks }) => (Array.isArray(hooks) ? hooks.filter(isObject) : []))
}

function object(value: unknown): Json {
  return isObject(value) ? value : {}
}
