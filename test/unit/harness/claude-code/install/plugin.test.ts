/** The plugin folder: the same hooks as the settings', and what goes with every session's context. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'
import manifest from '../../../../../package.json' with { type: 'json' }
import { commands } from '../../../../../src/cli/table.ts'
import {
  hookEntries,
  hookEntry,
  pluginHooks,
  settingsHooks,
} from '../../../../../src/harness/claude-code/hooks/entries.ts'
import { installClaudeCode } from '../../../../../src/harness/claude-code/install/install.ts'
import { installModule, installPlugin } from '../../../../../src/harness/claude-code/install/install-plugin.ts'
import { hooksFile } from '../../../../../src/harness/claude-code/install/plugin.ts'
import { permissionRules } from '../../../../../src/harness/claude-code/install/rules.ts'
import { uninstallClaudeCode } from '../../../../../src/harness/claude-code/install/uninstall.ts'
import { whySwitchedOff } from '../../../../../src/harness/claude-code/install/why-no-module.ts'
import { meshHome } from '../../../../../src/host/home.ts'

const packageDir = fileURLToPath(new URL('../../../../..', import.meta.url))
const file = (name: string) => readFileSync(join(packageDir, name), 'utf8')

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'mesh-plugin-'))
})
afterEach(() => rmSync(root, { recursive: true }))

test("the plugin's hooks are the settings' hooks", () => {
  const plugin = JSON.parse(hooksFile('/home/ann/.local/state/mesh')).hooks
  const settings = settingsHooks('/home/ann/.local/state/mesh')
  expect(Object.keys(plugin)).toEqual(Object.keys(settings))
  for (const [event, hooks] of Object.entries(settings)) {
    const asSettings = JSON.stringify(plugin[event][0].hooks).replace(/ plugin (?=[23]>)/g, ' ')
    expect(JSON.parse(asSettings)).toEqual(hooks)
    expect(plugin[event][0].matcher).toBe(hookEntry(event, hooks).matcher)
  }
  // Bring it up to date with: npx vitest run --project unit test/unit/harness/claude-code/install/plugin.test.ts -u
  return expect(hooksFile(null)).toMatchFileSnapshot('../../../../../plugin/hooks/hooks.json')
})

test('its version is the package’s', () => {
  expect(JSON.parse(file('plugin/.claude-plugin/plugin.json')).version).toBe(manifest.version)
  expect(manifest.files).toEqual(expect.arrayContaining(['plugin', '.claude-plugin']))
})

test('the skill costs few tokens, and names commands that there are', () => {
  const [, head, body] = file('plugin/skills/mesh/SKILL.md').split('---\n')
  // About four characters each: the head is in the context of every session, the rest when the skill is used.
  expect(head!.length / 4).toBeLessThan(40)
  expect(body!.length / 4).toBeLessThan(350)
  const named = [...body!.matchAll(/`(?:git diff \| )?mesh (\w+)/g)].map(([, name]) => name!)
  const known = commands.map(({ name }) => name.split(' ')[0])
  expect(named.filter((name) => name !== 'COMMAND' && !known.includes(name))).toEqual([])
})

test('rules allow commands that there are, none that runs programs, changes the set-up or ends something', () => {
  const allowed = permissionRules.map((rule) => /^Bash\(mesh (\w+):\*\)$/.exec(rule)![1]!)
  const known = new Set([...commands.map(({ name }) => name.split(' ')[0]!), 'who'])
  expect(allowed.filter((name) => !known.has(name))).toEqual([])
  const forbidden = [
    'run',
    'spawn',
    'install',
    'uninstall',
    'up',
    'down',
    'engine',
    'project',
    'forget',
    'rename',
    'mcp',
  ]
  expect(allowed.filter((name) => forbidden.includes(name))).toEqual([])
})

/** A client that does what the real one does to the settings: in its own order, and empty objects stay. */
const FAKE = `#!/usr/bin/env node
const { readFileSync, writeFileSync } = require('node:fs')
const [first, what, sub, name] = process.argv.slice(2)
if (first === '--version') {
  console.log((process.env.FAKE_VERSION ?? '2.1.332') + ' (Claude Code)')
  process.exit()
}
if (process.env.FAKE_REFUSAL) {
  console.error(process.env.FAKE_REFUSAL)
  process.exit(1)
}
const path = process.env.CLAUDE_CONFIG_DIR + '/settings.json'
const { model, ...old } = JSON.parse(readFileSync(path, 'utf8'))
const settings = { enabledPlugins: {}, extraKnownMarketplaces: {}, ...old, model }
const marketplace = () => JSON.parse(readFileSync(name + '/.claude-plugin/marketplace.json', 'utf8')).name
if (what === 'marketplace' && sub === 'add') settings.extraKnownMarketplaces[marketplace()] = { source: { path: name } }
if (what === 'install') settings.enabledPlugins[sub] = true
if (what === 'uninstall') delete settings.enabledPlugins[sub]
if (what === 'marketplace' && sub === 'remove') delete settings.extraKnownMarketplaces[name]
writeFileSync(path, JSON.stringify(settings, null, 2))
`

function lab(withClient: boolean) {
  const env: Record<string, string> = {
    CLAUDE_CONFIG_DIR: root,
    MESH_HOME: join(root, 'mesh'),
    PATH: `${root}:${process.env.PATH}`,
  }
  if (withClient) writeFileSync(join(root, 'claude'), FAKE, { mode: 0o755 })
  else env.PATH = root
  const settings = join(root, 'settings.json')
  const text = '{"model": "x",   "env": {"A": "1"}}\n'
  writeFileSync(settings, text)
  const options = { env, home: meshHome(env), sidecarPath: '/opt/sidecar.js', nodePath: '/usr/bin/node', packageDir }
  return { env, home: meshHome(env), settings, text, options, read: () => JSON.parse(readFileSync(settings, 'utf8')) }
}

