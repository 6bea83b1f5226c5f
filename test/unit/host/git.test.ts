import { execFileSync } from 'node:child_process'
import { mkdirSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { readRepository } from '../../../src/host/repository/git.ts'
import { scrubbedEnv, temporaryDir } from '../../support/engine.ts'

let temporary: { path: string; remove: () => void }
const at = (...parts: string[]) => join(realpathSync(temporary.path), ...parts)

const identity = ['-c', 'user.name=t', '-c', 'user.email=t@example.com', '-c', 'protocol.file.allow=always']

function git(cwd: string, ...args: string[]): string {
  const env = scrubbedEnv({ GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_NOSYSTEM: '1' })
  return execFileSync('git', [...identity, ...args], { cwd, env, encoding: 'utf8', stdio: 'pipe' }).trim()
}

function makeRepository(name: string, branch = 'main'): string {
  const path = at(name)
  mkdirSync(path, { recursive: true })
  git(path, 'init', '-q', '-b', branch)
  git(path, 'commit', '-q', '--allow-empty', '-m', 'first')
  return path
}

/** What git itself says, in the same words. */
function asGitSees(cwd: string) {
  const commonDir = git(cwd, 'rev-parse', '--path-format=absolute', '--git-common-dir')
  const gitDir = git(cwd, 'rev-parse', '--path-format=absolute', '--git-dir')
  return {
    topLevel: git(cwd, 'rev-parse', '--show-toplevel'),
    commonDir: realpathSync(commonDir),
    gitDir: realpathSync(gitDir),
  }
}

beforeEach(() => {
  temporary = temporaryDir()
})
afterEach(() => temporary.remove())

test('readRepository - from a directory below the top', () => {
  const repository = makeRepository('api', 'feature/login')
  const below = join(repository, 'src', 'deep')
  mkdirSync(below, { recursive: true })
  git(repository, 'remote', 'add', 'origin', 'git@example.com:team/api.git')
  const found = readRepository(below)
  expect(found).toEqual({ ...asGitSees(below), branch: 'feature/login', remote: 'git@example.com:team/api.git' })
})

test('readRepository - through a symbolic link, the real path', () => {
  const repository = makeRepository('api')
  symlinkSync(repository, at('link'))
  expect(readRepository(at('link'))).toMatchObject(asGitSees(repository))
})

test('readRepository - a worktree shares the common directory and has its own branch', () => {
  const repository = makeRepository('api')
  git(repository, 'worktree', 'add', '-q', '-b', 'wt', at('elsewhere'))
  expect(readRepository(at('elsewhere'))).toEqual({ ...asGitSees(at('elsewhere')), branch: 'wt', remote: null })
  expect(readRepository(at('elsewhere'))?.commonDir).toBe(readRepository(repository)?.commonDir)
})

test('readRepository - a worktree of a bare repository', () => {
  const repository = makeRepository('api')
  git(repository, 'clone', '-q', '--bare', repository, at('bare.git'))
  git(at('bare.git'), 'worktree', 'add', '-q', '-b', 'wt', at('tree'))
  expect(readRepository(at('tree'))).toEqual({ ...asGitSees(at('tree')), branch: 'wt', remote: repository })
  expect(readRepository(at('bare.git'))).toBe(null)
})

test('readRepository - a submodule is its own repository', () => {
  const library = makeRepository('library')
  const repository = makeRepository('api')
  git(repository, 'submodule', '--quiet', 'add', library, 'vendor/library')
  const inside = join(repository, 'vendor', 'library')
  expect(readRepository(inside)).toMatchObject({ ...asGitSees(inside), remote: library })
  expect(readRepository(dirname(inside))?.topLevel).toBe(repository)
})

test('readRepository - a detached HEAD has no branch', () => {
  const repository = makeRepository('api')
  git(repository, 'checkout', '-q', '--detach')
  expect(readRepository(repository)?.branch).toBe(null)
})

test('readRepository - origin before others, else the first remote of the file', () => {
  const repository = makeRepository('api')
  git(repository, 'remote', 'add', 'zeta', 'https://example.com/z.git')
  git(repository, 'remote', 'add', 'alpha', 'https://example.com/a.git')
  expect(readRepository(repository)?.remote).toBe('https://example.com/z.git')
  git(repository, 'remote', 'add', 'origin', 'https://example.com/o.git')
  expect(readRepository(repository)?.remote).toBe('https://example.com/o.git')
})

test.each([
  ['[remote "origin"]\n\turl = https://example.com/a.git ; a comment\n', 'https://example.com/a.git'],
  ['[REMOTE "origin"] URL="https://example.com/a b#c"\n', 'https://example.com/a b#c'],
  ['[remote "origin"]\nurl = https://example.com/\\\na.git\n', 'https://example.com/a.git'],
  ['[remote.origin]\r\nurl = x:y\r\n', 'x:y'],
  ['[remote "or\\"i"]\nurl = "a\\\\b"\n', 'a\\b'],
  ['[remote "origin"]\nurl = one\nurl = two\n', 'one'],
  ['[remote "origin"]\npushurl = one\n[branch "x"]\nurl = two\n', null],
])('readRepository - the configuration %j', (config, remote) => {
  const repository = makeRepository('api')
  writeFileSync(join(repository, '.git', 'config'), `[core]\n\trepositoryformatversion = 0\n${config}`)
  if (remote !== null && !config.includes('two')) {
    expect(git(repository, 'config', '--get-regexp', '^remote\\..*\\.url$').split(' ').slice(1).join(' ')).toBe(remote)
  }
  expect(readRepository(repository)?.remote).toBe(remote)
})

test('readRepository - null outside, and in directories that only look like a repository', () => {
  mkdirSync(at('plain', '.git'), { recursive: true })
  mkdirSync(at('file'))
  writeFileSync(at('file', '.git'), 'gitdir: /nonexistent\n')
  expect(readRepository(at())).toBe(null)
  expect(readRepository(at('plain'))).toBe(null)
  expect(readRepository(at('file'))).toBe(null)
  expect(readRepository(at('nowhere'))).toBe(null)
})

test('readRepository - a huge configuration is not read', () => {
  const repository = makeRepository('api')
  writeFileSync(join(repository, '.git', 'config'), `[remote "origin"]\nurl = x:y\n${'#'.repeat(1024 * 1024)}\n`)
  expect(readRepository(repository)?.remote).toBe(null)
})
