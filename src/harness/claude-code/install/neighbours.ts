/** Looks for what stands beside an install: mesh's hooks under other configurations, and other products of its name. */
import { homedir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { readJson } from '../../../host/files.ts'
import type { Env, Home } from '../../../host/home.ts'
import { isOurs } from '../hooks/entries.ts'
import { listInstalls } from './record.ts'
import { isObject, type Json, localSettings, openSettings, userSettings } from './settings-file.ts'
import { hasOurs } from './settings-merge.ts'

/** The client keeps the history of every project in this file. */
const CONFIG_BYTES = 64 * 1024 * 1024
const NAME = /mesh/i
const OURS = /(?:^|\/)mesh(?:\.js)?$/
const WORDS_CHARS = 100

/** A hook or an MCP server of another product. */
export interface Stranger {
  path: string
  /** The hook's command line, or the server's name. */
  what: string
}

/** Returns settings of other configuration folders of the client that have hooks of mesh's, or its plugin. */
export function otherConfigurations(env: Env, home: Home): string[] {
  const { path: own } = userSettings(env)
  const recorded = listInstalls(home).flatMap(({ path, repository }) => (repository === undefined ? [path] : []))
  const usual = userSettings({ HOME: env.HOME }).path
  return [...new Set([usual, ...recorded.toSorted()])].filter((path) => path !== own && hasOurs(settingsAt(path)))
}

/** Returns hooks and MCP servers that a session in the folder `top` has of other products with mesh's name. */
export function strangers(env: Env, top: string): Stranger[] {
  const settings = new Set([userSettings(env).path, join(top, '.claude', 'settings.json'), localSettings(top)])
  return [...[...settings].flatMap(strangeHooks), ...strangeServers(env, top)]
}

function strangeHooks(path: string): Stranger[] {
  const { hooks } = settingsAt(path)
  const entries = isObject(hooks) ? Object.values(hooks).flatMap((list) => (Array.isArray(list) ? list : [])) : []
  const handlers = entries.flatMap((entry) => (isObject(entry) && Array.isArray(entry.hooks) ? entry.hooks : []))
  const commands = handlers.flatMap((one) => (isObject(one) && typeof one.command === 'string' ? [one.command] : []))
  const found = commands.filter((command) => NAME.test(command) && !isOurs(command))
  return [...new Set(found)].map((command) => ({ path, what: command.slice(0, WORDS_CHARS) }))
}

function strangeServers(env: Env, top: string): Stranger[] {
  const configuration = env.CLAUDE_CONFIG_DIR || env.HOME || homedir()
  const own = join(configuration, '.claude.json')
  const projects = jsonAt(own).projects
  const here = isObject(projects) && isObject(projects[top]) ? projects[top] : {}
  const ofFolder = join(top, '.mcp.json')
  return [...serversIn(jsonAt(own), own), ...serversIn(here, own), ...serversIn(jsonAt(ofFolder), ofFolder)]
}

function serversIn({ mcpServers }: Json, path: string): Stranger[] {
  if (!isObject(mcpServers)) return []
  const names = Object.keys(mcpServers).filter((name) => {
    const { command, args } = isObject(mcpServers[name]) ? mcpServers[name] : ({} as Json)
    const words = [command, ...(Array.isArray(args) ? args : [])].map(String)
    const isMesh = words.some((word) => OURS.test(word)) && words.includes('mcp')
    return !isMesh && (NAME.test(name) || words.some((word) => NAME.test(basename(word))))
  })
  return names.map((name) => ({ path, what: name.slice(0, WORDS_CHARS) }))
}

/** Returns the checkout whose local settings the client reads for the worktree of this git directory; null without one. */
export function mainCheckout(commonDir: string): string | null {
  return basename(commonDir) === '.git' ? dirname(commonDir) : null
}

function jsonAt(path: string): Json {
  const value = readJson(path, CONFIG_BYTES)
  return isObject(value) ? value : {}
}

function settingsAt(path: string): Json {
  try {
    return openSettings(path).settings
  } catch {
    return {}
  }
}
