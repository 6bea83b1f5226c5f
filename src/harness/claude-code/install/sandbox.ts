/** Claude Code's sandbox around the model's shell: whether settings turn it on, and the setting that lets mesh through. */
import { join } from 'node:path'
import type { Env, Home } from '../../../host/home.ts'
import { filtersSocketsByPath } from '../../../host/sandbox.ts'
import { isObject, type Json, localSettings, managedPath, openSettings, userSettings } from './settings-file.ts'

/** A file of settings, and what it says of the sandbox. */
export interface SandboxSettings {
  path: string
  sandbox: Json
}

/**
 * Returns the settings that turn the sandbox on for sessions in the folder `top`, if it keeps the model's shell from
 * mesh; null if it does not. The client merges its files: what one of them allows is allowed.
 */
export function shutSandbox(env: Env, home: Home, top: string): SandboxSettings | null {
  const paths = [userSettings(env).path, join(top, '.claude', 'settings.json'), localSettings(top), managedPath()]
  const found = paths.flatMap((path) => {
    const { sandbox } = settingsAt(path)
    return isObject(sandbox) ? [{ path, sandbox }] : []
  })
  const isOpen = found.some(({ sandbox }) => letsThrough(sandbox, home))
  return isOpen ? null : (found.findLast(({ sandbox }) => sandbox.enabled === true) ?? null)
}

/** Returns the setting with which a model's shell reaches mesh, to be merged into the client's settings. */
export function openSandbox(home: Home): string {
  const network = filtersSocketsByPath ? { allowUnixSockets: [home.run] } : { allowAllUnixSockets: true }
  const sandbox = { network, filesystem: { allowWrite: [home.root] } }
  return `${JSON.stringify({ sandbox })}, or for commands that stand alone ${JSON.stringify({ sandbox: { excludedCommands: ['mesh *'] } })}`
}

function letsThrough({ network, excludedCommands }: Json, home: Home): boolean {
  const { allowAllUnixSockets, allowUnixSockets } = isObject(network) ? network : ({} as Json)
  const isNamed = (path: unknown) =>
    typeof path === 'string' && `${home.run}/`.startsWith(`${path.replace(/\/$/, '')}/`)
  if (allowAllUnixSockets === true) return true
  if (filtersSocketsByPath && Array.isArray(allowUnixSockets) && allowUnixSockets.some(isNamed)) return true
  return Array.isArray(excludedCommands) && excludedCommands.some((command) => /^mesh\b/.test(String(command)))
}

function settingsAt(path: string): Json {
  try {
    return openSettings(path).settings
  } catch {
    return {}
  }
}
