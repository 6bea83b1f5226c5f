/** What nobody else removes from a mesh home. */
import { existsSync, mkdirSync, readdirSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { sweepLeftovers } from '../../../src/daemon/disk/session-dir.ts'
import { type Home, meshHome } from '../../../src/host/home.ts'
import { tryLock } from '../../../src/host/lock.ts'
import { temporaryDir } from '../../support/engine.ts'

const NOW = Date.now()
const DAY_MS = 86_400_000
const DEAD = 'cc-1999999999'
const ALIVE = `cc-${process.pid}`

let temporary: { path: string; remove: () => void }
let home: Home
beforeEach(() => {
  temporary = temporaryDir()
  home = meshHome({ MESH_HOME: temporary.path })
  mkdirSync(join(home.root, 'logs'))
})
afterEach(() => temporary.remove())

function directory(key: string, files: string[], days = 0): string {
  const dir = join(home.run, key)
  mkdirSync(join(dir, 'spool'), { recursive: true })
  for (const file of files) writeFileSync(join(dir, file), '')
  for (const path of [...readdirSync(dir).map((name) => join(dir, name)), dir]) age(path, days)
  return dir
}

function log(name: string, days: number): void {
  const path = join(home.root, 'logs', name)
  writeFileSync(path, '')
  age(path, days)
}

function age(path: string, days: number): void {
  utimesSync(path, NOW / 1000, (NOW - days * DAY_MS) / 1000)
}

function left(): string[] {
  sweepLeftovers(home, NOW)
  return existsSync(home.run) ? readdirSync(home.run) : []
}

test.each<[string, string, string[], number]>([
  ['a dead client', DEAD, ['loop'], 0],
  ['a pid that came round', ALIVE, ['loop'], 2],
  ['an operator', 'op-0123456789abcdef', ['stderr'], 2],
])('the directory of %s whose sidecar never got far goes', (_, key, files, days) => {
  directory(key, files, days)
  expect(left()).toEqual([])
})

test.each<[string, string, string[], number]>([
  ['a client that starts', ALIVE, ['loop'], 0],
  ['an operator that starts', 'op-0123456789abcdef', ['stderr'], 0],
  ['a session that a witness has to tell of', DEAD, ['sidecar.json'], 9],
  ['nobody', 'witness', [], 9],
])('the directory of %s stays', (_, key, files, days) => {
  directory(key, files, days)
  expect(left()).toEqual([key])
})

test('a client that starts in an old directory keeps it', () => {
  const dir = directory(ALIVE, [], 2)
  writeFileSync(join(dir, 'spool', 'SessionStart-1.json'), '{}')
  age(dir, 2)
  expect(left()).toEqual([ALIVE])
})

test('a directory that a sidecar has locked stays', () => {
  const dir = directory(DEAD, [])
  const lock = tryLock(join(dir, 'lock'))!
  age(dir, 2)
  expect(left()).toEqual([DEAD])
  lock.release()
  expect(left()).toEqual([])
})

test('logs go a week after the session', () => {
  directory(ALIVE, ['sidecar.json'], 9)
  for (const name of [`${ALIVE}.log`, `${ALIVE}.log.1`, 'cc-1.log', 'cc-1.log.1']) log(name, 8)
  log('cc-2.log', 6)
  sweepLeftovers(home, NOW)
  expect(readdirSync(join(home.root, 'logs')).toSorted()).toEqual(
    [`${ALIVE}.log`, `${ALIVE}.log.1`, 'cc-2.log'].toSorted(),
  )
})
