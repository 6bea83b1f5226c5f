/** `mesh install` and `uninstall` as a user types them. */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { TestMesh } from '../../support/mesh.ts'

let mesh: TestMesh
let settings: string
beforeEach(() => {
  mesh = new TestMesh()
  settings = join(mesh.root, 'home', '.claude', 'settings.json')
})
afterEach(() => mesh.dispose())

const noClient = { env: { PATH: '/nowhere' } }
const repository = () => {
  const git = join(mesh.cwd, '.git')
  mkdirSync(join(git, 'objects'), { recursive: true })
  writeFileSync(join(git, 'HEAD'), 'ref: refs/heads/main\n')
  return join(mesh.cwd, '.claude', 'settings.local.json')
}

test('install --print shows what would be written and where, and writes nothing', async () => {
  const script = join(mesh.home, 'hooks', 'claude-code.sh')
  const { stdout } = await mesh.run(['install', '--print', '--allow'])
  for (const words of [script, settings, '"SessionStart"', 'Bash(mesh send:*)']) expect(stdout).toContain(words)
  const { files, commands } = await mesh.json(['install', '--print'])
  expect(files.map(({ path }: { path: string }) => path)).toEqual([script, settings])
  expect(Object.keys(JSON.parse(files[1].text).hooks)).toContain('SessionStart')
  expect(commands).toEqual([])
  const plugin = await mesh.json(['install', '--print', '--plugin'])
  expect(plugin.files.map(({ path }: { path: string }) => path)).toContain(
    join(mesh.home, 'claude-code', 'plugin', 'hooks', 'hooks.json'),
  )
  expect(plugin.commands).toHaveLength(2)
  expect([existsSync(mesh.home), existsSync(settings)]).toEqual([false, false])
})

test('install offers the rules and adds them only when asked; uninstall takes all out again', async () => {
  const text = '{"model": "x"}\n'
  mkdirSync(join(mesh.root, 'home', '.claude'))
  writeFileSync(settings, text)
  const first = await mesh.run(['install'])
  expect(first.stdout).toContain('mesh install --allow')
  expect(JSON.parse(readFileSync(settings, 'utf8')).permissions).toBeUndefined()
  const { rulesAdded, hooksAdded } = await mesh.json(['install', '--allow'])
  expect([rulesAdded.length > 5, hooksAdded]).toEqual([true, []])
  expect(await mesh.json(['install'])).toMatchObject({ changed: false })
  expect(await mesh.json(['uninstall'])).toMatchObject({ changed: true, places: [{ path: settings, did: 'restored' }] })
  expect(readFileSync(settings, 'utf8')).toBe(text)
  const again = await mesh.run(['uninstall'])
  expect(again).toMatchObject({ code: 0, stdout: `${settings} had nothing of mesh\n` })
})

