/** `mesh uninstall` puts back what was there: to the byte if nobody else changed it, else all but ours. */
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { permissionRules, refreshClaudeCode } from '../../../../../src/harness/claude-code/install/install.ts'
import { hashOf, removeFile, replaceFile } from '../../../../../src/harness/claude-code/install/settings-file.ts'
import { env, home, install, read, root, settings, uninstall, useUser, write } from './lab.ts'

useUser()

/** As people and programs write it: any indentation, line end and final newline, and not always canonical. */
const odd = [
  '{ "model": "x",  "permissions": {"allow": ["Bash(ls:*)"],\n "deny": []} }',
  '{"a": 1.0, "b": 12345678901234567890, "a": 2, "é": "\\u00e9\\ud83d"}\n\n',
  '{"hooks": {}, "permissions": {"allow": []}}',
  '{\n  "hooks": {"Stop": []}\n}',
  '\n',
  '',
  '{}',
]

test.each(odd)('uninstall - restores to the byte, however it was written: %j', async (text) => {
  writeFileSync(settings, text)
  chmodSync(settings, 0o640)
  install()
  install({ allow: true })
  expect(read().permissions.allow).toEqual(expect.arrayContaining([...permissionRules]))
  expect((await uninstall()).places).toEqual([{ path: settings, did: 'restored' }])
  expect(readFileSync(settings, 'utf8')).toBe(text)
  expect(statSync(settings).mode & 0o777).toBe(0o640)
  expect(readdirSync(env.MESH_HOME)).toEqual(['run'])
})

test('uninstall - a file that install made is removed, with its folder', async () => {
  rmSync(join(root, '.claude'), { recursive: true })
  install()
  expect((await uninstall()).places).toEqual([{ path: settings, did: 'removed' }])
  expect(existsSync(join(root, '.claude'))).toBe(false)
})

test('uninstall - a folder in use stays', async () => {
  rmSync(join(root, '.claude'), { recursive: true })
  install()
  writeFileSync(join(root, '.claude', 'notes'), '')
  await uninstall()
  expect(readdirSync(join(root, '.claude'))).toEqual(['notes'])
})

test('uninstall - links stay links, whether their file was there or not', async () => {
  const real = join(root, 'dotfiles', 'settings.json')
  symlinkSync(real, settings)
  install()
  await uninstall()
  expect([lstatSync(settings).isSymbolicLink(), existsSync(join(root, 'dotfiles'))]).toEqual([true, false])
  mkdirSync(join(root, 'dotfiles'))
  writeFileSync(real, odd[0]!)
  install()
  await uninstall()
  expect([lstatSync(settings).isSymbolicLink(), readFileSync(real, 'utf8')]).toEqual([true, odd[0]])
})

test('uninstall - foreign changes stay, also after another install', async () => {
  write({ model: 'x' })
  install({ allow: true })
  write({ ...read(), theme: 'dark' })
  install({ sidecarPath: '/new/sidecar.js' })
  expect((await uninstall()).places).toEqual([{ path: settings, did: 'edited' }])
  expect(read()).toEqual({ model: 'x', theme: 'dark' })
})

test('uninstall - a rule that the user had stays, and so does one put in afterwards', async () => {
  write({ permissions: { allow: ['Bash(mesh ps:*)', 'Read'] } })
  install({ allow: true })
  const edited = read()
  edited.permissions.allow.push('Bash(mesh run:*)')
  write(edited)
  await uninstall()
  expect(read()).toEqual({ permissions: { allow: ['Bash(mesh ps:*)', 'Read', 'Bash(mesh run:*)'] } })
})

test('uninstall - living sessions may go on with another form of the hooks', async () => {
  install()
  const dir = join(home().run, 'cc-7')
  mkdirSync(dir)
  for (const name of ['form', 'form-123', 'sock']) writeFileSync(join(dir, name), 'plugin')
  await uninstall()
  expect(readdirSync(dir)).toEqual(['sock'])
})

test('install - adds no permission rule unasked', () => {
  expect(install()).toMatchObject({ rulesAdded: [] })
  expect(read().permissions).toBeUndefined()
})

test('uninstall - without records only the hooks are taken out', async () => {
  write({ model: 'x' })
  install()
  rmSync(env.MESH_HOME, { recursive: true })
  expect((await uninstall()).places).toEqual([{ path: settings, did: 'edited' }])
  expect(read()).toEqual({ model: 'x' })
})

test('uninstall - damaged records count as none', async () => {
  write({ model: 'x' })
  install()
  for (const name of readdirSync(join(env.MESH_HOME, 'installs')))
    writeFileSync(join(env.MESH_HOME, 'installs', name), '{"path": 7')
  await uninstall()
  expect(read()).toEqual({ model: 'x' })
})

