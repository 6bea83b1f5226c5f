import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { installClaudeCode } from '../../../../../src/harness/claude-code/install/install.ts'
import { uninstallClaudeCode } from '../../../../../src/harness/claude-code/install/uninstall.ts'
import { meshHome } from '../../../../../src/host/home.ts'

let root: string
let settings: string
let env: { HOME: string; MESH_HOME: string }
const home = () => meshHome(env)
const install = (over: object = {}) =>
  installClaudeCode({ env, home: home(), sidecarPath: '/opt/mesh/sidecar.js', nodePath: '/usr/bin/node', ...over })
const uninstall = () => uninstallClaudeCode({ env, home: home() })
const read = () => JSON.parse(readFileSync(settings, 'utf8')) as { hooks?: Record<string, { hooks: unknown[] }[]> }

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'mesh-install-'))
  env = { HOME: root, MESH_HOME: join(root, 'mesh') }
  mkdirSync(join(root, '.claude'))
  settings = join(root, '.claude', 'settings.json')
})
afterEach(() => rmSync(root, { recursive: true }))

const others = {
  permissions: { allow: ['Bash(ls:*)'] },
  hooks: {
    Stop: [{ hooks: [{ type: 'command', command: 'say done' }] }],
    PreToolUse: [{ matcher: 'Bash', hooks: [{ type: 'command', command: 'check' }] }],
  },
  model: 'x',
}

test('install - makes missing settings, and the script', () => {
  rmSync(join(root, '.claude'), { recursive: true })
  const { changed, hooksAdded, settingsPath } = install()
  expect([changed, settingsPath]).toEqual([true, settings])
  expect(Object.keys(read().hooks!)).toEqual(hooksAdded)
  expect(statSync(settings).mode & 0o777).toBe(0o600)
  expect(readFileSync(join(home().hooks, 'claude-code.sh'), 'utf8')).toContain("sidecar='/opt/mesh/sidecar.js'")
  expect(existsSync(home().run)).toBe(true)
})

test('install - doing it twice is doing it once', () => {
  install()
  const before = readFileSync(settings, 'utf8')
  expect(install()).toMatchObject({ changed: false, hooksAdded: [] })
  expect(readFileSync(settings, 'utf8')).toBe(before)
})

test('install - another program path changes the script, not the settings', () => {
  install()
  const before = readFileSync(settings, 'utf8')
  expect(install({ sidecarPath: '/elsewhere/sidecar.js' })).toMatchObject({ changed: true, hooksAdded: [] })
  expect(readFileSync(settings, 'utf8')).toBe(before)
  expect(readFileSync(join(home().hooks, 'claude-code.sh'), 'utf8')).toContain('/elsewhere/sidecar.js')
})

test('install and uninstall - other entries stay, in their order', async () => {
  writeFileSync(settings, JSON.stringify(others, null, 2))
  install()
  const { hooks } = read()
  expect(hooks!.Stop![0]).toEqual(others.hooks.Stop[0])
  expect(hooks!.Stop).toHaveLength(2)
  expect(Object.keys(read())).toEqual(Object.keys(others))
  expect(await uninstall()).toMatchObject({ changed: true })
  expect(readFileSync(settings, 'utf8')).toBe(JSON.stringify(others, null, 2))
  expect(existsSync(home().hooks)).toBe(false)
})

test("uninstall - a foreign handler beside mesh's stays", async () => {
  install()
  const edited = read()
  edited.hooks!.Stop![0]!.hooks.push({ type: 'command', command: 'mine' })
  writeFileSync(settings, JSON.stringify(edited))
  await uninstall()
  expect(read()).toEqual({ hooks: { Stop: [{ hooks: [{ type: 'command', command: 'mine' }] }] } })
})

test('uninstall - nothing there, nothing done', async () => {
  expect(await uninstall()).toMatchObject({ changed: false })
  expect(existsSync(settings)).toBe(false)
})

test('install - replaces older entries of ours, also those of a mesh home that is gone', () => {
  env.MESH_HOME = join(root, 'old')
  install()
  const old = read()
  old.hooks!.Retired = [{ hooks: [...old.hooks!.Stop![0]!.hooks] }]
  writeFileSync(settings, JSON.stringify(old))
  env.MESH_HOME = join(root, 'new')
  expect(install).toThrow('another mesh home')
  rmSync(join(root, 'old'), { recursive: true })
  install()
  expect(JSON.stringify(read())).not.toContain(join(root, 'old'))
  expect(read().hooks!.Retired).toBeUndefined()
  expect(read().hooks!.Stop).toHaveLength(1)
})

