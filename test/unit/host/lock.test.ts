import { closeSync, existsSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openHeld } from '../../../src/host/hold.ts'
import { foreignOwner, forgetLock, lock, lockOwner, tryLock } from '../../../src/host/lock.ts'
import { identifyProcess } from '../../../src/host/process/process.ts'
import { temporaryDir } from '../../support/engine.ts'

let temporary: { path: string; remove: () => void }
let path: string

beforeEach(() => {
  temporary = temporaryDir()
  path = join(temporary.path, 'lock')
})
afterEach(() => temporary.remove())

const me = { ...identifyProcess(process.pid)!, token: '0123456789abcdef' }

test('tryLock - one holder at a time, and nothing is left after release', () => {
  const held = tryLock(path)!
  expect(tryLock(path)).toBe(null)
  expect(lockOwner(path)).toEqual(identifyProcess(process.pid))
  held.release()
  expect(lockOwner(path)).toBe(null)
  expect(readdirSync(temporary.path)).toEqual([])
  expect(tryLock(path)).not.toBe(null)
})

test('release - a second one does not free the next holder', () => {
  const held = tryLock(path)!
  held.release()
  const next = tryLock(path)
  held.release()
  expect(next && lockOwner(path)).toEqual(identifyProcess(process.pid))
})

test('lock - times out with the holder named', async () => {
  tryLock(path)
  await expect(lock(path, 30)).rejects.toMatchObject({
    code: 'timeout',
    message: expect.stringContaining(String(process.pid)),
  })
})

test.each([
  ['a reused pid', JSON.stringify({ ...me, start: '1' })],
  ['an earlier boot', JSON.stringify({ ...me, boot: 'earlier' })],
  ['an empty file, after a power loss', ''],
  ['a hostile token', JSON.stringify({ ...me, token: '../../x' })],
])('tryLock - breaks the lock of %s', (_, content) => {
  writeFileSync(path, content)
  expect(lockOwner(path)).toBe(null)
  expect(tryLock(path)).not.toBe(null)
  expect(readdirSync(temporary.path)).toEqual(['lock'])
})

test('tryLock - respects the lock of another host', () => {
  writeFileSync(path, JSON.stringify({ ...me, host: 'elsewhere' }))
  expect(tryLock(path)).toBe(null)
  expect(lockOwner(path)?.host).toBe('elsewhere')
})

test('tryLock - a breaker that died at any step is replaced, and its files go', () => {
  const dead = (token: string) => JSON.stringify({ ...me, start: '1', token })
  writeFileSync(path, dead('a'.repeat(16)))
  writeFileSync(`${path}.break-${'a'.repeat(16)}`, dead('b'.repeat(16)))
  writeFileSync(`${path}.break-${'a'.repeat(16)}.break-${'b'.repeat(16)}`, dead('c'.repeat(16)))
  writeFileSync(`${path}.break-${'d'.repeat(16)}`, dead('e'.repeat(16)))
  writeFileSync(`${path}.tmp-${'f'.repeat(16)}`, dead('f'.repeat(16)))
  writeFileSync(`${path}.json`, dead('f'.repeat(16)))
  expect(tryLock(path)).not.toBe(null)
  expect(readdirSync(temporary.path).sort()).toEqual(['lock', 'lock.json'])
})

test('tryLock - while somebody alive breaks a dead lock, nobody else does', () => {
  writeFileSync(path, JSON.stringify({ ...me, start: '1', token: 'a'.repeat(16) }))
  writeFileSync(`${path}.break-${'a'.repeat(16)}`, JSON.stringify(me))
  expect(tryLock(path)).toBe(null)
  expect(existsSync(path)).toBe(true)
})

test('a lock of another host is named as such, with the way out', async () => {
  const held = tryLock(path)!
  expect(foreignOwner(path)).toBe(null)
  held.release()
  writeFileSync(path, JSON.stringify({ ...me, host: 'elsewhere' }))
  expect(foreignOwner(path)?.host).toBe('elsewhere')
  await expect(lock(path, 0)).rejects.toMatchObject({
    message: expect.stringContaining('on elsewhere'),
    hint: expect.stringContaining('mesh down, then mesh up'),
  })
})

test('forgetLock - what no process of this machine holds, whatever the machine was called', () => {
  const gone = { ...me, start: '1', host: 'elsewhere', token: 'a'.repeat(16) }
  writeFileSync(path, JSON.stringify(gone))
  writeFileSync(`${path}.break-${gone.token}`, JSON.stringify({ ...gone, token: 'b'.repeat(16) }))
  forgetLock(path)
  expect(readdirSync(temporary.path)).toEqual([])
  forgetLock(path)
  // Of this very process, from before the machine was renamed.
  writeFileSync(path, JSON.stringify({ ...me, host: 'elsewhere' }))
  forgetLock(path)
  expect(lockOwner(path)?.host).toBe('elsewhere')
  writeFileSync(path, JSON.stringify(me))
  forgetLock(path)
  expect(lockOwner(path)).toEqual(identifyProcess(process.pid))
})

test('tryLock - respects the lock of another process space as long as its holder has it open', () => {
  const theirs = { ...me, space: 'pid:[1]', start: '1' }
  writeFileSync(path, JSON.stringify(theirs))
  expect(tryLock(path)).toBe(null)
  expect(foreignOwner(path)?.space).toBe('pid:[1]')
  forgetLock(path)
  expect(existsSync(path)).toBe(true)
})

test.skipIf(process.platform !== 'linux')('tryLock - breaks the lock of another space once its holder is dead', () => {
  const holder = openHeld(path)!
  writeFileSync(path, JSON.stringify({ ...me, space: 'pid:[1]', held: true }))
  expect(tryLock(path)).toBe(null)
  closeSync(holder.fd)
  expect(lockOwner(path)).toBe(null)
  expect(tryLock(path)).not.toBe(null)
})
