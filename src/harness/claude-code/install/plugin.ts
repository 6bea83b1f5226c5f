/** The plugin form of the hooks: a folder that the client reads in place, and the client's own commands around it. */
import { execFile } from 'node:child_process'
import { accessSync, constants, mkdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { ensurePrivateDir, readText, writeAtomic } from '../../../host/files.ts'
import type { Env, Home } from '../../../host/home.ts'
import { pluginHooks } from '../hooks/entries.ts'
import { marketplaceName, pluginId } from './settings-merge.ts'

const FILE_BYTES = 256 * 1024
/** `plugin marketplace add` took 18 s without a network the first time (2.1.329), 0.2 s afterwards. */
const CLIENT_MS = 120_000

/** Files that are the same on every machine, below the package's folder. */
const FIXED = [
  '.claude-plugin/marketplace.json',
  'plugin/.claude-plugin/plugin.json',
  'plugin/skills/mesh/SKILL.md',
  'plugin/README.md',
]
const HOOKS = 'plugin/hooks/hooks.json'

/** A file that an install writes as a whole. */
export interface PlacedFile {
  path: string
  /** The file is missing or differs. */
  changed: boolean
  text: string
}

/** Returns the text of `hooks/hooks.json`, for one mesh home, or with null for any. */
export function hooksFile(homeRoot: string | null): string {
  const hooks = Object.entries(pluginHooks(homeRoot)).map(([event, list]) => [event, [{ hooks: list }]])
  return `${JSON.stringify({ hooks: Object.fromEntries(hooks) }, null, 2)}\n`
}

/**
 * Returns the folder of the marketplace, in the mesh home: unlike the package it stays where it is when Node or the
 * package moves. The client reads it in place (2.1.329), so `mesh install --plugin` brings it up to date.
 */
export function marketplaceDir(home: Home): string {
  return join(home.root, 'claude-code')
}

/** Returns the files of the marketplace as they should be. `packageDir` is mesh's own. */
export function pluginFiles(home: Home, packageDir: string): PlacedFile[] {
  const dir = marketplaceDir(home)
  const texts = [
    ...FIXED.map((name) => [name, readFileSync(join(packageDir, name), 'utf8')]),
    [HOOKS, hooksFile(home.root)],
  ]
  return texts.map(([name, text]) => {
    const path = join(dir, name!)
    return { path, changed: readText(path, FILE_BYTES) !== text, text: text! }
  })
}

export function placePlugin(home: Home, files: readonly PlacedFile[]): void {
  if (files.length === 0) return
  for (const dir of [home.root, marketplaceDir(home)]) ensurePrivateDir(dir)
  for (const { path, changed, text } of files) {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    if (changed) writeAtomic(path, text)
  }
}

export function removePlugin(home: Home): void {
  rmSync(marketplaceDir(home), { recursive: true, force: true })
}

/** Returns the client's arguments, in order. */
export function installCommands(home: Home): string[][] {
  return [
    ['plugin', 'marketplace', 'add', marketplaceDir(home)],
    ['plugin', 'install', pluginId],
  ]
}

export const uninstallCommands: readonly string[][] = [
  ['plugin', 'uninstall', pluginId],
  ['plugin', 'marketplace', 'remove', marketplaceName],
]

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
