/**
 * The record of one place where mesh was installed, for `mesh uninstall`: the file's bytes before, and the hash of the
 * file after. One private file per place in the mesh home.
 */
import { readdirSync, rmdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { ensurePrivateDir, readJson, writeAtomic } from '../../../host/files.ts'
import type { Home } from '../../../host/home.ts'
import { hashOf, isObject } from './settings-file.ts'

/** A settings file of 4 MiB in base64, and its path. */
const RECORD_BYTES = 6 * 1024 * 1024

export interface InstallRecord {
  /** The settings file. */
  path: string
  /** The repository that it must not lead out of. */
  repository?: string
  /** The file before the first install, in base64; null if there was none. Absent when others changed it since. */
  before?: string | null
  /** The hash of the file after the last install: while the file has it, no one else touched it. */
  after: string
  /** Directories made for the file. */
  madeDirs: string[]
  /** Permission rules that were added. */
  rules: string[]
  keptEmpty: string[]
  /**
   * The configuration folder that a plugin was installed with (null: CLAUDE_CONFIG_DIR was not set), and which. Without
   * `forms` it is the one with hooks.
   */
  plugin?: { configDir: string | null; forms?: string[] }
}

export function readInstall(home: Home, path: string): InstallRecord | null {
  return parse(readJson(recordPath(home, path), RECORD_BYTES))
}

export function listInstalls(home: Home): InstallRecord[] {
  return names(home).flatMap((name) => parse(readJson(join(dirOf(home), name), RECORD_BYTES)) ?? [])
}

export function writeInstall(home: Home, record: InstallRecord): void {
  for (const dir of [home.root, dirOf(home)]) ensurePrivateDir(dir)
  writeAtomic(recordPath(home, record.path), JSON.stringify(record), { sync: true })
}

export function removeInstall(home: Home, path: string): void {
  rmSync(recordPath(home, path), { force: true })
  try {
    rmdirSync(dirOf(home))
  } catch {
    // There are others, or none was there.
  }
}

function dirOf(home: Home): string {
  return join(home.root, 'installs')
}

function recordPath(home: Home, path: string): string {
  return join(dirOf(home), `${hashOf(path).slice(0, 32)}.json`)
}

function names(home: Home): string[] {
  try {
    return readdirSync(dirOf(home)).filter((name) => name.endsWith('.json'))
  } catch {
    return []
  }
}

/** Reads a record leniently: a damaged one counts as none. */
function parse(value: unknown): InstallRecord | null {
  if (!isObject(value) || typeof value.path !== 'string' || typeof value.after !== 'string') return null
  const { path, after, before, repository, plugin } = value
  return {
    path,
    after,
    madeDirs: strings(value.madeDirs),
    rules: strings(value.rules),
    keptEmpty: strings(value.keptEmpty),
    ...(before === null || typeof before === 'string' ? { before } : {}),
    ...(typeof repository === 'string' ? { repository } : {}),
    ...(isObject(plugin)
      ? {
          plugin: {
            configDir: typeof plugin.configDir === 'string' ? plugin.configDir : null,
            ...(Array.isArray(plugin.forms) ? { forms: strings(plugin.forms) } : {}),
          },
        }
      : {}),
  }
}

function strings(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((one) => typeof one === 'string') : []
}
