/** Puts mesh's hooks and permission rules into the client's settings and takes them out. Pure. */
import { type CommandHook, type HookEntry, hookEntry, isOurs } from '../hooks/entries.ts'
import { isObject, type Json, unreadable } from './settings-file.ts'

export const marketplaceName = 'sessionmesh'
export const pluginId = `mesh@${marketplaceName}`
/** The plugin with the module alone, beside the hooks in the settings. */
export const moduleMarketplace = 'sessionmesh-module'
export const moduleId = `mesh@${moduleMarketplace}`

/** Settings with mesh's entries, and the changes that were made. */
export interface Merged {
  settings: Json
  /** Events that got a hook, or another one than they had. */
  hooksAdded: string[]
  rulesAdded: string[]
  /** Lists and objects that were there, empty, before: they stay when mesh's entries leave them. */
  keptEmpty: string[]
}

/**
 * Merges hooks and rules into settings and leaves everything else there as it is. Doing it twice is doing it once, and
 * older entries of mesh's are replaced. Without `wanted` the hooks are left alone. Throws `bad_request` where the
 * settings have another shape.
 */
export function mergeOurs(
  before: Json,
  wanted: Record<string, CommandHook[]> | null,
  rules: readonly string[],
  path: string,
): Merged {
  const settings = structuredClone(before)
  const keptEmpty = emptyOnes(settings)
  const hooksAdded = wanted ? addHooks(settings, wanted, keptEmpty, path) : []
  return { settings, hooksAdded, rulesAdded: addRules(settings, rules, path), keptEmpty }
}

function addHooks(settings: Json, wanted: Record<string, CommandHook[]>, keptEmpty: string[], path: string): string[] {
  const hooks = objectIn(settings, 'hooks', path)
  const added = Object.keys(wanted).filter((event) => {
    const entries = listIn(hooks, event, path)
    const entry = hookEntry(event, wanted[event]!)
    if (isCurrent(entries, entry)) return false
    hooks[event] = [...without(entries), entry]
    return true
  })
  for (const event of Object.keys(hooks)) if (!(event in wanted)) removeHooks(hooks, event, keptEmpty)
  return added
}

function addRules(settings: Json, rules: readonly string[], path: string): string[] {
  if (rules.length === 0) return []
  const permissions = objectIn(settings, 'permissions', path)
  const allow = listIn(permissions, 'allow', path)
  const missing = rules.filter((rule) => !allow.includes(rule))
  if (missing.length > 0) permissions.allow = [...allow, ...missing]
  return missing
}

export interface Ours {
  /** Permission rules that mesh added. */
  rules: readonly string[]
  /** See `Merged.keptEmpty`. */
  keptEmpty: readonly string[]
  /** The client installed the plugin, and may have taken it out again: it leaves empty objects. */
  plugin?: unknown
}

/** Returns settings without mesh's hooks, its plugin's entries and `rules`. */
export function takeOut(before: Json, { rules, keptEmpty, plugin }: Ours): Json {
  const settings = structuredClone(before)
  const { hooks, permissions } = settings
  for (const [key, name] of PLUGIN_ENTRIES) {
    const entries = settings[key]
    if (!isObject(entries) || !(plugin || Object.hasOwn(entries, name))) continue
    delete entries[name]
    dropEmpty(settings, key, keptEmpty)
  }
  if (isObject(hooks)) {
    const had = Object.keys(hooks).filter((event) => removeHooks(hooks, event, keptEmpty)).length > 0
    if (had) dropEmpty(settings, 'hooks', keptEmpty)
  }
  if (isObject(permissions) && Array.isArray(permissions.allow) && rules.length > 0) {
    const left = permissions.allow.filter((rule) => !rules.includes(rule as string))
    if (left.length < permissions.allow.length) {
      permissions.allow = left
      dropEmpty(permissions, 'allow', keptEmpty, 'permissions.')
      dropEmpty(settings, 'permissions', keptEmpty)
    }
  }
  return settings
}

/** Keys that the client writes when the plugin is installed. */
const PLUGIN_ENTRIES = [
  ['enabledPlugins', pluginId],
  ['extraKnownMarketplaces', marketplaceName],
  ['enabledPlugins', moduleId],
  ['extraKnownMarketplaces', moduleMarketplace],
] as const

/** Returns the command lines of mesh's hooks, of any mesh home. */
export function ourCommands({ hooks }: Json): string[] {
  const entries = isObject(hooks) ? Object.values(hooks).filter(Array.isArray).flat() : []
  return entries.flatMap(handlers).flatMap(({ command }) => (isOurs(command) ? [command as string] : []))
}

