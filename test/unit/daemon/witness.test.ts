import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { readRecord, writeRecord } from '../../../src/daemon/disk/session-dir.ts'
import { Witness } from '../../../src/daemon/witness/witness.ts'
import { type Home, meshHome, socketPath } from '../../../src/host/home.ts'
import { tryLock } from '../../../src/host/lock.ts'
import { createLogger } from '../../../src/host/log.ts'
import { identifyProcess } from '../../../src/host/process/process.ts'
import { temporaryDir } from '../../support/engine.ts'

vi.mock('../../../src/host/lock.ts', async (original) => {
  const real = await original<typeof import('../../../src/host/lock.ts')>()
  return { ...real, tryLock: vi.fn(real.tryLock) }
})

vi.mock('../../../src/daemon/disk/session-dir.ts', async (original) => {
  const real = await original<typeof import('../../../src/daemon/disk/session-dir.ts')>()
  return { ...real, readRecord: vi.fn(real.readRecord) }
})

/** Some looks at a session that may come back. */
const LOOKS_MS = 700

let temporary: { path: string; remove: () => void }
let home: Home
let witness: Witness
beforeEach(() => {
  temporary = temporaryDir()
  home = meshHome({ MESH_HOME: temporary.path })
  mkdirSync(home.run)
  const log = createLogger('silent', () => {})
  witness = new Witness({
    home,
    key: 'op-me',
    log,
    name: () => 'me',
    store: () => null,
    readRecord: () => null,
    notifyPeople: async () => {},
  })
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
  // Half of 50, 100, 200, 400 and 800 ms at least; every 50 ms it would be about 0.3 s.
  expect(performance.now() - since).toBeGreaterThan(750)
})

test('the holder of the post sweeps', async () => {
  mkdirSync(join(home.run, 'cc-1999999999'))
  witness.start()
  await expect.poll(() => readdirSync(home.run)).not.toContain('cc-1999999999')
  expect(existsSync(socketPath(join(home.run, 'witness')))).toBe(true)
})

test('a session of another host is looked at once: nobody here can tell its end', async () => {
  const theirs = { ...identifyProcess(process.pid)!, host: 'elsewhere' }
  const [dir, at] = [join(home.run, 'op-theirs'), new Date().toISOString()]
  mkdirSync(dir)
  const session = { name: 'they', epoch: 1, project: 'p', harness: 'shell', sessionId: 's', version: '0.1.0' }
  writeRecord(dir, { ...session, sidecar: theirs, process: theirs, pid: process.pid, startedAt: at })
  const looks = () => vi.mocked(readRecord).mock.calls.filter(([, key]) => key === 'op-theirs').length
  witness.start()
  await expect.poll(looks).toBeGreaterThan(0)
  await new Promise((resolve) => setTimeout(resolve, LOOKS_MS))
  expect(looks()).toBe(1)
})
