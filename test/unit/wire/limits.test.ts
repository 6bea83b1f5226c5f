import { expect, test } from 'vitest'
import { encodeEnvelope } from '../../../src/wire/codec.ts'
import { surfaced } from '../../../src/wire/envelope.schema.ts'
import { limits, maxConsumers, times } from '../../../src/wire/limits.ts'
import { testKey, unsigned } from '../../support/samples.ts'

test('every bound is a positive integer', () => {
  for (const [name, value] of Object.entries({ ...limits, ...times, maxConsumers })) {
    expect(Number.isSafeInteger(value) && value > 0, name).toBe(true)
  }
})

test('the largest inline body fits into an envelope in the worst encoding, and the envelope into a payload', () => {
  const text = '\u0001'.repeat(limits.inlineBodyBytes)
  const longest = unsigned({
    body: { text },
    to: `topic:${'a'.repeat(64)}`,
    project: 'p'.repeat(80),
    from: { member: 'm'.repeat(64), name: 'n'.repeat(64), epoch: Number.MAX_SAFE_INTEGER },
    thread: '\u0001'.repeat(limits.thread),
    replyTo: unsigned().id,
  })
  expect(encodeEnvelope(longest, testKey).length).toBeLessThanOrEqual(limits.envelopeBytes)
  expect(limits.envelopeBytes).toBeLessThan(limits.payloadBytes)
})

test('a preview is never larger than an inline body', () => {
  expect(limits.previewChars * 3).toBeLessThan(limits.inlineBodyBytes)
  expect(limits.previewChars).toBeGreaterThanOrEqual(limits.shownMessageChars)
})

test('what a model is shown stays below the 10,000 characters at which Claude Code cuts hook text', () => {
  expect(limits.shownHandoverChars).toBeLessThan(10_000)
  expect(limits.shownMessageChars * 2).toBeLessThan(limits.shownHandoverChars)
})

test('unread messages fit into the surfaced record', () => {
  const unread = Array.from({ length: limits.unreadAwaited }, (_, i) => i)
  expect(surfaced.parse({ v: 1, kind: 'surfaced', epoch: 1, high: 1, unread }).unread).toHaveLength(unread.length)
})

test('ages grow in the order in which they are judged', () => {
  expect(times.heartbeat * 2).toBeLessThan(times.unreachable)
  expect(times.unreachable).toBeLessThan(times.lost)
  expect(times.lost).toBeLessThan(times.presenceAge)
  expect(times.sentAge).toBeLessThan(times.messageAge)
})
