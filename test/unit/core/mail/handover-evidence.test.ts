import { expect, test } from 'vitest'
import { type Decision, decide, type InFlight, type Situation, waitsFor } from '../../../../src/core/mail/handover.ts'
import { times } from '../../../../src/wire/limits.ts'

const NOW = 1_000_000
const hook = { name: 'hook', reaches: ['busy', 'waiting'], available: true } as const
const inbox = { name: 'inbox-socket', reaches: ['idle'], available: true } as const

function situation(change: Partial<Situation> = {}): Situation {
  return {
    now: NOW,
    status: 'idle',
    statusSince: NOW - 60_000,
    doors: [hook, inbox],
    deliverable: 1,
    wakes: (change.deliverable ?? 1) > 0,
    hasAside: false,
    inFlight: null,
    isWanted: false,
    floorUntil: null,
    ...change,
  }
}

function posted(change: Partial<InFlight> = {}): InFlight {
  const nothingYet = { receivedAt: null, screenedAt: null, asked: false, handedAt: null }
  return {
    token: 'mesh-1',
    door: 'inbox-socket',
    offeredAt: NOW - 10,
    count: 1,
    wakes: true,
    isTurnOver: false,
    isFull: false,
    ...nothingYet,
    ...change,
  }
}

test.each<[string, Partial<Situation>, Decision]>([
  ['idle', {}, { do: 'offer', door: 'inbox-socket' }],
  ['busy', { status: 'busy' }, { do: 'offer', door: 'hook' }],
  ['at a prompt', { status: 'waiting' }, { do: 'offer', door: 'hook' }],
  ['idle, the socket shut', { doors: [hook, { ...inbox, available: false }] }, { do: 'offer', door: 'hook' }],
  ['busy, the hook shut', { status: 'busy', doors: [{ ...hook, available: false }, inbox] }, LATER(2500)],
  ['an empty inbox', { deliverable: 0 }, LATER(null)],
  ['no doors at all', { doors: [] }, LATER(null)],
])('handover - %s', (_, change, decision) => {
  expect(decide(situation(change))).toEqual(decision)
})

function LATER(ms: number | null): Decision {
  return { do: 'nothing', until: ms === null ? null : NOW + ms }
}

test('handover - a client that has not even read what it was sent may read it yet', () => {
  const { receivedEvidence } = times
  expect(decide(situation({ inFlight: posted() }))).toEqual(LATER(receivedEvidence - 10))
  const inFlight = posted({ offeredAt: NOW - receivedEvidence })
  expect(decide(situation({ inFlight }))).toMatchObject({ do: 'expire', certain: false })
})

test('handover - an idle client that read it and started no turn dropped it: no repeat', () => {
  const offeredAt = NOW - times.handedEvidence - 10
  const inFlight = posted({ offeredAt, receivedAt: NOW - times.handedEvidence + 5 })
  expect(decide(situation({ inFlight }))).toEqual(LATER(5))
  inFlight.receivedAt! -= 5
  expect(decide(situation({ inFlight }))).toMatchObject({ do: 'expire', certain: true })
})

test.each<[string, Partial<Situation>]>([
  ['busy', { status: 'busy', statusSince: NOW - 10 }],
  ['idle again', { statusSince: NOW - 10 }],
  ['at a prompt', { status: 'waiting', statusSince: NOW - 10 }],
])('handover - one that was %s meanwhile may have read it', (_, change) => {
  const at = NOW - times.handedEvidence - 100
  const inFlight = posted({ offeredAt: at, receivedAt: at })
  expect(decide(situation({ inFlight, ...change }))).toMatchObject({ do: 'expire', certain: false })
})

test('handover - nothing more goes to a client that asks its user about a held message', () => {
  const inFlight = posted({ screenedAt: NOW - 3_600_000, asked: true })
  expect(decide(situation({ inFlight, status: 'waiting', deliverable: 7 }))).toEqual(LATER(null))
})

test('handover - a held message that is not queued once the question is gone was not let in', () => {
  const inFlight = posted({ screenedAt: NOW - 3_600_000, asked: true })
  const { screenedEvidence } = times
  expect(decide(situation({ inFlight, statusSince: NOW }))).toEqual(LATER(screenedEvidence))
  const decision = decide(situation({ inFlight, statusSince: NOW - screenedEvidence }))
  expect(decision).toMatchObject({ do: 'refuse', why: expect.stringContaining('denied') })
  const kept = posted({ screenedAt: NOW - screenedEvidence })
  expect(decide(situation({ inFlight: kept }))).toMatchObject({ do: 'refuse', why: expect.stringContaining('nobody') })
})

test('handover - a held message that was let in is like any other', () => {
  const inFlight = posted({ screenedAt: NOW - 10_000, handedAt: NOW - 100 })
  expect(decide(situation({ inFlight, status: 'busy' }))).toEqual(LATER(null))
})

test('handover - what the client has is waited for until its turn is over', () => {
  const inFlight = posted({ handedAt: NOW - 3_600_000 })
  expect(decide(situation({ inFlight, status: 'busy' }))).toEqual(LATER(null))
  expect(decide(situation({ inFlight, statusSince: NOW }))).toEqual(LATER(times.surfacedEvidence))
  const over = situation({ inFlight, statusSince: NOW - times.surfacedEvidence })
  expect(decide(over)).toMatchObject({ do: 'expire', certain: false })
})

test('handover - mail that no hook took is taken back for a better door, or for more mail', () => {
  const inFlight = posted({ door: 'hook' })
  expect(decide(situation({ inFlight, status: 'busy', deliverable: 0 }))).toEqual(LATER(null))
  expect(decide(situation({ inFlight, status: 'busy', deliverable: 1 }))).toEqual({ do: 'withdraw' })
  expect(decide(situation({ inFlight, status: 'idle', deliverable: 0 }))).toEqual({ do: 'withdraw' })
})

const shut = { doors: [hook, { ...inbox, available: false }] }
test.each<[string, Partial<Situation>, RegExp | null]>([
  ['at a permission prompt', { status: 'waiting' }, /permission prompt/],
  ['at a permission prompt, in the mail file', { status: 'waiting', inFlight: posted({ door: 'hook' }) }, /prompt/],
  ['behind a held message', { status: 'waiting', inFlight: posted({ screenedAt: NOW, asked: true }) }, /prompt/],
  ['busy', { status: 'busy' }, /tool call/],
  ['stopped', { status: 'paused' }, /stopped/],
  ['starting', { status: 'starting' }, /starting/],
  ['with nothing that wakes it', shut, /next prompt/],
  ['the floor', { floorUntil: NOW + 1 }, /floor/],
  ['no open door', { doors: [{ ...inbox, available: false }] }, /no door/],
  ['idle', {}, null],
  ['under way', { inFlight: posted() }, null],
  ['with the client', { status: 'waiting', inFlight: posted({ handedAt: NOW }) }, null],
  ['a shell', { doors: [] }, null],
])('handover - says why mail waits: %s', (_, change, reason) => {
  const said = waitsFor(situation(change))
  if (reason) expect(said).toMatch(reason)
  else expect(said).toBeNull()
})

test('a turn that took it and is over without any proof is doubted, not expired: it starts no other', () => {
  const inFlight = posted({ handedAt: NOW - 3_600_000, isTurnOver: true })
  expect(decide(situation({ inFlight, status: 'busy' }))).toEqual(LATER(null))
  expect(decide(situation({ inFlight, statusSince: NOW }))).toEqual(LATER(times.surfacedEvidence))
  expect(decide(situation({ inFlight }))).toEqual({ do: 'doubt', why: 'handed, no transcript to prove it' })
})
