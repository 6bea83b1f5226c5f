/** Has the client install mesh's plugins: the one with the hooks, and the one with the module alone. */
import { MeshError } from '../../../errors.ts'
import { and, type InstallOptions, nextRecord, placeScript, scriptFile } from './install.ts'
import { refuseOther } from './other-home.ts'
import {
  findClient,
  installCommands,
  type PlacedFile,
  type PluginForm,
  placePlugin,
  pluginFiles,
  runClient,
} from './plugin.ts'
import { type InstallRecord, writeInstall } from './record.ts'
import { hashOf, openSettings, type SettingsFile, userSettings } from './settings-file.ts'
import { emptyOnes, isEnabled, isSame, moduleId, pluginId, takeOut } from './settings-merge.ts'
import { whyNoModule } from './why-no-module.ts'

export interface PluginInstalled {
  changed: boolean
  files: PlacedFile[]
  /** The client's arguments that install what was written. */
  commands: string[][]
  /** True if the client ran them. False if there is no `claude` on PATH, or nothing was to be written. */
  installed: boolean
}

/**
 * Writes the plugin into the mesh home and has the client install it, for all sessions of this user. Throws
 * `bad_request` if the user's settings are unreadable, `conflict` if they have another mesh home's hooks, `internal`
 * with the client's words if the client refuses.
 */
export async function installPlugin(options: InstallOptions & { packageDir: string }): Promise<PluginInstalled> {
  const { env, home, dryRun = false } = options
  const file = openSettings(userSettings(env).path)
  refuseOther(file.path, file.settings, home, and('--plugin'))
  const script = scriptFile(options)
  const plugin = pluginFiles(home, options.packageDir)
  const client = findClient(env)
  const commands = installCommands(home)
  const files = [script, ...plugin]
  const changed = files.some((one) => one.changed)
  if (dryRun) return { changed, files, commands, installed: false }
  placeScript(home, script)
  placePlugin(home, plugin)
  if (!client) return { changed, files, commands, installed: false }
  const { failure, isNew } = await addByClient(options, 'full', file, client)
  if (failure === null) return { changed: changed || isNew, files, commands, installed: true }
  throw new MeshError('internal', `the client refused the plugin: ${failure}`, { hint: hintOf(commands) })
}

/**
 * Has the client install a plugin whose files are placed, and writes down how to undo that to the byte. Returns the
 * client's words if it refuses, and whether its settings changed.
 */
async function addByClient(
  { env, home }: Pick<InstallOptions, 'env' | 'home'>,
  form: PluginForm,
  file: SettingsFile,
  client: string,
): Promise<{ failure: string | null; isNew: boolean }> {
  const known = nextRecord(home, file)
  const others = known.plugin ? (known.plugin.forms ?? ['full']) : []
  const plugin = { configDir: env.CLAUDE_CONFIG_DIR || null, forms: [...new Set([...others, form])] }
  const record: InstallRecord = { ...known, plugin }
  record.keptEmpty = [...new Set([...record.keptEmpty, ...emptyOnes(file.settings)])]
  writeInstall(home, record)
  const failure = await runClient(client, installCommands(home, form), env)
  const now = openSettings(file.path)
  record.after = hashOf(now.bytes)
  // Another program wrote it meanwhile, or the client repaired it: that is not to be undone.
  if (!isSame(takeOut(now.settings, record), takeOut(file.settings, record))) delete record.before
  writeInstall(home, record)
  return { failure, isNew: !isSame(now.settings, file.settings) }
}

export interface ModuleInstalled {
  installed: boolean
  /** Why not; null if it is. */
  why: string | null
}

/**
 * Adds the plugin with the module alone, beside hooks in the user's settings, where the client loads modules. Never
 * fails: without the module a session has its other doors.
 */
export async function installModule(options: InstallOptions & { packageDir: string }): Promise<ModuleInstalled> {
  const { env, home, packageDir } = options
  const not = (why: string): ModuleInstalled => ({ installed: false, why })
  const client = findClient(env)
  if (!client) return not('there is no claude on PATH')
  const why = await whyNoModule(env, client)
  if (why !== null) return not(why)
  try {
    const file = openSettings(userSettings(env).path)
    // The plugin with the hooks has the module too.
    if (isEnabled(file.settings, pluginId)) return { installed: true, why: null }
    placePlugin(home, pluginFiles(home, packageDir, 'module'), 'module')
    if (isEnabled(file.settings, moduleId)) return { installed: true, why: null }
    const { failure } = await addByClient(options, 'module', file, client)
    return failure === null ? { installed: true, why: null } : not(`the client refused it: ${failure}`)
  } catch (error) {
    return not(MeshError.from(error).message)
  }
}

function hintOf(commands: readonly string[][]): string {
  return `try: ${commands.map((args) => ['claude', ...args].join(' ')).join(' && ')}`
}
