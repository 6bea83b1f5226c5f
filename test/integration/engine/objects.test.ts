/** How long the object store keeps a large text: from when it was last sent. */
import { afterEach, expect, vi } from 'vitest'
import { storeNames } from '../../../src/wire/subjects.ts'
import { test } from '../../support/node.ts'

const HOUR_MS = 3_600_000

afterEach(() => {
  vi.useRealTimers()
})

test('an object that is put again a day later is kept from then on', async ({ project }) => {
  const { store, jsm } = await project.attacker()
  const bytes = Buffer.from('words')
  const stored = async () => (await jsm.streams.info(`OBJ_${storeNames(project.name).objects}`)).state.last_seq
  const name = await store.objects.put(bytes)
  const first = await stored()
  await store.objects.put(bytes)
  vi.setSystemTime(Date.now() + 23 * HOUR_MS)
  await store.objects.put(bytes)
  expect(await stored()).toBe(first)
  vi.setSystemTime(Date.now() + 2 * HOUR_MS)
  expect(await store.objects.put(bytes)).toBe(name)
  expect(await stored()).toBeGreaterThan(first)
  expect(Buffer.from(await store.objects.get(name))).toEqual(bytes)
})
