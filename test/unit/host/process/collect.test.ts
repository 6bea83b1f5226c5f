/** Garbage is collected when a process has become quiet after much work, and not before. */
import { afterEach, expect, test, vi } from 'vitest'
import { collect, collectWhenQuiet } from '../../../../src/host/process/collect.ts'

const vm = vi.hoisted(() => ({ collections: 0 }))
vi.mock('node:vm', () => ({ runInNewContext: () => () => void vm.collections++ }))

afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

/** Lets the process be busy for a share of the time before the next look. */
function looks(...shares: number[]): number {
  vm.collections = 0
  vi.useFakeTimers()
  const usage = vi.spyOn(performance, 'eventLoopUtilization')
  const total = { idle: 0, active: 0, utilization: 0 }
  usage.mockReturnValue(total)
  collectWhenQuiet()
  for (const utilization of shares) {
    usage.mockReturnValueOnce(total).mockReturnValueOnce({ idle: 0, active: 3000 * utilization, utilization })
    vi.advanceTimersByTime(3000)
  }
  return vm.collections
}

test('a process that only waits, or just started, collects nothing', () => {
  expect(looks(0.4, 0, 0.01, 0, 0)).toBe(0)
})

test('a process that works collects nothing of its own accord', () => {
  expect(looks(0.9, 0.9, 0.9, 0.9)).toBe(0)
})

test('a process that worked collects twice once it is quiet, and again only after more work', () => {
  expect(looks(0.9, 0.9, 0, 0, 0, 0)).toBe(2)
  expect(looks(0.9, 0, 0, 0, 0.9, 0.9, 0, 0, 0)).toBe(4)
})

test('this Node collects', async () => {
  vi.doUnmock('node:vm')
  vi.resetModules()
  const real = await import('../../../../src/host/process/collect.ts')
  expect(real.collect()).toBe(true)
  expect(collect()).toBe(true)
})