test('uninstall - an unreadable file is left and reported, the rest is done', async () => {
  const { project, local } = repository()
  install({ project })
  install()
  writeFileSync(settings, '{"half": ')
  const { places } = await uninstall()
  expect(places).toEqual([
    { path: settings, did: 'failed', error: expect.objectContaining({ code: 'bad_request' }) },
    { path: local, did: 'removed' },
  ])
  expect(readFileSync(settings, 'utf8')).toBe('{"half": ')
})

test('a file that changed meanwhile is neither overwritten nor removed', () => {
  write({ model: 'x' })
  const from = hashOf(readFileSync(settings))
  write({ model: 'y' })
  for (const act of [() => replaceFile(settings, '{}', from), () => removeFile(settings, from)])
    expect(act).toThrow(expect.objectContaining({ code: 'conflict' }))
  expect(read()).toEqual({ model: 'y' })
})

test('records are private and hold no more than they must', () => {
  write({ env: { TOKEN: 'secret' } })
  install()
  const dir = join(env.MESH_HOME, 'installs')
  const [name] = readdirSync(dir)
  expect([statSync(dir).mode & 0o777, statSync(join(dir, name!)).mode & 0o777]).toEqual([0o700, 0o600])
})

test('install - a dry run writes nothing', () => {
  const { files, merged } = install({ dryRun: true, allow: true })
  expect(files.map(({ path }) => path)).toEqual([join(home().hooks, 'claude-code.sh'), settings])
  expect(JSON.parse(files[1]!.text)).toEqual(merged)
  expect([existsSync(env.MESH_HOME), existsSync(settings)]).toEqual([false, false])
})

// --- one repository

function repository() {
  const project = join(root, 'shop')
  mkdirSync(join(project, '.git', 'objects'), { recursive: true })
  writeFileSync(join(project, '.git', 'HEAD'), 'ref: refs/heads/main\n')
  mkdirSync(join(project, 'src'))
  return { project, local: join(project, '.claude', 'settings.local.json') }
}

test('install --project - the settings of one person in one repository, from anywhere in it', async () => {
  const { project, local } = repository()
  expect(install({ project: join(project, 'src') }).settingsPath).toBe(local)
  expect(read(local).hooks.SessionStart).toHaveLength(1)
  expect(existsSync(settings)).toBe(false)
  expect((await uninstall()).places).toEqual([{ path: local, did: 'removed' }])
  expect(readdirSync(project).toSorted()).toEqual(['.git', 'src'])
})

test('uninstall - without records, in the repository', async () => {
  const { project, local } = repository()
  install({ project })
  rmSync(env.MESH_HOME, { recursive: true })
  expect((await uninstall(join(project, 'src'))).places).toEqual([{ path: local, did: 'edited' }])
})

test('install --project - not outside of a repository', () => {
  expect(() => install({ project: root })).toThrow(expect.objectContaining({ code: 'bad_request' }))
})

test.each(['.claude', '.claude/settings.local.json'])('install --project - does not follow a link: %s', (link) => {
  const { project } = repository()
  const outside = join(root, 'outside')
  mkdirSync(outside)
  if (link.includes('/')) mkdirSync(join(project, '.claude'))
  symlinkSync(link.includes('/') ? join(outside, 'x.json') : outside, join(project, link))
  expect(() => install({ project })).toThrow(expect.objectContaining({ code: 'denied' }))
  expect(readdirSync(outside)).toEqual([])
})

test('uninstall - a repository whose settings became a link to elsewhere is left', async () => {
  const { project, local } = repository()
  install({ project })
  write(read(local), settings)
  const text = readFileSync(settings, 'utf8')
  rmSync(local)
  symlinkSync(settings, local)
  env.HOME = join(root, 'elsewhere')
  expect((await uninstall()).places).toEqual([{ path: local, did: 'failed', error: expect.anything() }])
  expect(readFileSync(settings, 'utf8')).toBe(text)
})

// --- after an upgrade

test("refresh - an older version's files are brought up to date, and nothing is added", async () => {
  const { project, local } = repository()
  const packageDir = fileURLToPath(new URL('../../../../..', import.meta.url))
  const refresh = () =>
    refreshClaudeCode({ env, home: home(), sidecarPath: '/new/sidecar.js', nodePath: '/usr/bin/node', packageDir })
  expect(refresh()).toEqual([])
  expect([existsSync(env.MESH_HOME), existsSync(settings)]).toEqual([false, false])
  install({ project })
  const old = readFileSync(local, 'utf8').replaceAll('exit 0 # mesh', 'true; exit 0 # mesh')
  writeFileSync(local, old)
  expect(refresh().toSorted()).toEqual([join(home().hooks, 'claude-code.sh'), local].toSorted())
  expect(readFileSync(local, 'utf8')).not.toContain('true; exit 0')
  expect(existsSync(settings)).toBe(false)
  expect(refresh()).toEqual([])
})
