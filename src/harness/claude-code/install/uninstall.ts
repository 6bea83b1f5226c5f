/** Takes mesh out of every place of Claude Code where it was installed. */
import { existsSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { MeshError } from '../../../errors.ts'
import type { Env, Home } from '../../../host/home.ts'
import { readRepository } from '../../../host/repository/git.ts'
import { refuseOther } from './other-home.ts'
import { findClient, namesOf, removePlugins, runClient, uninstallCommands } from './plugin.ts'
import { type InstallRecord, listInstalls, readInstall, removeInstall } from './record.ts'
import {
  checkWithin,
  currentHash,
  format,
  hashOf,
  isObject,
  type Json,
  localSettings,
  openSettings,
  removeEmptyDirs,
  removeFile,
  replaceFile,
  userSettings,
} from './settings-file.ts'
import { hasPlugin, isSame, takeOut } from './settings-merge.ts'

export interface Uninstalled {
  /** The path of the user's settings. */
  settingsPath: string
  changed: boolean
  places: Place[]
}

export interface Place {
  path: string
  /**
   * `restored`: to the byte as before the install. `edited`: only mesh's entries were taken out. `removed`: mesh had
   * made the file.
   */
  did: 'restored' | 'edited' | 'removed' | 'nothing' | 'failed'
  /** The error of one that failed. */
  error?: { code: string; message: string; hint: string }
  /** The client's arguments that are still to be run, because it was not found or refused. */
  commands?: readonly string[][]
}

interface Where {
  env: Env
  home: Home
  /** The working directory: its repository may have an install without a record. */
  cwd?: string
}

/**
 * Takes mesh out of the user's settings, of this repository's, and of all places that installs wrote down; removes the
 * plugin and the hook script. Reports what cannot be changed and leaves it as it is.
 */
export async function uninstallClaudeCode({ env, home, cwd }: Where): Promise<Uninstalled> {
  const user = userSettings(env)
  const here = cwd === undefined ? null : readRepository(cwd)
  const found = new Map<string, string | undefined>([[user.path, undefined]])
  if (here) found.set(localSettings(here.topLevel), here.topLevel)
  for (const { path, repository } of listInstalls(home)) if (!found.has(path)) found.set(path, repository)
  const places: Place[] = []
  for (const [path, repository] of found) places.push(await leave(env, home, path, repository))
  rmSync(home.hooks, { recursive: true, force: true })
  removePlugins(home)
  forgetForms(home)
  return {
    settingsPath: user.path,
    changed: places.some(({ did }) => did !== 'nothing' && did !== 'failed'),
    places: places.filter(({ did }) => did !== 'nothing'),
  }
}

/** Makes living sessions forget which form of the hooks came first: another may be installed next. */
function forgetForms(home: Home): void {
  const sessions = existsSync(home.run) ? readdirSync(home.run).filter((name) => name.startsWith('cc-')) : []
  for (const dir of sessions.map((name) => join(home.run, name))) {
    const forms = readdirSync(dir).filter((name) => /^form\b/.test(name))
    for (const name of forms) rmSync(join(dir, name), { force: true })
  }
}

async function leave(env: Env, home: Home, path: string, repository: string | undefined): Promise<Place> {
  try {
    // The repository was moved or removed: there is nothing to take out.
    if (repository && !existsSync(repository)) {
      removeInstall(home, path)
      return { path, did: 'nothing' }
    }
    if (repository) checkWithin(path, repository)
    refuseOther(path, openSettings(path).settings, home)
    const record = readInstall(home, path)
    const found = currentHash(path)
    const untouched = record?.before !== undefined && record.after === found
    const left = await uninstallPlugin(env, path, record)
    const did = untouched ? goBack(path, record) : takeOutOf(path, record)
    removeInstall(home, path)
    const byClient = did === 'nothing' && currentHash(path) !== found
    return { path, did: byClient ? 'edited' : did, ...(left ? { commands: left } : {}) }
  } catch (error) {
    return { path, did: 'failed', error: MeshError.from(error).toBody() }
  }
}

/** Returns the commands that are left to be typed; null if there are none. */
async function uninstallPlugin(env: Env, path: string, record: InstallRecord | null) {
  const { settings } = openSettings(path)
  const recorded = record?.plugin ? (record.plugin.forms ?? ['full']) : []
  const forms = (['full', 'module'] as const).filter(
    (one) => recorded.includes(one) || hasPlugin(settings, namesOf(one)),
  )
  if (forms.length === 0) return null
  const commands = forms.flatMap(uninstallCommands)
  const client = findClient(env)
  const theirs = { ...env }
  if (record?.plugin?.configDir) theirs.CLAUDE_CONFIG_DIR = record.plugin.configDir
  else if (record?.plugin) delete theirs.CLAUDE_CONFIG_DIR
  if (!client) return commands
  const left: string[][] = []
  for (const command of commands) {
    if ((await runClient(client, [command], theirs)) !== null) left.push(command)
  }
  return left.length > 0 ? left : null
}

/**
 * Restores the file as it was before the install, if only mesh and the client's plugin command, which reorders it,
 * changed it since.
 */
function goBack(path: string, record: InstallRecord): Place['did'] {
  const file = openSettings(path)
  const before = record.before === null ? null : Buffer.from(record.before!, 'base64')
  const isAsBefore = () => isSame(takeOut(file.settings, record), takeOut(parse(before), record))
  if (record.plugin && !isAsBefore()) return takeOutOf(path, record)
  const current = hashOf(file.bytes)
  if (before) {
    if (current === hashOf(before)) return 'nothing'
    replaceFile(path, before, current)
    return 'restored'
  }
  return remove(path, record, file.bytes)
}

function parse(bytes: Buffer | null): Json {
  const text = bytes?.toString('utf8') ?? ''
  const value: unknown = text.trim() === '' ? {} : JSON.parse(text)
  return isObject(value) ? value : {}
}

function takeOutOf(path: string, record: InstallRecord | null): Place['did'] {
  const file = openSettings(path)
  const settings = takeOut(file.settings, record ?? { rules: [], keptEmpty: [] })
  if (file.bytes === null || JSON.stringify(settings) === JSON.stringify(file.settings)) return 'nothing'
  if (record?.before === null && Object.keys(settings).length === 0) return remove(path, record, file.bytes)
  replaceFile(path, format(settings, file), hashOf(file.bytes))
  return 'edited'
}

function remove(path: string, record: InstallRecord, bytes: Buffer | null): Place['did'] {
  if (bytes === null) return 'nothing'
  removeFile(path, hashOf(bytes))
  removeEmptyDirs(record.madeDirs)
  return 'removed'
}
