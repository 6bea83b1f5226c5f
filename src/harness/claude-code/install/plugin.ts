/** The plugins: folders that the client reads in place, and the client's own commands around them. */
import { execFile } from 'node:child_process'
import { accessSync, constants, mkdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { ensurePrivateDir, readText, writeAtomic } from '../../../host/files.ts'
import type { Env, Home } from '../../../host/home.ts'
import { hookEntries, pluginHooks } from '../hooks/entries.ts'
import { marketplaceName, moduleId, moduleMarketplace, pluginId } from './settings-merge.ts'

const FILE_BYTES = 256 * 1024
/** `plugin marketplace add` took 18 s without a network the first time (2.1.329), 0.2 s afterwards. */
const CLIENT_MS = 120_000

const MANIFEST = 'plugin/.claude-plugin/plugin.json'
/** Files that are the same on every machine, below the package's folder. */
const FIXED = ['.claude-plugin/marketplace.json', MANIFEST, 'plugin/skills/mesh/SKILL.md', 'plugin/README.md']
const HOOKS = 'plugin/hooks/hooks.json'
const MODULE = 'plugin/hooks/register.js'
const MODULE_FILE = './register.js'

/** A file that an install writes as a whole. */
export interface PlacedFile {
  path: string
  /** The file is missing or differs. */
  changed: boolean
  text: string
}

/** Returns the text of `hooks/hooks.json`, for one mesh home, or with null for any. */
export function hooksFile(homeRoot: string | null): string {
  const text = JSON.stringify({ hooks: hookEntries(pluginHooks(homeRoot)), modules: [MODULE_FILE] }, null, 2)
  // As the formatter writes a short list.
  return `${text.replace(`[\n    "${MODULE_FILE}"\n  ]`, `["${MODULE_FILE}"]`)}\n`
}

/** A plugin of mesh's, in a marketplace of its own. `full`: hooks, module and skill; `module`: the module alone. */
export type PluginForm = 'full' | 'module'

const forms = {
  full: { dir: 'claude-code', marketplace: marketplaceName, id: pluginId },
  module: { dir: 'claude-code-module', marketplace: moduleMarketplace, id: moduleId },
} as const

/**
 * Returns the folder of the marketplace, in the mesh home: unlike the package it stays where it is when Node or the
 * package moves. The client reads it in place (2.1.329), so `mesh install` brings it up to date.
 */
export function marketplaceDir(home: Home, form: PluginForm = 'full'): string {
  return join(home.root, forms[form].dir)
}

/** Returns the files of the marketplace as they should be. `packageDir` is mesh's own. */
export function pluginFiles(home: Home, packageDir: string, form: PluginForm = 'full'): PlacedFile[] {
  const dir = marketplaceDir(home, form)
  const fixed = (name: string) => [name, readFileSync(join(packageDir, name), 'utf8')]
  const texts =
    form === 'full'
      ? [...FIXED.map(fixed), [HOOKS, hooksFile(home.root)], [MODULE, moduleFile(home, packageDir)]]
      : [...moduleFolder(packageDir), [MODULE, moduleFile(home, packageDir)]]
  return texts.map(([name, text]) => {
    const path = join(dir, name!)
    return { path, changed: readText(path, FILE_BYTES) !== text, text: text! }
  })
}

/** Returns the module for one mesh home: it can neither read files nor see who runs it. */
function moduleFile(home: Home, packageDir: string): string {
  const text = readFileSync(join(packageDir, MODULE), 'utf8')
  const uid = process.getuid?.() ?? null
  return text
    .replace('const HOME = null', () => `const HOME = ${JSON.stringify(home.root)}`)
    .replace('const UID = null', `const UID = ${uid}`)
}

/** An older client reads `hooks` and ignores `modules`; one without `hooks` it refuses (2.1.197). */
function moduleFolder(packageDir: string): string[][] {
  const about = "mesh's door into a session: messages wake it and reach it in mid-turn"
  const { name, version, author } = JSON.parse(readFileSync(join(packageDir, MANIFEST), 'utf8')) as Record<
    string,
    unknown
  >
  const marketplace = {
    name: moduleMarketplace,
    owner: { name: 'mesh' },
    metadata: { description: about },
    plugins: [{ name, source: './plugin', description: about }],
  }
  const manifest = { name, version, description: about, author }
  const texts = {
    '.claude-plugin/marketplace.json': marketplace,
    [MANIFEST]: manifest,
    [HOOKS]: { hooks: {}, modules: [MODULE_FILE] },
  }
  return Object.entries(texts).map(([name, value]) => [name, `${JSON.stringify(value, null, 2)}\n`])
}

export function placePlugin(home: Home, files: readonly PlacedFile[], form: PluginForm = 'full'): void {
  if (files.length === 0) return
  for (const dir of [home.root, marketplaceDir(home, form)]) ensurePrivateDir(dir)
  for (const { path, changed, text } of files) {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    if (changed) writeAtomic(path, text)
  }
}

export function removePlugins(home: Home): void {
  for (const form of ['full', 'module'] as const) rmSync(marketplaceDir(home, form), { recursive: true, force: true })
}

/** Returns the client's arguments, in order. */
export function installCommands(home: Home, form: PluginForm = 'full'): string[][] {
  return [
    ['plugin', 'marketplace', 'add', marketplaceDir(home, form)],
    ['plugin', 'install', forms[form].id],
  ]
}

export function uninstallCommands(form: PluginForm): string[][] {
  return [
    ['plugin', 'uninstall', forms[form].id],
    ['plugin', 'marketplace', 'remove', forms[form].marketplace],
  ]
}

/** Returns the names of a plugin and its marketplace in the client's settings. */
export function namesOf(form: PluginForm): string[] {
  return [forms[form].id, forms[form].marketplace]
}

/** Returns the client's executable; null when PATH has none. */
export function findClient(env: Env): string | null {
  const dirs = (env.PATH ?? '').split(delimiter).filter((dir) => dir.startsWith('/'))
  return dirs.map((dir) => join(dir, 'claude')).find(isProgram) ?? null
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch {
    return false
  }
}

/** Runs the client's commands until one fails. Resolves to the words of the failure, or null. */
export async function runClient(client: string, commands: readonly string[][], env: Env): Promise<string | null> {
  for (const args of commands) {
    const failure = await new Promise<string | null>((resolve) => {
      const child = execFile(client, args, { env, timeout: CLIENT_MS }, (error, stdout, stderr) => {
        resolve(error ? `${stderr || stdout || error.message}`.trim() : null)
      })
      child.stdin?.end()
    })
    if (failure !== null) return failure
  }
  return null
}
