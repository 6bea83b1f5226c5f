import { describe, expect, test } from 'vitest'
import { decide, type InFlight, type Situation, waitsFor } from '../../../../src/core/mail/handover.ts'
import type { SessionStatus } from '../../../../src/wire/envelope.schema.ts'
import { times } from '../../../../src/wire/limits.ts'

const NOW = 1_000_000
const hook = { name: 'hook', reaches: ['busy', 'waiting'] as SessionStatus[], available: true }
const inbox = { name: 'inbox-socket', reaches: ['idle'] as SessionStatus[], available: true }
const watch = { name: 'file-watch', reaches: ['idle'] as SessionStatus[], available: true }
const shut = (door: typeof hook) => ({ ...door, available: false })

const situation = (more: Partial<Situation>): Situation => ({
  now: NOW,
  status: 'idle',
  statusSince: NOW - 60_000,
  doors: [hook, shut(watch), inbox],
  deliverable: 1,
  wakes: (more.deliverable ?? 1) > 0,
  hasAside: false,
  inFlight: null,
  isWanted: false,
  floorUntil: null,
  ...more,
})
const decideOn = (more: Partial<Situation>) => decide(situation(more))
const flying = (door: string, more: Partial<InFlight> = {}): InFlight => ({
  token: 'mesh-1',
  door,
  offeredAt: NOW - 100,
  receivedAt: null,
  screenedAt: null,
  asked: false,
  handedAt: null,
  count: 1,
  wakes: (more.count ?? 1) > 0,
  isTurnOver: false,
  isFull: false,
  ...more,
})

describe('which door', () => {
  test.each<[string, Partial<Situation>, string]>([
    ['idle, the socket', {}, 'inbox-socket'],
    ['busy, the next hook', { status: 'busy' }, 'hook'],
    ['at a dialog, the next hook', { status: 'waiting' }, 'hook'],
    ['idle without a socket, the watched file', { doors: [hook, watch, shut(inbox)] }, 'file-watch'],
    ['idle without either, the next prompt', { doors: [hook, shut(watch), shut(inbox)] }, 'hook'],
    ['before the first turn, the prompt', { status: 'starting' }, 'hook'],
    ['a person has the floor: the next prompt', { floorUntil: NOW + 1 }, 'hook'],
    ['busy, whoever had the floor', { status: 'busy', floorUntil: NOW + 1 }, 'hook'],
    ['the floor is over', { floorUntil: NOW }, 'inbox-socket'],
  ])('%s', (_, more, door) => {
    expect(decideOn(more)).toEqual({ do: 'offer', door })
  })

  test('with the floor taken and no hook, nothing is done', () => {
    const decision = decideOn({ floorUntil: NOW + 1000, doors: [shut(hook), watch, inbox] })
    expect(decision).toMatchObject({ do: 'nothing' })
  })

  test('mail that may start no turn waits for the next prompt, and goes along with mail that may', () => {
    expect(decideOn({ wakes: false })).toEqual({ do: 'offer', door: 'hook' })
    expect(decideOn({ wakes: false, status: 'busy' })).toEqual({ do: 'offer', door: 'hook' })
    const lies = flying('hook', { wakes: false })
    expect(decideOn({ deliverable: 0, inFlight: lies })).toMatchObject({ do: 'nothing' })
    expect(decideOn({ deliverable: 1, wakes: true, inFlight: lies })).toEqual({ do: 'withdraw' })
    expect(decideOn({ deliverable: 2 })).toEqual({ do: 'offer', door: 'inbox-socket' })
    const why = 'it starts no turn by itself: it goes in with the next prompt'
    expect(waitsFor(situation({ deliverable: 0, inFlight: lies }))).toBe(why)
  })

  test('without mail nothing is done', () => {
    expect(decideOn({ deliverable: 0 })).toEqual({ do: 'nothing', until: null })
  })
})

describe('what lies in a file', () => {
  const kept = (more: Partial<Situation>) => decideOn({ deliverable: 0, inFlight: flying('hook'), ...more })

  test('stays while the turn runs', () => {
    expect(kept({ status: 'busy' })).toEqual({ do: 'nothing', until: null })
  })
  test('stays while a person has the floor, and not longer', () => {
    expect(kept({ floorUntil: NOW + 20_000 })).toEqual({ do: 'nothing', until: NOW + 20_000 })
    expect(kept({ floorUntil: NOW })).toEqual({ do: 'withdraw' })
  })
  test('is taken back when the session is idle and can be woken', () => {
    expect(kept({})).toEqual({ do: 'withdraw' })
  })
  test('stays where nothing wakes the session, with an eye on the other doors', () => {
    const decision = kept({ doors: [hook, shut(watch), shut(inbox)] })
    expect(decision).toEqual({ do: 'nothing', until: expect.any(Number) })
    expect((decision as { until: number }).until).toBeGreaterThan(NOW)
  })
  test('is taken back for more that goes with it', () => {
    expect(kept({ status: 'busy', deliverable: 1 })).toEqual({ do: 'withdraw' })
  })
  test('that is full stays, though more has come', () => {
    const inFlight = flying('hook', { count: 20, isFull: true })
    expect(kept({ status: 'busy', deliverable: 5, inFlight })).toEqual({ do: 'nothing', until: null })
  })
  test('is taken back for a call that waits for it', () => {
    expect(kept({ status: 'busy', isWanted: true })).toEqual({ do: 'withdraw' })
  })
  test('taken by a hook just before Esc, it is given up on with the end of the turn', () => {
    const inFlight = flying('hook', { handedAt: NOW - 60_000 })
    expect(kept({ inFlight, floorUntil: NOW + 20_000 })).toMatchObject({ do: 'expire' })
  })
})

