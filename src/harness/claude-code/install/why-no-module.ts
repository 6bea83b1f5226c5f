/** Finds out whether the client loads modules of plugins, and if not, why. Reads only. */
import { execFile } from 'node:child_process'
import type { Env } from '../../../host/home.ts'
import { isObject, type Json, managedPath, openSettings, userSettings } from './settings-file.ts'

const VERSION_MS = 10_000
/** The first version with modules. */
const LEAST = [2, 1, 287] as const
const POLICY_PLUGIN = 'cc-plugin-sec-default@builtin'

/** Returns the reason why `client` would not load a module; null if it would. */
export async function whyNoModule(env: Env, client: string, managed = managedPath()): Promise<string | null> {
  const version = await versionOf(client, env)
  if (version === null) return `${client} --version does not print a version`
  return whyTooOld(version) ?? whySwitchedOff(env, managed)
}

/** Returns a sentence about a client that has no modules; null for a later one. */
export function whyTooOld(version: string): string | null {
  return isBefore(version) ? `Claude Code ${version} has no modules; ${LEAST.join('.')} has` : null
}

/** Returns the setting that keeps modules out; null without one. */
export function whySwitchedOff(env: Env, managed = managedPath()): string | null {
  const user = userSettings(env).path
  if (read(user).disableAllHooks === true) return `${user} switches it off (disableAllHooks)`
  const policy = read(managed)
  for (const key of ['disableAllHooks', 'allowManagedHooksOnly'])
    if (policy[key] === true) return `the administrator switches it off (${key} in ${managed})`
  const configs = object(object(policy.pluginConfigs)[POLICY_PLUGIN])
  if (object(configs.options).allowManagedModsOnly !== true) return null
  return `the administrator allows no other modules (allowManagedModsOnly in ${managed})`
}

function isBefore(version: string): boolean {
  const parts = version.split('.').map(Number)
  const at = LEAST.findIndex((least, i) => parts[i] !== least)
  return at >= 0 && parts[at]! < LEAST[at]!
}

function versionOf(client: string, env: Env): Promise<string | null> {
  return new Promise((resolve) => {
    const child = execFile(client, ['--version'], { env, timeout: VERSION_MS }, (_, stdout) => {
      resolve(/^\d+\.\d+\.\d+/.exec(stdout)?.[0] ?? null)
    })
    child.stdin?.end()
  })
}

function read(path: string): Json {
  try {
    return openSettings(path).settings
  } catch {
    return {}
  }
}

function object(value: unknown): Json {
  return isObject(value) ? value : {}
}
