import { expect, test } from 'vitest'
import { Recipients } from '../../../../src/daemon/mail/recipients.ts'
import type { ProjectStore } from '../../../../src/nats/project-store.ts'
import { nameRecord } from '../../../support/samples.ts'

test('recipients - what is kept already does not overtake what is still being looked up', async () => {
  const value = nameRecord({ name: 'web' })
  const lookups: (() => void)[] = []
  const names = {
    get: () => new Promise((resolve) => lookups.push(() => resolve({ value, revision: 1 }))),
    watch: async () => () => {},
  }
  const store = { names } as unknown as ProjectStore
  const recipients = new Recipients()
  const order: number[] = []
  const resolve = (n: number) =>
    recipients.resolve(store, { kind: 'session', name: 'web' }, 'api').then(() => void order.push(n))
  const first = resolve(0)
  const second = resolve(1)
  lookups[0]!()
  await first
  // The record is read once more, and kept.
  await expect.poll(() => lookups.length).toBe(3)
  lookups[2]!()
  await new Promise((done) => setImmediate(done))
  const third = resolve(2)
  await new Promise((done) => setImmediate(done))
  lookups[1]!()
  await Promise.all([second, third])
  expect(order).toEqual([0, 1, 2])
})
