/** Ways to break hooks and the plugin: doctor names each, mends what it says it can, and touches nothing else. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Breakage, SickMesh } from '../../support/sick-mesh.ts'

const mesh = new SickMesh()
beforeAll(() => mesh.begin())
afterAll(() => mesh.dispose())

const inSettings = ['.claude/settings.json']
const script = () => join(mesh.home, 'hooks', 'claude-code.sh')

// biome-ignore lint/suspicious/noExplicitAny: whatever stands in the settings
function edit(change: (settings: any) => void): void {
  const settings = JSON.parse(readFileSync(mesh.settings, 'utf8'))
  change(settings)
  writeFileSync(mesh.settings, JSON.stringify(settings, null, 2))
}

function inText(path: string, from: RegExp | string, to: string): void {
  const text = readFileSync(path, 'utf8')
  expect(text).toMatch(from)
  writeFileSync(path, text.replaceAll(from, to))
}

/** What the printed command calls when it opens a file for the person. */
function editorWrites(text: string): void {
  writeFileSync(join(mesh.root, 'edited'), text)
  mesh.program('editor', `cp '${join(mesh.root, 'edited')}' "$1"`)
}

function withoutOurs(text: string): string {
  const settings = JSON.parse(text)
  delete settings.disableAllHooks
  return JSON.stringify(settings, null, 2)
}

function repository(name: string): string {
  const dir = join(mesh.root, name)
  mkdirSync(dir)
  execFileSync('git', ['init', '-q', dir])
  return dir
}

const breakages: Breakage[] = [
  {
    name: 'a hook that somebody took out',
    harm: () => edit(({ hooks }) => hooks.Stop.pop()),
    check: 'hooks.entries',
    mend: 'doctor',
    mayChange: inSettings,
  },
  {
    name: 'all hooks taken out by hand: only a person knows what was meant',
    harm: () =>
      edit((settings) => {
        settings.hooks = { Stop: settings.hooks.Stop.slice(0, 1), PreToolUse: settings.hooks.PreToolUse }
      }),
    check: 'hooks.entries',
    mend: 'command',
    mayChange: inSettings,
  },
  {
    name: 'hooks of another version',
    harm: () => inText(mesh.settings, 'UserPromptSubmit \\"', 'UserPromptSubmit --old \\"'),
    check: 'hooks.entries',
    mend: 'doctor',
    mayChange: inSettings,
  },
  {
    name: 'hooks of a mesh home that is gone',
    harm: () => inText(mesh.settings, `H='${mesh.home}'`, `H='${mesh.root}/moved'`),
    check: 'hooks.home',
    mend: 'doctor',
    mayChange: inSettings,
  },
  {
    name: 'hooks of another mesh home that is there',
    harm: () => inText(mesh.settings, `H='${mesh.home}'`, `H='${mesh.neighbour.home}'`),
    check: 'hooks.home',
    mend: 'command',
    mayChange: inSettings,
  },
  { name: 'no hook script', harm: () => rmSync(script()), check: 'hooks.script', mend: 'doctor' },
  {
    name: 'a hook script of another version',
    harm: () => inText(script(), 'umask 077', 'umask 022'),
    check: 'hooks.script',
    mend: 'doctor',
  },
  {
    name: 'a Node that is gone',
    harm: () => inText(script(), /^node='.*'$/gm, `node='${mesh.root}/no/node'`),
    check: 'hooks.node',
    mend: 'doctor',
  },
  {
    name: 'a sidecar program that is gone',
    harm: () => inText(script(), /^sidecar='.*'$/gm, `sidecar='${mesh.root}/no/dist/sidecar.js'`),
    check: 'hooks.sidecar',
    mend: 'doctor',
  },
  {
    name: 'a sidecar program of another version',
    harm: () => {
      const old = join(mesh.root, 'old')
      mkdirSync(join(old, 'dist'), { recursive: true })
      writeFileSync(join(old, 'package.json'), '{"version": "0.0.1"}')
      writeFileSync(join(old, 'dist', 'sidecar.js'), '')
      inText(script(), /^sidecar='.*'$/gm, `sidecar='${old}/dist/sidecar.js'`)
    },
    check: 'hooks.version',
    mend: 'doctor',
  },
  {
    name: 'settings that switch hooks off',
    harm: () => {
      edit((settings) => {
        settings.disableAllHooks = true
      })
      editorWrites(withoutOurs(readFileSync(mesh.settings, 'utf8')))
    },
    check: 'hooks.off',
    mend: 'command',
    mayChange: inSettings,
  },
  {
    name: "a repository's settings that switch hooks off",
    harm: () => {
      const dir = join(mesh.cwd, '.claude')
      mkdirSync(dir)
      writeFileSync(join(dir, 'settings.local.json'), '{"disableAllHooks": true}')
      editorWrites('{}')
      return () => rmSync(dir, { recursive: true })
    },
    check: 'hooks.off',
    mend: 'command',
  },
  {
    name: "a repository's own hooks, of which one is gone",
    harm: async () => {
      const dir = repository('own')
      await mesh.run(['install', '--project'], { cwd: dir })
      const path = join(dir, '.claude', 'settings.local.json')
      const settings = JSON.parse(readFileSync(path, 'utf8'))
      delete settings.hooks.UserPromptSubmit
      writeFileSync(path, JSON.stringify(settings))
      return () => rmSync(dir, { recursive: true })
    },
    check: 'hooks.entries',
    mend: 'doctor',
  },
  {
    name: "a plugin whose files are not this version's",
    harm: async () => {
      const before = readFileSync(mesh.settings)
      await mesh.run(['install', '--plugin'])
      edit((settings) => {
        settings.enabledPlugins = { 'mesh@sessionmesh': true }
      })
      writeFileSync(join(mesh.home, 'claude-code', 'plugin', 'hooks', 'hooks.json'), '{}')
      return () => writeFileSync(mesh.settings, before)
    },
    check: 'hooks.plugin',
    mend: 'doctor',
  },
]

test('all is well before', async () => {
  const { code, findings } = await mesh.doctor()
  expect(findings.filter(({ ok }) => !ok)).toEqual([])
  expect(code).toBe(0)
})

test.each(breakages.filter(({ skip }) => !skip))('$name', (breakage) => mesh.suffer(breakage))
