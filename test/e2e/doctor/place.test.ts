/** Ways to break settings, files and environment: doctor names each, mends what it says it can, and touches nothing else. */
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Breakage, SickMesh } from '../../support/sick-mesh.ts'

const mesh = new SickMesh()
beforeAll(() => mesh.begin())
afterAll(() => mesh.dispose())

const inSettings = ['.claude/settings.json']
const key = () => join(mesh.home, 'member.key')

/** What the printed command calls when it opens a file for the person. */
function editorWrites(text: string): void {
  writeFileSync(join(mesh.root, 'edited'), text)
  mesh.program('editor', `cp '${join(mesh.root, 'edited')}' "$1"`)
}

function repository(name: string): string {
  const dir = join(mesh.root, name)
  mkdirSync(dir)
  execFileSync('git', ['init', '-q', dir])
  return dir
}

const breakages: Breakage[] = [
  {
    name: 'a setting of mesh that is no number',
    harm: () => {
      editorWrites('{"floorSeconds": 5}')
      writeFileSync(join(mesh.home, 'settings.json'), '{"floorSeconds": "x"}')
      return () => rmSync(join(mesh.home, 'settings.json'))
    },
    check: 'settings.value',
    mend: 'command',
  },
  {
    name: 'a setting of mesh that is misspelled',
    harm: () => {
      editorWrites('{"floorSeconds": 5}')
      writeFileSync(join(mesh.home, 'settings.json'), '{"floorSecs": 5}')
      return () => rmSync(join(mesh.home, 'settings.json'))
    },
    check: 'settings.unknown',
    mend: 'command',
  },
  {
    name: 'settings that are not JSON',
    harm: () => {
      editorWrites(readFileSync(mesh.settings, 'utf8'))
      writeFileSync(mesh.settings, '{ "hooks": ')
    },
    check: 'hooks.settings',
    mend: 'command',
    mayChange: inSettings,
  },
  {
    name: 'a mesh home open to others',
    harm: () => chmodSync(mesh.home, 0o755),
    check: 'permissions.open',
    mend: 'doctor',
  },
  { name: 'a key open to others', harm: () => chmodSync(key(), 0o644), check: 'permissions.open', mend: 'doctor' },
  {
    name: 'files that their owner may not write',
    harm: () => {
      chmodSync(join(mesh.home, 'engine', 'data'), 0o500)
      chmodSync(join(mesh.home, 'engine', 'server.conf'), 0)
    },
    check: 'permissions.shut',
    mend: 'doctor',
  },
  {
    name: 'a file of another user',
    harm: () => chownSync(join(mesh.home, 'engine', 'log'), 65534, 65534),
    check: 'permissions.owner',
    mend: 'command',
    skip: process.getuid!() !== 0,
  },
  {
    name: 'a key that is none',
    harm: () => {
      renameSync(key(), `${key()}.kept`)
      writeFileSync(key(), 'garbage', { mode: 0o600 })
    },
    check: 'home.key',
    mend: () => renameSync(`${key()}.kept`, key()),
  },
  {
    name: 'a lost key',
    harm: () => renameSync(key(), `${key()}.kept`),
    check: 'home.key',
    mend: () => renameSync(`${key()}.kept`, key()),
  },
  {
    name: 'a mesh home that is a symbolic link',
    harm: () => symlinkSync(mesh.home, join(mesh.root, 'link')),
    check: 'home.path',
    mend: 'command',
    env: { MESH_HOME: join(mesh.root, 'link') },
  },
  {
    name: 'a mesh home below a file',
    harm: () => writeFileSync(join(mesh.root, 'in-the-way'), ''),
    check: 'home.path',
    mend: 'command',
    env: { MESH_HOME: join(mesh.root, 'in-the-way', 'mesh'), HOME: join(mesh.root, 'other-user') },
  },
  {
    name: 'a mesh home that is of another user',
    harm: () => {
      mkdirSync(join(mesh.root, 'theirs'))
      chownSync(join(mesh.root, 'theirs'), 65534, 65534)
    },
    check: 'home.path',
    mend: 'command',
    env: { MESH_HOME: join(mesh.root, 'theirs'), HOME: join(mesh.root, 'other-user') },
    skip: process.getuid?.() !== 0,
  },
  {
    name: 'a clock that was set back',
    harm: () => utimesSync(join(mesh.home, 'engine', 'log'), new Date(), Date.now() / 1000 + 86_400),
    check: 'clock.files',
    mend: 'command',
  },
  {
    name: "a clock that is not the engine's",
    harm: () => {
      const shift = 'const now = Date.now; Date.now = () => now() + 3600000'
      writeFileSync(join(mesh.root, 'shift.cjs'), shift)
    },
    check: 'clock.engine',
    env: { NODE_OPTIONS: `--require ${join(mesh.root, 'shift.cjs')}` },
    mend: () => {},
  },
  {
    name: 'a name that is none',
    harm: () => {},
    check: 'environment.variable',
    mend: 'command',
    env: { MESH_NAME: 'Not A Name' },
  },
  {
    name: 'a project that is none',
    harm: () => {},
    check: 'environment.variable',
    mend: 'command',
    env: { MESH_PROJECT: '../up' },
  },
  {
    name: "a repository that names another one's project",
    harm: () => writeFileSync(join(repository('stranger'), '.mesh.json'), '{"project": "theirs-0123abcd"}'),
    check: 'environment.project',
    mend: 'command',
    env: { MESH_PROJECT: '' },
    cwd: join(mesh.root, 'stranger'),
  },
  {
    name: 'a project file that is not one',
    harm: () => {
      writeFileSync(join(repository('torn'), '.mesh.json'), '{"project": 7')
      editorWrites('{"project": "shop"}')
    },
    check: 'environment.project',
    mend: 'command',
    env: { MESH_PROJECT: '' },
    cwd: join(mesh.root, 'torn'),
  },
]

test('all is well before', async () => {
  const { code, findings } = await mesh.doctor()
  expect(findings.filter(({ ok }) => !ok)).toEqual([])
  expect(code).toBe(0)
})

test.each(breakages.filter(({ skip }) => !skip))('$name', (breakage) => mesh.suffer(breakage))

test('a relative mesh home is refused, with the command that mends it', async () => {
  const { code, error } = await mesh.run(['doctor', '--json'], { env: { MESH_HOME: 'state' } })
  expect([code, error.code]).toEqual([2, 'bad_request'])
  expect(error.hint).toContain('export MESH_HOME="$PWD/state"')
})
