/** Puts mesh's hooks into Claude Code's settings, of the user or of one repository. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { MeshError } from '../../../errors.ts'
import { ensurePrivateDir, readText, writeAtomic } from '../../../host/files.ts'
import type { Env, Home } from '../../../host/home.ts'
import { readRepository } from '../../../host/repository/git.ts'
import { type HookEntry, hookEntries, settingsHooks } from '../hooks/entries.ts'
import { SCRIPT_NAME } from '../hooks/files.ts'
import { hookScript } from '../hooks/script.ts'
import { refuseOther } from './other-home.ts'
import { marketplaceDir, type PlacedFile, placePlugin, pluginFiles } from './plugin.ts'
import { type InstallRecord, listInstalls, readInstall, writeInstall } from './record.ts'
import { permissionRules } from './rules.ts'
import {
  checkWithin,
  format,
  hashOf,
  localSettings,
  missingDirs,
  openSettings,
  replaceFile,
  type SettingsFile,
  type SettingsPlace,
  userSettings,
} from './settings-file.ts'
import { hasHooks, hasOurs, type Merged, mergeOurs } from './settings-merge.ts'

export { permissionRules } from './rules.ts'

const SCRIPT_BYTES = 1024 * 1024
const ATTEMPTS = 5

export interface InstallOptions {
  env: Env
  home: Home
  /** The built sidecar program, an absolute path. */
  sidecarPath: string
  nodePath: string
  /** Takes the settings of the repository that this directory is in, instead of the user's. */
  project?: string
  /** Adds the permission rules. */
  allow?: boolean
  /** Adds no hooks: the plugin has them. */
  rulesOnly?: boolean
  /** Writes nothing. */
  dryRun?: boolean
}

export interface Installed {
  settingsPath: string
  /** False when everything was there already. */
  changed: boolean
  /** Events that got a hook, or another one than they had. */
  hooksAdded: string[]
  rulesAdded: string[]
  /** Files as they are now, or would be, with their whole text. */
  files: PlacedFile[]
  /** The entries that are merged into the settings. */
  merged: { hooks: Record<string, HookEntry[]>; permissions?: { allow: readonly string[] } }
}

/**
 * Merges mesh's hooks into the settings and leaves everything else there as it is. Doing it twice is doing it once, and
 * older entries of mesh's are replaced. Throws `bad_request` if the settings are not a JSON object, `denied` if a
 * repository's settings lead out of it, `conflict` if another program writes them at the same time or they have another
 * mesh home's hooks. Then they stay as they are.
 */
export function installClaudeCode(options: InstallOptions): Installed {
  for (let attempt = 1; ; attempt++) {
    try {
      return installOnce(options)
    } catch (error) {
      // The client, or another install, wrote the file between our reading and our writing.
      if (attempt >= ATTEMPTS || MeshError.from(error).code !== 'conflict') throw error
    }
  }
}

function installOnce(options: InstallOptions): Installed {
  const { env, home, dryRun = false } = options
  const { path, repository } = options.project === undefined ? userSettings(env) : projectSettings(options.project)
  if (repository) checkWithin(path, repository)
  const file = openSettings(path)
  if (!options.rulesOnly) refuseOther(path, file.settings, home, repository ? and('--project') : and())
  const wanted = settingsHooks(home.root)
  const rules = options.allow ? permissionRules : []
  const merged = mergeOurs(file.settings, options.rulesOnly ? null : wanted, rules, path)
  const { hooksAdded, rulesAdded } = merged
  const changed = JSON.stringify(merged.settings) !== JSON.stringify(file.settings)
  const text = changed ? format(merged.settings, file) : (file.bytes?.toString('utf8') ?? '')
  const script = scriptFile(options)
  if (!dryRun) {
    // The script first: a settings line without its script does nothing.
    placeScript(home, script)
    if (changed) writeSettings(home, file, repository, merged, text)
  }
  return {
    settingsPath: path,
    changed: changed || script.changed,
    hooksAdded,
    rulesAdded,
    files: [script, { path, changed, text }],
    merged: { hooks: hookEntries(wanted), ...(rules.length > 0 ? { permissions: { allow: rules } } : {}) },
  }
}

/**
 * Brings up to date what an earlier version wrote: the script, settings that have hooks of mesh's, the plugin. Adds
 * nothing where there was nothing, and skips what cannot be read. Returns the files that changed.
 */
