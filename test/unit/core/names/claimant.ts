/** What tests of names share: a claimant, an ended holder, and what the world says of holders. */
import type { Claimant } from '../../../../src/core/names/names.ts'
import type { NameRecord } from '../../../../src/wire/envelope.schema.ts'
import { identity } from '../../../support/samples.ts'

export const yes = () => true
export const no = () => false
export const never = (record: NameRecord): boolean => {
  throw new Error(`asked about ${record.name}, which is ${record.state}`)
}

export function claimant(over: Partial<Claimant> = {}): Claimant {
  return {
    desired: 'api',
    explicit: false,
    session: 'session-2',
    process: identity(2),
    member: 'local',
    harness: 'claude-code',
    cwd: '/repo/api',
    worktree: '/repo',
    now: '2026-11-20T12:00:00.000Z',
    highWater: 50,
    ...over,
  }
}

export const ended = { state: 'gone', endedAt: '2026-11-20T11:00:00.000Z', reason: 'exit', witness: 'web' } as const
export const luggage = {
  topics: [{ name: 'schema', since: 3 }],
  roles: ['reviewer'],
  since: 7,
  epoch: 4,
}
