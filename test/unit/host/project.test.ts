import { mkdirSync, realpathSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Home, meshHome } from '../../../src/host/home.ts'
import { allowProject, resolvePlace } from '../../../src/host/repository/project.ts'
import { parseRemote } from '../../../src/host/repository/remote.ts'
import { isName } from '../../../src/wire/names.ts'
import { isProject } from '../../../src/wire/subjects.ts'
import { temporaryDir } from '../../support/engine.ts'

let temporary: { path: string; remove: () => void }
let home: Home
const at = (...parts: string[]) => join(realpathSync(temporary.path), ...parts)

function makeRepository(name: string, options: { remote?: string; branch?: string; file?: unknown } = {}): string {
  const gitDir = at(name, '.git')
  mkdirSync(join(gitDir, 'objects'), { recursive: true })
  writeFileSync(join(gitDir, 'HEAD'), `ref: refs/heads/${options.branch ?? 'main'}\n`)
  if (options.remote) writeFileSync(join(gitDir, 'config'), `[remote "origin"]\n\turl = ${options.remote}\n`)
  if (options.file) writeFileSync(at(name, '.mesh.json'), JSON.stringify(options.file))
  return at(name)
}

const written = (url: string, base: string) => {
  const { host, path } = parseRemote(url, base)
  return host === '' ? path : `${host}/${path}`
}
const projectOf = (cwd: string) => resolvePlace({}, cwd, home).project

beforeEach(() => {
  temporary = temporaryDir()
  home = meshHome({ MESH_HOME: at('home') })
})
afterEach(() => temporary.remove())

test.each([
  'https://github.com/Team/Api.git',
  'https://user:secret@github.com/Team/Api',
  'https://GitHub.com:443/Team/Api.git/',
  'git@github.com:Team/Api.git',
  'github.com:Team/Api',
  'ssh://git@github.com:22/Team/Api.git',
  'git://github.com/Team/Api.git',
])('parseRemote - all forms of one repository are one: %s', (url) => {
  expect(written(url, '/')).toBe('github.com/Team/Api')
})

test('parseRemote - paths of this machine, absolute and relative, and IPv6 hosts', () => {
  expect(written('/srv/git/api.git', '/')).toBe('/srv/git/api')
  expect(written('file:///srv/git/api.git', '/')).toBe('/srv/git/api')
  expect(written('../api.git', '/srv/git/web')).toBe('/srv/git/api')
  expect(written('ssh://git@[::1]:22/api.git', '/')).toBe('[::1]/api')
})

test('resolvePlace - clones by different URLs agree, other repositories do not', () => {
  const https = makeRepository('one', { remote: 'https://github.com/Team/Api.git' })
  const ssh = makeRepository('two', { remote: 'git@github.com:Team/Api.git' })
  const other = makeRepository('three', { remote: 'git@github.com:Other/Api.git' })
  expect(projectOf(https)).toMatch(/^api-[0-9a-f]{8}$/)
  expect(projectOf(ssh)).toBe(projectOf(https))
  expect(projectOf(other)).not.toBe(projectOf(https))
})

test('resolvePlace - without a remote the common directory decides, without a repository the directory', () => {
  const [one, two] = [makeRepository('a/web'), makeRepository('b/web')]
  mkdirSync(at('plain', 'My Work!'), { recursive: true })
  expect(projectOf(one)).toMatch(/^web-[0-9a-f]{8}$/)
  expect(projectOf(two)).not.toBe(projectOf(one))
  expect(resolvePlace({}, at('plain', 'My Work!'), home)).toEqual({
    project: expect.stringMatching(/^my-work-[0-9a-f]{8}$/),
    worktree: at('plain', 'My Work!'),
    defaultName: 'my-work',
  })
})

test('resolvePlace - ids and names are valid whatever the directory is called', () => {
  for (const name of ['日本語', '-', 'x'.repeat(200), 'm_1', '...']) {
    mkdirSync(at('plain', name === '...' ? 'dots...' : name), { recursive: true })
    const place = resolvePlace({}, at('plain', name === '...' ? 'dots...' : name), home)
    expect([isProject(place.project), isName(place.defaultName)]).toEqual([true, true])
  }
})

test('resolvePlace - the default name is the branch, on a trunk the worktree', () => {
  const name = (branch: string) => resolvePlace({}, makeRepository('api', { branch }), home).defaultName
  expect(name('main')).toBe('api')
  expect(name('develop')).toBe('api')
  expect(name('fix/Login_Form')).toBe('fix-login_form')
})

test('resolvePlace - MESH_PROJECT comes first, and must be a project id', () => {
  const repository = makeRepository('api', { file: { project: 'committed' } })
  expect(resolvePlace({ MESH_PROJECT: 'mine' }, repository, home).project).toBe('mine')
  expect(() => resolvePlace({ MESH_PROJECT: 'My Project' }, repository, home)).toThrowError(
    expect.objectContaining({ code: 'bad_name', hint: expect.stringContaining('my-project') }),
  )
})

test('resolvePlace - a committed file names the project, from any directory below', () => {
  const repository = makeRepository('api', { remote: 'x:y', file: { project: 'shop', other: 1 } })
  mkdirSync(join(repository, 'src'))
  expect(projectOf(join(repository, 'src'))).toBe('shop')
})

test('resolvePlace - a committed file that is wrong is an error, not another project', () => {
  expect(() => projectOf(makeRepository('a', { file: { project: 'Shop.>' } }))).toThrowError(
    expect.objectContaining({ code: 'bad_name' }),
  )
  expect(() => projectOf(makeRepository('b', { file: ['shop'] }))).toThrowError(
    expect.objectContaining({ code: 'bad_request' }),
  )
  expect(projectOf(makeRepository('c', { file: { other: 1 } }))).toMatch(/^c-/)
})

test("resolvePlace - another repository's project is joined only after it was allowed", () => {
  const target = projectOf(makeRepository('target', { remote: 'git@github.com:bank/core.git' }))
  const intruder = makeRepository('intruder', { remote: 'git@github.com:x/y.git', file: { project: target } })
  const denied = expect.objectContaining({ code: 'denied', hint: expect.stringContaining('mesh project allow') })
  expect(() => projectOf(intruder)).toThrowError(denied)
  allowProject(home, intruder, target)
  expect(projectOf(intruder)).toBe(target)
  expect(statSync(join(home.root, 'allowed.json')).mode & 0o777).toBe(0o600)
  const second = makeRepository('second', { file: { project: target } })
  expect(() => projectOf(second)).toThrowError(denied)
})

test('resolvePlace - a repository may commit its own derived id', () => {
  const remote = 'git@github.com:x/y.git'
  const project = projectOf(makeRepository('plain', { remote }))
  expect(projectOf(makeRepository('same', { remote, file: { project } }))).toBe(project)
})

test('resolvePlace - a project file may ask to hold or refuse messages, and nothing else', () => {
  expect(resolvePlace({}, makeRepository('held', { file: { inbound: 'hold' } }), home).inbound).toBe('hold')
  expect(resolvePlace({}, makeRepository('plain', { file: { project: 'shop' } }), home)).not.toHaveProperty('inbound')
  const wrong = makeRepository('wrong', { file: { inbound: 'deny' } })
  expect(() => resolvePlace({}, wrong, home)).toThrow('inbound must be accept, hold, refuse')
})