test('installs at the same time are one install', async () => {
  const text = '{ "model": "x" }'
  mkdirSync(join(mesh.root, 'home', '.claude'))
  writeFileSync(settings, text)
  const done = await Promise.all([1, 2, 3, 4].map(() => mesh.run(['install', '--allow'])))
  // Without a client there is no module to install, which is said.
  const said = (stderr: string) => stderr.replace(/^mesh: without mesh's module .*\n/, '')
  expect(done.map(({ code, stderr }) => [code, said(stderr)])).toEqual(done.map(() => [0, '']))
  expect(JSON.parse(readFileSync(settings, 'utf8')).hooks.Stop).toHaveLength(1)
  await mesh.run(['uninstall'])
  expect(readFileSync(settings, 'utf8')).toBe(text)
})

test('two mesh homes: install and uninstall leave the other’s hooks and say what to type', async () => {
  const other = { env: { MESH_HOME: join(mesh.root, 'other') } }
  await mesh.run(['install'])
  const before = readFileSync(settings, 'utf8')
  for (const call of [['install'], ['install', '--plugin'], ['install', '--print'], ['uninstall']]) {
    const done = await mesh.run([...call, '--json'], other)
    expect(done, call.join(' ')).toMatchObject({ code: 4, error: { code: 'conflict' } })
    expect(done.error.message).toContain(`another mesh home, ${mesh.home}`)
    expect(done.error.hint).toContain(`MESH_HOME='${mesh.home}' mesh uninstall`)
    expect(readFileSync(settings, 'utf8')).toBe(before)
  }
  expect(existsSync(join(mesh.root, 'other', 'hooks'))).toBe(false)
  await mesh.run(['uninstall'])
  expect((await mesh.run(['install'], other)).code).toBe(0)
  // One that is gone keeps nobody.
  renameSync(join(mesh.root, 'other'), join(mesh.root, 'moved'))
  expect((await mesh.run(['install'])).code).toBe(0)
  expect(readFileSync(settings, 'utf8')).toContain(mesh.home)
})

test('install --project is for this repository, and says that the file is personal', async () => {
  const local = repository()
  const done = await mesh.run(['install', '--project'])
  expect([done.code, existsSync(settings), existsSync(local)]).toEqual([0, false, true])
  expect(done.stderr).toContain('keep it out of git')
  // From somewhere else.
  expect(await mesh.json(['uninstall'], { cwd: mesh.root })).toMatchObject({
    places: [{ path: local, did: 'removed' }],
  })
  expect(readdirSync(mesh.cwd)).toEqual(['.git'])
})

test('install --plugin without the client says exactly what to type', async () => {
  const done = await mesh.run(['install', '--plugin'], noClient)
  expect(done.code).toBe(0)
  expect(done.stdout).toContain(`  claude plugin marketplace add ${join(mesh.home, 'claude-code')}\n`)
  expect(done.stdout).toContain('  claude plugin install mesh@sessionmesh\n')
  expect(existsSync(settings)).toBe(false)
  await mesh.run(['uninstall'], noClient)
  expect(readdirSync(mesh.home)).toEqual(['run'])
})

test('the doctor knows each way to install', async () => {
  repository()
  const hooks = async () => {
    const { json } = await mesh.run(['doctor', '--json'], noClient)
    return json.filter(({ check }: { check: string }) => check.startsWith('hooks'))
  }
  for (const flags of [[], ['--project'], ['--plugin']]) {
    await mesh.run(['install', ...flags], noClient)
    if (flags[0] === '--plugin') {
      mkdirSync(join(mesh.root, 'home', '.claude'), { recursive: true })
      writeFileSync(settings, '{"enabledPlugins": {"mesh@sessionmesh": true}}')
    }
    expect(await hooks()).toEqual([expect.objectContaining({ check: 'hooks', ok: true })])
    await mesh.run(['uninstall'], noClient)
  }
})

test('install --plugin --allow adds rules to the settings, and no hooks', async () => {
  await mesh.run(['install', '--plugin', '--allow'], noClient)
  const { hooks, permissions } = JSON.parse(readFileSync(settings, 'utf8'))
  expect([hooks, permissions.allow.includes('Bash(mesh send:*)')]).toEqual([undefined, true])
  await mesh.run(['uninstall'], noClient)
  expect(existsSync(settings)).toBe(false)
})

test('impossible combinations of flags are refused in one line with exit 2, and nothing is written', async () => {
  expect((await mesh.run(['install', '--project', '--json'])).error).toMatchObject({ code: 'bad_request' })
  for (const flags of [
    ['--plugin', '--project'],
    ['--script', '--allow'],
  ]) {
    const done = await mesh.run(['install', ...flags])
    expect([done.code, done.stderr.trim().split('\n').length]).toEqual([2, 1])
  }
  expect(existsSync(mesh.home)).toBe(false)
})

test('uninstall leaves what it cannot read, does the rest, and says so', async () => {
  const local = repository()
  await mesh.run(['install', '--project'])
  await mesh.run(['install'])
  writeFileSync(settings, '{"half')
  const done = await mesh.run(['uninstall', '--json'])
  expect([done.code, done.error.code]).toEqual([2, 'bad_request'])
  expect(done.json.places).toEqual([
    { path: settings, did: 'failed' },
    { path: local, did: 'removed' },
  ])
  expect(readFileSync(settings, 'utf8')).toBe('{"half')
})

test('a repository that was moved away keeps nobody from uninstalling', async () => {
  repository()
  await mesh.json(['install', '--project'])
  renameSync(mesh.cwd, `${mesh.cwd}-moved`)
  const elsewhere = { cwd: mesh.root }
  await mesh.json(['install'], elsewhere)
  expect(await mesh.json(['uninstall'], elsewhere)).toMatchObject({ places: [{ path: settings, did: 'removed' }] })
  expect((await mesh.run(['uninstall'], elsewhere)).code).toBe(0)
  expect(existsSync(join(mesh.home, 'installs'))).toBe(false)
  renameSync(`${mesh.cwd}-moved`, mesh.cwd)
})

test.each([
  ['settings that are a directory', () => mkdirSync(settings, { recursive: true }), 2, 'settings.json'],
  ['a configuration folder that is a file', () => writeFileSync(join(settings, '..'), ''), 2, 'settings.json'],
] as const)('%s: reported, and nothing is left behind', async (_, make, code, words) => {
  make()
  const failed = await mesh.run(['install', '--json'])
  expect([failed.code, failed.error.message]).toEqual([code, expect.stringContaining(words)])
  expect(failed.error.message).not.toContain('bug')
  expect([existsSync(join(mesh.home, 'installs')), existsSync(join(mesh.home, 'hooks'))]).toEqual([false, false])
})
