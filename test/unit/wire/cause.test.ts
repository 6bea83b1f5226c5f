import { expect, test } from 'vitest'
import { causeWords, toldStatus } from '../../../src/wire/cause.ts'
import { presence } from '../../../src/wire/envelope.schema.ts'

const since = '2026-11-30T10:00:00.000Z'

test.each([
  ['idle', 'error', 'failed'],
  ['busy', 'compacting', 'compacting'],
  ['busy', 'session', 'waiting'],
  ['busy', 'run', 'waiting'],
  ['busy', 'tool', 'busy'],
  ['idle', 'session', 'idle'],
  ['idle', 'shell', 'idle'],
  ['lost', 'error', 'lost'],
  ['busy', 'of_a_newer_release', 'busy'],
])('cause - %s with %s is told as %s', (status, kind, told) => {
  expect(toldStatus(status, { kind })).toBe(told)
})

test.each([
  [{ kind: 'session', name: 'role:operator', text: 'May I drop it?' }, 'waits for you: "May I drop it?"'],
  [{ kind: 'session', name: 'ceo' }, 'waits for ceo'],
  [{ kind: 'permission', tool: 'Bash', input: 'rm -rf x' }, 'asks for permission: Bash: rm -rf x'],
  [{ kind: 'of_a_newer_release', text: 'words' }, 'of_a_newer_release: words'],
])('cause - %j in words', (cause, words) => {
  expect(causeWords({ since, ...cause })).toBe(words)
})

test('presence - a heartbeat without a cause, or with one that cannot be read, is one all the same', () => {
  const beat = {
    ...{ v: 1, kind: 'presence', name: 'api', epoch: 1, status: 'idle', lastActivityAt: since },
    ...{ doors: [], unread: 0, version: '0.1.0' },
  }
  expect(presence.parse(beat).cause).toBeUndefined()
  expect(presence.parse({ ...beat, cause: { kind: 'X Y', since: 3 } })).toMatchObject({ status: 'idle' })
})
