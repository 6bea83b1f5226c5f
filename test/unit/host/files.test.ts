import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { ensurePrivateDir, readJson, readText, writeAtomic, writeNew } from '../../../src/host/files.ts'
import { temporaryDir } from '../../support/engine.ts'

let temporary: { path: string; remove: () => void }
const at = (...parts: string[]) => join(temporary.path, ...parts)

beforeEach(() => {
  temporary = temporaryDir()
})
afterEach(() => temporary.remove())

test('ensurePrivateDir - makes the directory and its parents for the owner only', () => {
  ensurePrivateDir(at('a', 'b'))
  expect(statSync(at('a', 'b')).mode & 0o777).toBe(0o700)
  expect(statSync(at('a')).mode & 0o777).toBe(0o700)
})

test('ensurePrivateDir - tightens a directory that others may read', () => {
  mkdirSync(at('open'))
  chmodSync(at('open'), 0o755)
  ensurePrivateDir(at('open'))
  expect(statSync(at('open')).mode & 0o777).toBe(0o700)
})

test.runIf(process.platform === 'linux')(
  'ensurePrivateDir - says so where nothing can be made, and does not hang',
  () => {
    expect(() => ensurePrivateDir('/proc/mesh/run')).toThrow('cannot be made')
  },
)

test('ensurePrivateDir - refuses a symbolic link and a file', () => {
  mkdirSync(at('real'))
  symlinkSync(at('real'), at('link'))
  writeFileSync(at('file'), '')
  expect(() => ensurePrivateDir(at('link'))).toThrowError(expect.objectContaining({ code: 'denied' }))
  expect(() => ensurePrivateDir(at('file'))).toThrowError(expect.objectContaining({ code: 'denied' }))
})

test('ensurePrivateDir - refuses a directory of another user', () => {
  const isRoot = process.getuid?.() === 0
  mkdirSync(at('theirs'))
  if (isRoot) chownSync(at('theirs'), 1, 1)
  expect(() => ensurePrivateDir(isRoot ? at('theirs') : '/')).toThrowError(expect.objectContaining({ code: 'denied' }))
})

test('writeAtomic - replaces the content, 0600, and leaves nothing beside it', () => {
  writeAtomic(at('file'), 'one')
  writeAtomic(at('file'), Buffer.from('two'), { sync: true })
  expect(readFileSync(at('file'), 'utf8')).toBe('two')
  expect(statSync(at('file')).mode & 0o777).toBe(0o600)
  expect(readdirSync(at())).toEqual(['file'])
})

test('writeAtomic - a failure leaves no temporary file', () => {
  mkdirSync(at('dir'))
  expect(() => writeAtomic(at('dir'), 'x')).toThrow()
  expect(readdirSync(at())).toEqual(['dir'])
})

test('writeNew - the first wins, and the second changes nothing', () => {
  expect(writeNew(at('file'), 'one')).toBe(true)
  expect(writeNew(at('file'), 'two')).toBe(false)
  expect(readFileSync(at('file'), 'utf8')).toBe('one')
  expect(readdirSync(at())).toEqual(['file'])
})

test('readText - null for what is not a file, the text up to the limit, an error above it', () => {
  writeFileSync(at('file'), 'héllo')
  expect(readText(at('none'), 10)).toBe(null)
  expect(readText(at(), 10)).toBe(null)
  expect(readText(at('file', 'below'), 10)).toBe(null)
  expect(readText(at('file'), 6)).toBe('héllo')
  expect(() => readText(at('file'), 5)).toThrowError(expect.objectContaining({ code: 'too_large' }))
})

test('readText - does not hang on a FIFO', () => {
  spawnSync('mkfifo', [at('fifo')])
  expect(existsSync(at('fifo'))).toBe(true)
  expect(readText(at('fifo'), 10)).toBe(null)
})

test('readJson - undefined for what is absent, too large or not JSON', () => {
  writeFileSync(at('good'), '{"a":1}')
  writeFileSync(at('bad'), '{"a":')
  expect(readJson(at('good'), 100)).toEqual({ a: 1 })
  expect(readJson(at('bad'), 100)).toBe(undefined)
  expect(readJson(at('none'), 100)).toBe(undefined)
  expect(readJson(at('good'), 3)).toBe(undefined)
})