/** Returns true if mesh's hooks or its plugin are in it. */
export function hasOurs(settings: Json): boolean {
  return hasHooks(settings) || hasPlugin(settings)
}

export function hasHooks(settings: Json): boolean {
  return ourCommands(settings).length > 0
}

export function hasPlugin(settings: Json, names: readonly string[] = PLUGIN_ENTRIES.map(([, name]) => name)): boolean {
  return PLUGIN_ENTRIES.some(([key, name]) => {
    return names.includes(name) && isObject(settings[key]) && Object.hasOwn(settings[key], name)
  })
}

/** Returns true where the client loads the plugin with this id. */
export function isEnabled({ enabledPlugins }: Json, id: string): boolean {
  return isObject(enabledPlugins) && enabledPlugins[id] === true
}

/** Returns true if the two mean the same, whatever the order of keys. */
export function isSame(a: unknown, b: unknown): boolean {
  return JSON.stringify(sorted(a)) === JSON.stringify(sorted(b))
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (!isObject(value)) return value
  return Object.entries(value)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, one]) => [key, sorted(one)])
}

function listHasOurs(entries: unknown): boolean {
  return Array.isArray(entries) && entries.flatMap(ownHandlers).length > 0
}

/** Returns true if mesh's hooks in the entries of an event are those of `wanted`. */
export function isCurrent(entries: unknown, { matcher, hooks }: HookEntry): boolean {
  const ours = Array.isArray(entries) ? entries.filter((entry) => listHasOurs([entry])) : []
  const isMatched = matcher === undefined || ours.every((entry: Json) => entry.matcher === matcher)
  return isMatched && JSON.stringify(ours.flatMap(ownHandlers)) === JSON.stringify(hooks)
}

/** Returns the empty ones among the containers that mesh's entries may be in. */
export function emptyOnes(settings: Json): string[] {
  const { hooks, permissions } = settings
  const events = isObject(hooks) ? Object.entries(hooks).filter(([, list]) => isEmpty(list)) : []
  return [
    ...(isEmpty(hooks) ? ['hooks'] : []),
    ...events.map(([event]) => `hooks.${event}`),
    ...(isEmpty(permissions) ? ['permissions'] : []),
    ...(isObject(permissions) && isEmpty(permissions.allow) ? ['permissions.allow'] : []),
    ...['enabledPlugins', 'extraKnownMarketplaces'].filter((key) => isEmpty(settings[key])),
  ]
}

function isEmpty(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0
}

function dropEmpty(parent: Json, key: string, keptEmpty: readonly string[], prefix = ''): void {
  if (isEmpty(parent[key]) && !keptEmpty.includes(prefix + key)) delete parent[key]
}

/** Returns true if there were any. */
function removeHooks(hooks: Json, event: string, keptEmpty: readonly string[]): boolean {
  if (!listHasOurs(hooks[event])) return false
  hooks[event] = without(hooks[event] as unknown[])
  dropEmpty(hooks, event, keptEmpty, 'hooks.')
  return true
}

/** Returns the entries without mesh's handlers; an entry that had only those is removed. */
function without(entries: unknown[]): unknown[] {
  return entries.flatMap((entry) => {
    const all = handlers(entry)
    const others = all.filter(({ command }) => !isOurs(command))
    if (others.length === all.length) return [entry]
    const { hooks } = entry as { hooks: unknown[] }
    const left = hooks.filter((hook) => !isObject(hook) || !isOurs(hook.command))
    return left.length === 0 ? [] : [{ ...(entry as Json), hooks: left }]
  })
}

function handlers(entry: unknown): Json[] {
  const hooks = isObject(entry) ? entry.hooks : null
  return Array.isArray(hooks) ? hooks.filter(isObject) : []
}

function ownHandlers(entry: unknown): Json[] {
  return handlers(entry).filter(({ command }) => isOurs(command))
}

function objectIn(parent: Json, key: string, path: string): Json {
  parent[key] ??= {}
  const value = parent[key]
  if (isObject(value)) return value
  throw unreadable(path, `"${key}" is not an object`)
}

function listIn(parent: Json, key: string, path: string): unknown[] {
  const value = Object.hasOwn(parent, key) ? parent[key] : []
  if (Array.isArray(value)) return value
  throw unreadable(path, `"${key}" is not a list`)
}
