/** File claims hold by the engine's clock: that of a machine may be years off. */
import { afterEach, expect, test, vi } from 'vitest'
import { standingClaims } from '../../../src/daemon/files/claims.ts'
import type { ProjectStore } from '../../../src/nats/project-store.ts'
import { nameRecord } from '../../support/samples.ts'

afterEach(() => {
  vi.useRealTimers()
})

const record = nameRecord({ name: 'api' })
const held = {
  path: 'src/a.ts',
  holder: { member: record.member, name: 'api', epoch: record.epoch },
  since: '2026-11-21T08:00:00.000Z',
  until: '2026-11-21T09:00:00.000Z',
}

/** The part of a store that is asked, at a time of the engine. */
function storeAt(now: string): ProjectStore {
  return {
    now: async () => Date.parse(now),
    names: { get: async () => ({ value: record }) },
    claims: { get: async () => ({ value: { claims: [held] } }) },
  } as unknown as ProjectStore
}

test.each(['1971-01-01T00:00:00.000Z', '2100-01-01T00:00:00.000Z'])('on a machine whose clock says %s', async (own) => {
  vi.useFakeTimers({ now: new Date(own), toFake: ['Date'] })
  const standing = async (now: string) =>
    (await standingClaims(storeAt(now), 'repo', { gone: 0, lost: 0 })).map(({ claim }) => claim.path)
  expect(await standing('2026-11-21T08:30:00.000Z')).toEqual(['src/a.ts'])
  expect(await standing('2026-11-21T09:30:00.000Z')).toEqual([])
})
