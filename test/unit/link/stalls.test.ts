/** An engine that stores nothing: noticed with the first refusal of anything, and restarted once there is space. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { MeshError } from '../../../src/errors.ts'
import { meshHome } from '../../../src/host/home.ts'
import { createLogger } from '../../../src/host/log.ts'

const MIB = 1024 * 1024
const machine = vi.hoisted(() => ({ free: 0, pid: 1, restarts: 0 }))
vi.mock('node:fs', async (original) => ({
  ...(await original<typeof import('node:fs')>()),
  statfsSync: () => ({ bavail: machine.free, bsize: 1 }),
}))
vi.mock('../../../src/engine/engine.ts', () => ({
  engineStatus: () => ({ running: true, pid: machine.pid }),
  restartEngine: async (_home: object, _env: object, pid: number) => {
    if (pid === machine.pid) machine.restarts++
  },
}))
const { Stalls } = await import('../../../src/link/stalls.ts')

const timeout = new MeshError('timeout', 'the engine did not answer in time')
const noAnswer = new MeshError('mesh_down', 'the engine cannot be reached')
const full = new MeshError('store_full', 'no space left on device')
let stalls: InstanceType<typeof Stalls>

beforeEach(() => {
  vi.useFakeTimers()
  Object.assign(machine, { free: 1024 * MIB, pid: 1, restarts: 0 })
  stalls = new Stalls({ home: meshHome({ MESH_HOME: '/nowhere' }), env: {}, log: createLogger('silent', () => {}) })
  stalls.connected(1)
})
afterEach(() => {
  stalls.stop()
  vi.useRealTimers()
})

test.each([
  ['does not answer', timeout],
  ['says that it is full', full],
  ['has ended JetStream', noAnswer],
])('stalls - a bucket whose engine %s on a full disk is enough: with space again it is restarted', (_, error) => {
  machine.free = MIB
  stalls.begins('KV_claims')
  stalls.refused('KV_claims', error)
  vi.advanceTimersByTime(60_000)
  expect(machine.restarts).toBe(0)
  machine.free = 100 * MIB
  vi.advanceTimersByTime(500)
  expect(machine.restarts).toBe(1)
})

test('stalls - space that was freed while a write waited for its answer does not hide that it was short', () => {
  machine.free = MIB
  stalls.begins('KV_tasks')
  machine.free = 1024 * MIB
  vi.advanceTimersByTime(2000)
  stalls.refused('KV_tasks', timeout)
  expect(machine.restarts).toBe(1)
})

test('stalls - a write that the full disk left without an answer is not waited for once there is space', () => {
  machine.free = MIB
  stalls.begins('KV_tasks')
  stalls.begins('KV_claims')
  stalls.answered('KV_claims')
  vi.advanceTimersByTime(800)
  machine.free = 1024 * MIB
  vi.advanceTimersByTime(500)
  expect(machine.restarts).toBe(1)
})

test('stalls - writes that are answered on a full disk restart nothing', () => {
  machine.free = MIB
  stalls.begins('KV_tasks')
  stalls.stored('KV_tasks')
  stalls.begins('KV_claims')
  stalls.answered('KV_claims')
  vi.advanceTimersByTime(5000)
  machine.free = 1024 * MIB
  vi.advanceTimersByTime(5000)
  expect(machine.restarts).toBe(0)
})

test('stalls - a stream that has stored since the disk was short is only slow, and others are judged alone', () => {
  machine.free = MIB
  stalls.begins('KV_tasks')
  machine.free = 1024 * MIB
  stalls.stored('KV_tasks')
  vi.advanceTimersByTime(1)
  stalls.refused('KV_tasks', timeout)
  expect(machine.restarts).toBe(0)
  stalls.refused('KV_claims', timeout)
  expect(machine.restarts).toBe(1)
})

test('stalls - what takes nothing for ten seconds is restarted without a full disk, failures an hour apart are not', () => {
  for (const wait of [3_600_000, 3_600_000, 0]) {
    stalls.refused('KV_tasks', timeout)
    vi.advanceTimersByTime(wait)
  }
  expect(machine.restarts).toBe(0)
  for (let i = 0; i < 6; i++) {
    vi.advanceTimersByTime(2000)
    stalls.refused('KV_tasks', timeout)
  }
  expect(machine.restarts).toBe(1)
})

test('stalls - while it waits for space a write to the stalled stream is refused at once, other streams go on', () => {
  machine.free = 20 * MIB
  stalls.refused('KV_claims', timeout)
  expect(() => stalls.begins('KV_claims')).toThrow(expect.objectContaining({ code: 'store_full' }))
  expect(() => stalls.begins('KV_tasks')).not.toThrow()
  machine.free = MIB
  expect(() => stalls.begins('KV_tasks')).toThrow(expect.objectContaining({ code: 'store_full' }))
})

test('stalls - an engine that another sidecar has restarted is not restarted for what happened to the last one', () => {
  machine.free = MIB
  stalls.begins('KV_claims')
  stalls.refused('KV_claims', timeout)
  Object.assign(machine, { free: 1024 * MIB, pid: 2 })
  stalls.connected(2)
  vi.advanceTimersByTime(1000)
  stalls.refused('KV_claims', timeout)
  expect(machine.restarts).toBe(0)
  expect(() => stalls.begins('KV_claims')).not.toThrow()
})

test('stalls - a limit that a restart does not lift is not met by one restart after another', () => {
  for (let i = 0; i < 20; i++) {
    stalls.refused('KV_tasks', full)
    vi.advanceTimersByTime(1000)
  }
  expect(machine.restarts).toBe(1)
})
