import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pino } from 'pino'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Witness } from '../../src/daemon/witness.ts'
import { type Home, meshHome, socketPath } from '../../src/host/home.ts'
import { tryLock } from '../../src/host/lock.ts'
import { identifyProcess } from '../../src/host/process.ts'
import { temporaryDir } from '../support/engine.ts'

vi.mock('../../src/host/lock.ts', async (original) => {
  const real = await original<typeof import('../../src/host/lock.ts')>()
  return { ...real, tryLock: vi.fn(real.tryLock) }
})

let temporary: { path: string; remove: () => void }
let home: Home
let witness: Witness
beforeEach(() => {
  temporary = temporaryDir()
  home = meshHome({ MESH_HOME: temporary.path })
  mkdirSync(home.run)
  const log = pino({ enabled: false })
  witness = new Witness({ home, key: 'op-me', log, name: () => 'me', store: () => null })
})
afterEach(() => {
  witness.stop()
  temporary.remove()
})

test('a post that another host holds is sought ever more seldom', async () => {
  const holder = { ...identifyProcess(process.pid)!, host: 'elsewhere', token: 'a'.repeat(16) }
  writeFileSync(join(home.run, 'witness.lock'), JSON.stringify(holder))
  const since = performance.now()
  witness.start()
  await expect.poll(() => vi.mocked(tryLock).mock.calls.length, { timeout: 10_000 }).toBe(6)
  // Half of 100, 200, 400, 800 and 1600 ms at least; every 50 ms it would be 0.4 s at most.
  expect(performance.now() - since).toBeGreaterThan(1500)
})

test('the holder of the post sweeps', async () => {
  mkdirSync(join(home.run, 'cc-1999999999'))
  witness.start()
  await expect.poll(() => readdirSync(home.run)).not.toContain('cc-1999999999')
  expect(existsSync(socketPath(join(home.run, 'witness')))).toBe(true)
})
