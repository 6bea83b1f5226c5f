import { expect, test } from 'vitest'
import { nextChange } from '../../../src/daemon/runs/wait.ts'
import type { RunStore } from '../../../src/nats/run-store.ts'

/** A wait that misses the end of its time looks again after 2 s. */
const IN_TIME_MS = 1500

test('wait - time that has run out already ends a wait for a run at once', async () => {
  let followers = 0
  const follow: RunStore['follow'] = () => {
    followers++
    return () => followers--
  }
  const startedAt = performance.now()
  await nextChange({ follow } as RunStore, {}, AbortSignal.abort()).happened
  expect(performance.now() - startedAt).toBeLessThan(IN_TIME_MS)
  expect(followers).toBe(0)
})