test('install --plugin - the client installs it, and uninstall undoes it to the byte', async () => {
  const { env, home, settings, text, options, read } = lab(true)
  expect(await installPlugin(options)).toMatchObject({ changed: true, installed: true })
  expect(read().enabledPlugins).toEqual({ 'mesh@sessionmesh': true })
  expect(await installPlugin(options)).toMatchObject({ changed: false, installed: true })
  expect(JSON.parse(readFileSync(join(home.root, 'claude-code/plugin/hooks/hooks.json'), 'utf8')).hooks).toEqual(
    hookEntries(pluginHooks(home.root)),
  )
  expect((await uninstallClaudeCode({ env, home })).places).toEqual([{ path: settings, did: 'restored' }])
  expect(readFileSync(settings, 'utf8')).toBe(text)
})

test('uninstall after install --plugin keeps foreign changes', async () => {
  const { env, home, settings, options, read } = lab(true)
  await installPlugin(options)
  writeFileSync(settings, JSON.stringify({ ...read(), theme: 'dark' }))
  expect((await uninstallClaudeCode({ env, home })).places).toEqual([{ path: settings, did: 'edited' }])
  expect(read()).toEqual({ model: 'x', env: { A: '1' }, theme: 'dark' })
})

test('without the client install and uninstall say what to type', async () => {
  const { env, home, text, settings, options } = lab(false)
  const { installed, commands } = await installPlugin(options)
  expect([installed, commands]).toEqual([
    false,
    [
      ['plugin', 'marketplace', 'add', join(home.root, 'claude-code')],
      ['plugin', 'install', 'mesh@sessionmesh'],
    ],
  ])
  // Typed.
  writeFileSync(settings, JSON.stringify({ ...JSON.parse(text), enabledPlugins: { 'mesh@sessionmesh': true } }))
  const { places } = await uninstallClaudeCode({ env, home })
  expect(places).toEqual([{ path: settings, did: 'edited', commands: expect.arrayContaining([expect.anything()]) }])
  expect(readFileSync(settings, 'utf8')).toBe(JSON.stringify(JSON.parse(text)))
})

test('install - the module comes beside the hooks, and uninstall undoes both to the byte', async () => {
  const { env, home, settings, text, options, read } = lab(true)
  installClaudeCode(options)
  expect(await installModule(options)).toEqual({ installed: true, why: null })
  expect(read()).toMatchObject({ enabledPlugins: { 'mesh@sessionmesh-module': true }, hooks: expect.anything() })
  expect([installClaudeCode(options).changed, await installModule(options)]).toEqual([
    false,
    { installed: true, why: null },
  ])
  const placed = (name: string) => readFileSync(join(home.root, 'claude-code-module/plugin', name), 'utf8')
  expect(JSON.parse(placed('hooks/hooks.json'))).toEqual({ hooks: {}, modules: ['./register.js'] })
  expect(JSON.parse(placed('.claude-plugin/plugin.json')).version).toBe(manifest.version)
  expect(placed('hooks/register.js')).toContain(`const HOME = ${JSON.stringify(home.root)}`)
  expect((await uninstallClaudeCode({ env, home })).places).toEqual([{ path: settings, did: 'restored' }])
  expect(readFileSync(settings, 'utf8')).toBe(text)
  expect(existsSync(join(home.root, 'claude-code-module'))).toBe(false)
})

test('install - with the plugin that has the hooks the module does not come twice', async () => {
  const { options, read } = lab(true)
  await installPlugin(options)
  expect(await installModule(options)).toEqual({ installed: true, why: null })
  expect(read().enabledPlugins).toEqual({ 'mesh@sessionmesh': true })
})

test.each<[string, Record<string, string>, object, string]>([
  ['an older client', { FAKE_VERSION: '2.1.286' }, {}, 'Claude Code 2.1.286 has no modules'],
  ['settings that switch hooks off', {}, { disableAllHooks: true }, 'disableAllHooks'],
  ['a client that refuses', { FAKE_REFUSAL: 'no plugins here' }, {}, 'no plugins here'],
])('install - %s goes without the module and is told why', async (_, more, extra, why) => {
  const { options, env, settings, text } = lab(true)
  const before = { ...JSON.parse(text), ...extra }
  writeFileSync(settings, JSON.stringify(before))
  Object.assign(env, more)
  expect(await installModule(options)).toEqual({ installed: false, why: expect.stringContaining(why) })
  expect(readFileSync(settings, 'utf8')).toBe(JSON.stringify(before))
})

test("an administrator's settings keep the module out", () => {
  const { env } = lab(true)
  const managed = join(root, 'managed.json')
  for (const [key, policy] of Object.entries({
    disableAllHooks: { disableAllHooks: true },
    allowManagedHooksOnly: { allowManagedHooksOnly: true },
    allowManagedModsOnly: {
      pluginConfigs: { 'cc-plugin-sec-default@builtin': { options: { allowManagedModsOnly: true } } },
    },
  })) {
    writeFileSync(managed, JSON.stringify(policy))
    expect(whySwitchedOff(env, managed)).toContain(key)
  }
  writeFileSync(managed, '{}')
  expect(whySwitchedOff(env, managed)).toBeNull()
})