export function refreshClaudeCode(options: InstallOptions & { packageDir: string }): string[] {
  const { env, home, packageDir } = options
  const plugin = (['full', 'module'] as const).flatMap((form) => {
    const files = existsSync(marketplaceDir(home, form)) ? pluginFiles(home, packageDir, form) : []
    placePlugin(home, files, form)
    return files
  })
  const scripts = plugin.length > 0 || existsSync(home.hooks) ? [scriptFile(options)] : []
  for (const script of scripts) placeScript(home, script)
  const places = [userSettings(env), ...listInstalls(home)]
  const installed = places.flatMap(({ path, repository }) => {
    try {
      if (!hasHooks(openSettings(path).settings)) return []
      return installClaudeCode({ ...options, allow: false, ...(repository ? { project: repository } : {}) }).files
    } catch {
      return []
    }
  })
  const changed = [...scripts, ...plugin, ...installed].filter((file) => file.changed).map(({ path }) => path)
  return [...new Set(changed)]
}

/** Returns the hook script as it should be. */
export function scriptFile({
  home,
  nodePath,
  sidecarPath,
}: Pick<InstallOptions, 'home' | 'nodePath' | 'sidecarPath'>): PlacedFile {
  const path = join(home.hooks, SCRIPT_NAME)
  const text = hookScript({ home: home.root, node: nodePath, sidecar: sidecarPath })
  return { path, changed: readText(path, SCRIPT_BYTES) !== text, text }
}

/** Writes the script alone: the hooks that name it got there by other means. */
export function installScript(options: InstallOptions): { path: string; changed: boolean } {
  const script = scriptFile(options)
  if (!options.dryRun) placeScript(options.home, script)
  return { path: script.path, changed: script.changed }
}

export function placeScript(home: Home, script: PlacedFile): void {
  for (const dir of [home.root, home.run, home.hooks]) ensurePrivateDir(dir)
  if (script.changed) writeAtomic(script.path, script.text)
}

function writeSettings(
  home: Home,
  file: SettingsFile,
  repository: string | undefined,
  { settings: _, rulesAdded, keptEmpty }: Merged,
  text: string,
): void {
  const record = nextRecord(home, file)
  record.after = hashOf(text)
  record.rules = [...new Set([...record.rules, ...rulesAdded])]
  record.keptEmpty = [...new Set([...record.keptEmpty, ...keptEmpty])]
  if (repository) record.repository = repository
  // The record first: one whose hash does not fit is as good as none.
  writeInstall(home, record)
  replaceFile(file.path, text, hashOf(file.bytes))
}

/** Returns what is known of the file before mesh changed it, from an earlier install or from the file as it is. */
export function nextRecord(home: Home, file: SettingsFile): InstallRecord {
  const earlier = readInstall(home, file.path)
  const bytes = file.bytes?.toString('base64') ?? null
  if (earlier && (earlier.after === hashOf(file.bytes) || earlier.before === bytes)) return earlier
  const plugin = earlier?.plugin ? { plugin: earlier.plugin } : {}
  const fresh = { path: file.path, after: '', madeDirs: missingDirs(file.path), keptEmpty: [], ...plugin }
  const isClean = !hasOurs(file.settings) && !earlier?.plugin && !earlier?.rules.length
  if (isClean) return { ...fresh, rules: [], before: bytes }
  // Mesh's entries are in it, and changes of others: there is no state to go back to.
  return {
    ...fresh,
    rules: earlier?.rules ?? [],
    keptEmpty: earlier?.keptEmpty ?? [],
    madeDirs: earlier?.madeDirs ?? [],
  }
}

/** Returns what to type after another mesh home's hooks are out. */
export function and(...flags: string[]): string {
  return [' && mesh install', ...flags].join(' ')
}

/**
 * Returns the settings of one person in one repository: mesh's lines contain paths of this machine. The client also reads
 * them when it was started further down in the repository (2.1.329).
 */
function projectSettings(cwd: string): SettingsPlace {
  const repository = readRepository(cwd)?.topLevel
  if (repository) return { path: localSettings(repository), repository }
  throw new MeshError('bad_request', `${cwd} is not in a git repository`, {
    hint: 'go to one, or install for all sessions of this user: mesh install',
  })
}