describe('the module in the client', () => {
  const mod = { name: 'mod', reaches: ['idle', 'busy', 'waiting'] as SessionStatus[], available: true }
  const doors = [mod, hook, shut(watch), inbox]
  const offered = (more: Partial<Situation>, flight: Partial<InFlight> = {}) =>
    decideOn({ doors, deliverable: 0, inFlight: flying('mod', flight), ...more })

  test.each<SessionStatus>(['idle', 'busy', 'waiting'])('comes first when the session is %s', (status) => {
    expect(decideOn({ doors, status })).toEqual({ do: 'offer', door: 'mod' })
  })
  test('leaves the floor to the person: the mail file waits for their prompt', () => {
    expect(decideOn({ doors, floorUntil: NOW + 1000 })).toEqual({ do: 'offer', door: 'hook' })
  })
  test('what lies in the mail file when their prompt begins its turn stays for its hook', () => {
    expect(decideOn({ doors, status: 'busy', deliverable: 0, inFlight: flying('hook') })).toMatchObject({
      do: 'nothing',
    })
  })
  test('keeps what waits for the running turn, however long that is', () => {
    expect(offered({ status: 'busy' }, { offeredAt: NOW - 3_600_000 })).toEqual({ do: 'nothing', until: null })
  })
  test('gives it back for more, for a waiting call, and when it is silent: then the next door has it at once', () => {
    expect(offered({ status: 'busy', deliverable: 1 })).toEqual({ do: 'withdraw' })
    expect(offered({ status: 'busy', isWanted: true })).toEqual({ do: 'withdraw' })
    expect(offered({ status: 'busy', doors: [shut(mod), hook, shut(watch), inbox] })).toEqual({ do: 'withdraw' })
  })
  test('what waited for a turn that is over now wakes the session', () => {
    expect(offered({ statusSince: NOW - 10 }, { offeredAt: NOW - 1000 })).toEqual({ do: 'withdraw' })
  })
  test('an order that it does not take is given up within two seconds', () => {
    expect(offered({}, { offeredAt: NOW - 1 })).toEqual({ do: 'nothing', until: NOW - 1 + times.handedEvidence })
    const silent = { do: 'expire', certain: false, why: expect.any(String) }
    expect(offered({}, { offeredAt: NOW - times.handedEvidence })).toEqual(silent)
  })
})

describe('a watched file', () => {
  const doors = [hook, watch, shut(inbox)]
  const watched = (more: Partial<Situation>) =>
    decideOn({ doors, deliverable: 0, inFlight: flying('file-watch'), ...more })

  test('is given time to be noticed, then tried again', () => {
    expect(watched({})).toEqual({ do: 'nothing', until: NOW - 100 + times.takenEvidence })
    const inFlight = flying('file-watch', { offeredAt: NOW - times.takenEvidence })
    expect(watched({ inFlight })).toEqual({ do: 'withdraw', why: expect.any(String) })
  })
  test('is taken back when a turn begins, or a person gets the floor', () => {
    expect(watched({ status: 'busy' })).toEqual({ do: 'withdraw' })
    expect(watched({ floorUntil: NOW + 1 })).toEqual({ do: 'withdraw' })
  })
  test('once taken, waits for the sign that the model read it', () => {
    const handedAt = NOW - 10
    expect(watched({ inFlight: flying('file-watch', { handedAt }) })).toEqual({
      do: 'nothing',
      until: handedAt + times.surfacedEvidence,
    })
  })
})

test("a text of mesh's own waits in the file for whatever turn there is, and starts none", () => {
  const aside = { deliverable: 0, hasAside: true }
  expect(decideOn(aside)).toEqual({ do: 'offer', door: 'hook' })
  expect(decideOn({ ...aside, status: 'busy' })).toEqual({ do: 'offer', door: 'hook' })
  const lying = flying('hook', { count: 0 })
  expect(decideOn({ ...aside, inFlight: lying })).toMatchObject({ do: 'nothing' })
  // Mail opens a door of its own, or goes along.
  expect(decideOn({ ...aside, deliverable: 1 })).toEqual({ do: 'offer', door: 'inbox-socket' })
  expect(decideOn({ ...aside, status: 'busy', deliverable: 1, inFlight: lying })).toEqual({ do: 'withdraw' })
  // It was read another way meanwhile.
  expect(decideOn({ deliverable: 0, inFlight: lying })).toEqual({ do: 'withdraw' })
})
