/** One repository under the spellings that git and ssh themselves take for one; and folders whose project changes. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Env, type Home, meshHome } from '../../../src/host/home.ts'
import { readRepository } from '../../../src/host/repository/git.ts'
import { changedProject } from '../../../src/host/repository/places.ts'
import { resolvePlace } from '../../../src/host/repository/project.ts'
import { sameRemote } from '../../../src/host/repository/remote.ts'
import { scrubbedEnv, temporaryDir } from '../../support/engine.ts'

let temporary: { path: string; remove: () => void }
let home: Home
let env: Env
const at = (...parts: string[]) => join(realpathSync(temporary.path), ...parts)

beforeEach(() => {
  temporary = temporaryDir()
  home = meshHome({ MESH_HOME: at('mesh') })
  env = { HOME: at('user'), GIT_CONFIG_NOSYSTEM: '1' }
  mkdirSync(at('user', '.ssh', 'more'), { recursive: true })
})
afterEach(() => temporary.remove())

function git(cwd: string, ...args: string[]): string {
  return execFileSync('git', args, { cwd, env: scrubbedEnv({ ...env }), encoding: 'utf8', stdio: 'pipe' }).trim()
}

function repository(name: string, url?: string): string {
  mkdirSync(at(name), { recursive: true })
  git(at(name), 'init', '-q')
  if (url !== undefined) git(at(name), 'remote', 'add', 'origin', url)
  return at(name)
}

const remoteOf = (path: string) => sameRemote(readRepository(path)!, env)
const projectOf = (path: string) => resolvePlace(env, path, home).project

function write(path: string, text: string): string {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
  return path
}

test.each([
  'https://github.com/org/shop',
  'git@github.com:Org/Shop.git',
  'ssh://git@ssh.github.com:443/org/shop.git',
  'git@work:org/shop.git',
  'ssh://git@deep/org/shop',
  'gh:shop',
])('one project: %s', (url) => {
  write(
    at('user', '.ssh', 'config'),
    'Include more/*\nHost other !work\n  HostName example.com\nHost w*k\n  HostName=github.com\n',
  )
  write(at('user', '.ssh', 'more', 'a.conf'), 'Host deep\n\tHostname GitHub.com\n')
  write(
    at('user', '.gitconfig'),
    '[url "https://github.com/"]\n insteadOf = gh:\n[url "git@github.com:org/"]\n insteadOf = "gh:"\n[url "git@github.com:org/s"]\n insteadOf = gh:s\n',
  )
  expect(remoteOf(repository('clone', url))).toBe('github.com/org/shop')
})

test('includes, conditions and the worktree’s own configuration count as they do for git', () => {
  const cases: [string, (dir: string) => unknown][] = [
    [
      'included',
      (dir) =>
        git(dir, 'config', 'include.path', write(at('included', '.git', 'more'), '[remote "origin"]\n url = x:a/b\n')),
    ],
    [
      'relative',
      (dir) => [
        write(at('relative', '.git', 'more'), '[remote "origin"]\n url = x:a/b\n'),
        git(dir, 'config', 'include.path', 'more'),
      ],
    ],
    [
      'placed',
      () =>
        write(at('user', '.gitconfig'), `[includeIf "gitdir:${at('placed')}/"]\n path = ~/more\n`) &&
        write(at('user', 'more'), '[remote "origin"]\n url = x:a/b\n'),
    ],
    [
      'worktree',
      (dir) => [
        git(dir, 'config', 'extensions.worktreeConfig', 'true'),
        git(dir, 'config', '--worktree', 'remote.origin.url', 'x:a/b'),
      ],
    ],
  ]
  for (const [name, prepare] of cases) {
    const dir = repository(name)
    prepare(dir)
    expect([name, git(dir, 'config', 'remote.origin.url')]).toEqual([name, 'x:a/b'])
    expect([name, remoteOf(dir)]).toEqual([name, 'x/a/b'])
  }
  expect(remoteOf(repository('elsewhere'))).toBeNull()
})

test('other hosts keep the case of their paths; a file that includes itself ends', () => {
  expect(remoteOf(repository('one', 'git@git.example.com:Team/Api.git'))).toBe('git.example.com/Team/Api')
  const dir = repository('loop')
  git(dir, 'remote', 'add', 'origin', 'x:y')
  git(dir, 'config', 'include.path', 'config')
  expect(remoteOf(dir)).toBe('x/y')
})

test('clones of a work of this machine are works of their own; clones of a bare repository are one', () => {
  const template = repository('template')
  const bare = at('bare.git')
  execFileSync('git', ['init', '-q', '--bare', bare])
  expect(projectOf(repository('a', template))).not.toBe(projectOf(repository('b', template)))
  expect(projectOf(repository('c', bare))).toBe(projectOf(repository('d', bare)))
})

test('a project that was used before keeps its id, and the one of the other spellings is named', () => {
  const [plain, alias] = [
    repository('plain', 'https://github.com/org/shop'),
    repository('alias', 'https://github.com/Org/Shop'),
  ]
  const project = projectOf(plain)
  expect(projectOf(alias)).toBe(project)
  // As 0.1.0 derives it: of the letters as written.
  const first = 'shop-08709cdf'
  mkdirSync(join(home.projects, first), { recursive: true })
  expect(resolvePlace(env, alias, home)).toMatchObject({ project: first })
  expect(resolvePlace(env, alias, home).alike).toBeUndefined()
  mkdirSync(join(home.projects, project))
  expect(resolvePlace(env, alias, home)).toMatchObject({ project: first, alike: project })
  write(join(alias, '.mesh.json'), JSON.stringify({ project }))
  expect(projectOf(alias)).toBe(project)
  expect(projectOf(plain)).toBe(project)
})

test('a folder whose project changed is named once, and not before anybody hears it', () => {
  mkdirSync(home.root)
  expect(changedProject(home, '/work', 'a')).toBeNull()
  expect(changedProject(home, '/work', 'b', false)).toBeNull()
  expect(changedProject(home, '/work', 'b')).toBe('a')
  expect(changedProject(home, '/work', 'b')).toBeNull()
  for (let n = 0; n < 1100; n++) changedProject(home, `/w${n}`, 'a')
  expect(Object.keys(JSON.parse(readFileSync(join(home.root, 'places.json'), 'utf8')))).toHaveLength(1000)
})