test('install - no hook runs at a /compact, whose client would show the hook to the model', async () => {
  install()
  const { hooks } = read()
  expect(Object.keys(hooks!)).not.toContain('PostCompact')
  expect(hooks!.PreCompact).toMatchObject([{ matcher: 'auto' }])
  const current = readFileSync(settings, 'utf8')
  // As an earlier build had them.
  const earlier = { ...hooks, PreCompact: [{ hooks: hooks!.PreCompact![0]!.hooks }], PostCompact: hooks!.Stop }
  writeFileSync(settings, JSON.stringify({ ...read(), hooks: earlier }))
  expect(install()).toMatchObject({ changed: true, hooksAdded: ['PreCompact'] })
  expect(read()).toEqual(JSON.parse(current))
  await uninstall()
  expect(read()).toEqual({})
})

test.each([
  ['two spaces', JSON.stringify(others, null, 2)],
  ['four spaces and a newline', `${JSON.stringify(others, null, 4)}\n`],
  ['tabs', `${JSON.stringify(others, null, '\t')}\n`],
  ['one line', JSON.stringify(others)],
  ['CRLF', `${JSON.stringify(others, null, 2)}\n`.replaceAll('\n', '\r\n')],
  ['a byte order mark, which the client reads over', `\ufeff${JSON.stringify(others, null, 2)}\n`],
])('install - keeps the formatting: %s', async (_, text) => {
  writeFileSync(settings, text)
  install()
  expect(readFileSync(settings, 'utf8').slice(0, 2)).toBe(text.slice(0, 2))
  await uninstall()
  expect(readFileSync(settings, 'utf8')).toBe(text)
})

test('install - the file keeps its mode', () => {
  writeFileSync(settings, '{}')
  chmodSync(settings, 0o640)
  install()
  expect(statSync(settings).mode & 0o777).toBe(0o640)
})

test('install - a linked settings file is changed at its real place', () => {
  const dotfiles = join(root, 'dotfiles')
  mkdirSync(dotfiles)
  writeFileSync(join(dotfiles, 'settings.json'), '{"model":"x"}')
  symlinkSync(join('..', 'dotfiles', 'settings.json'), settings)
  install()
  expect(lstatSync(settings).isSymbolicLink()).toBe(true)
  expect(readFileSync(join(dotfiles, 'settings.json'), 'utf8')).toContain('claude-code.sh')
  expect(readdirSync(dotfiles)).toEqual(['settings.json'])
})

test('install - a link to a file that is not there yet makes it there', () => {
  symlinkSync(join(root, 'later', 'settings.json'), settings)
  install()
  expect(lstatSync(settings).isSymbolicLink()).toBe(true)
  expect(read().hooks).toBeDefined()
})

test('install - CLAUDE_CONFIG_DIR moves the settings', () => {
  const configDir = join(root, 'elsewhere')
  const moved = { ...env, CLAUDE_CONFIG_DIR: configDir }
  expect(install({ env: moved }).settingsPath).toBe(join(configDir, 'settings.json'))
  expect(existsSync(settings)).toBe(false)
})

test('install - an empty settings file counts as none', () => {
  writeFileSync(settings, '\n')
  install()
  expect(read().hooks).toBeDefined()
})

test.each([
  ['comments', '{ // mine\n "a": 1 }'],
  ['half a file', '{"a": '],
  ['a list', '[]'],
  ['null', 'null'],
  ['hooks that are no object', '{"hooks": []}'],
  ['an event that is no list', '{"hooks": {"Stop": {}}}'],
])('install - settings that it cannot read stay as they are: %s', (_, text) => {
  writeFileSync(settings, text)
  expect(() => install()).toThrow(
    expect.objectContaining({ code: 'bad_request', hint: expect.stringContaining('by hand') }),
  )
  expect(readFileSync(settings, 'utf8')).toBe(text)
  expect(existsSync(home().hooks)).toBe(false)
})
