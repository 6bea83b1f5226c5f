import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { ShownStatus } from '../../../../src/api/ops.schema.ts'
import { Amnesty, judge, type Sighting, suspectSelf, toSession } from '../../../../src/core/names/peers.ts'
import { times } from '../../../../src/wire/limits.ts'
import { nameRecord, presence } from '../../../support/samples.ts'

function sighting(over: Partial<Sighting> = {}): Sighting {
  return { record: nameRecord(), presence: presence({ status: 'busy' }), presenceAgeMs: 0, ...over }
}

const strict = { amnesty: false }
const mild = { amnesty: true }
const silent = { presence: null, presenceAgeMs: null }

describe('judge', () => {
  test.each([
    [0, 'busy'],
    [25_000, 'busy'],
    [25_001, 'unreachable'],
    [45_000, 'unreachable'],
    [45_001, 'lost'],
    [600_000, 'lost'],
  ] as const)('a heartbeat of %i ms ago means %s', (presenceAgeMs, status) => {
    expect(judge(sighting({ presenceAgeMs }), strict)).toBe(status)
  })

  test.each(['starting', 'busy', 'idle', 'waiting', 'paused'] as const)(
    'a fresh heartbeat says %s itself',
    (status) => {
      expect(judge(sighting({ presence: presence({ status }) }), strict)).toBe(status)
    },
  )

  test('without a heartbeat it is lost, but starting when the name was claimed just now', () => {
    expect(judge(sighting(silent), strict)).toBe('lost')
    expect(judge(sighting({ ...silent, recordAgeMs: 1000 }), strict)).toBe('starting')
    expect(judge(sighting({ ...silent, recordAgeMs: times.unreachable + 1 }), strict)).toBe('lost')
  })

  test('silence alone never makes one gone; a witness does, whatever the heartbeat', () => {
    const ages = fc.option(fc.integer({ min: 0 }))
    fc.assert(
      fc.property(
        ages,
        fc.boolean(),
        fc.constantFrom('held', 'lost', 'gone'),
        fc.boolean(),
        (age, beat, state, amnesty) => {
          const seen = { record: nameRecord({ state }), presence: beat ? presence() : null, presenceAgeMs: age }
          expect(judge(seen, { amnesty }) === 'gone').toBe(state === 'gone')
        },
      ),
    )
  })

  test('a heartbeat of a former holder counts as none', () => {
    const record = nameRecord({ epoch: 2 })
    expect(judge(sighting({ record }), strict)).toBe('lost')
    expect(judge(sighting({ record }), mild)).toBe('starting')
    expect(judge(sighting({ record, presence: presence({ epoch: 3 }) }), strict)).toBe('idle')
  })

  test('one that was recorded as lost is back with its next heartbeat', () => {
    const record = nameRecord({ state: 'lost' })
    expect(judge(sighting({ record }), strict)).toBe('busy')
    expect(judge(sighting({ record, ...silent }), strict)).toBe('lost')
  })

  test('an age that cannot be told is not held against anybody', () => {
    expect(judge(sighting({ presenceAgeMs: null }), strict)).toBe('busy')
  })

  test('a clock that runs backwards makes nobody old', () => {
    expect(judge(sighting({ presenceAgeMs: -5000 }), strict)).toBe('busy')
  })

  test('during an amnesty nobody is judged by silence; what is known stays known', () => {
    expect(judge(sighting({ presenceAgeMs: 1e9 }), mild)).toBe('busy')
    expect(judge(sighting(silent), mild)).toBe('starting')
    expect(judge(sighting({ ...silent, record: nameRecord({ state: 'lost' }) }), mild)).toBe('lost')
    expect(judge(sighting({ record: nameRecord({ state: 'gone' }) }), mild)).toBe('gone')
  })
})

describe('amnesty', () => {
  const at = 1_000_000

  test('there is none at first, nor while ticks come in time', () => {
    const amnesty = new Amnesty()
    expect(amnesty.active(at)).toBe(false)
    for (let now = at; now < at + 600_000; now += times.heartbeat) {
      amnesty.tick(now)
      expect(amnesty.active(now + 2 * times.heartbeat)).toBe(false)
    }
  })

  test('lasts 30 seconds after a reconnect', () => {
    const amnesty = new Amnesty()
    amnesty.begin(at)
    expect(amnesty.active(at)).toBe(true)
    expect(amnesty.active(at + times.amnesty - 1)).toBe(true)
    expect(amnesty.active(at + times.amnesty)).toBe(false)
  })

  test('a gap in own ticks begins one, seen at the next tick', () => {
    const amnesty = new Amnesty()
    amnesty.tick(at)
    amnesty.tick(at + 60_000)
    expect(amnesty.active(at + 60_001)).toBe(true)
    for (let now = at + 60_000; now <= at + 100_000; now += times.heartbeat) amnesty.tick(now)
    expect(amnesty.active(at + 100_000)).toBe(false)
  })

  test('a gap is seen also when somebody asks before the next tick', () => {
    const amnesty = new Amnesty()
    amnesty.tick(at)
    expect(amnesty.active(at + 120_000)).toBe(true)
    amnesty.tick(at + 120_010)
    expect(amnesty.active(at + 120_020)).toBe(true)
  })

  test('a clock set back or forward a day begins one, and it ends', () => {
    for (const jump of [-86_400_000, 86_400_000]) {
      const amnesty = new Amnesty()
      amnesty.begin(at)
      amnesty.tick(at)
      const after = at + jump
      amnesty.tick(after)
      expect(amnesty.active(after)).toBe(true)
      for (let now = after; now <= after + times.amnesty; now += times.heartbeat) amnesty.tick(now)
      expect(amnesty.active(after + times.amnesty)).toBe(false)
    }
  })

  test('a sleeping machine judges nobody when it wakes', () => {
    const amnesty = new Amnesty()
    amnesty.tick(at)
    const woke = at + 3_600_000
    const seen = sighting({ presenceAgeMs: 3_600_000 })
    expect(judge(seen, { amnesty: amnesty.active(woke) })).toBe('busy')
  })
})

describe('suspectSelf', () => {
  const of = (lost: number, idle: number, gone = 0): ShownStatus[] => [
    ...Array<ShownStatus>(lost).fill('lost'),
    ...Array<ShownStatus>(idle).fill('idle'),
    ...Array<ShownStatus>(gone).fill('gone'),
  ]

  test.each([
    [of(3, 2), true],
    [of(3, 0), true],
    [of(100, 99), true],
    [of(3, 2, 50), true],
    [of(3, 3), false],
    [of(2, 0), false],
    [of(0, 0), false],
    [of(0, 10), false],
    [of(0, 0, 10), false],
  ])('case %#', (statuses, suspect) => {
    expect(suspectSelf(statuses)).toBe(suspect)
  })
})

describe('toSession', () => {
  const doors = [
    { name: 'inbox-socket', state: 'proven' as const, provenAt: '2026-11-20T10:00:00.000Z' },
    { name: 'hook', state: 'available' as const },
  ]

  test('shows what record and heartbeat say', () => {
    const seen = sighting({ presence: presence({ doors, unread: 3, status: 'busy' }) })
    expect(toSession(seen, 'busy')).toEqual({
      name: 'api',
      status: 'busy',
      title: null,
      cause: null,
      since: null,
      harness: 'claude-code',
      host: 'build-1',
      pid: 1,
      cwd: '/repo/api',
      lastActivityAt: '2026-11-20T10:05:00.000Z',
      wake: ['inbox-socket', 'hook'],
      doors,
      unread: 3,
      epoch: 1,
      version: '0.1.0',
    })
  })

  test.each(['gone', 'lost'] as const)('one that is %s has no door, and says since when and why', (status) => {
    const record = nameRecord({ state: status, endedAt: '2026-11-20T11:00:00.000Z', reason: 'killed by SIGKILL' })
    const shown = toSession(sighting({ record, presence: presence({ doors }) }), status)
    expect(shown).toMatchObject({ wake: [], doors: [], endedAt: record.endedAt, reason: record.reason })
  })

  test('a shut door is none, and nothing to wake it by', () => {
    const shown = toSession(sighting({ presence: presence({ doors: doors.slice(1), shut: ['inbox-socket'] }) }), 'idle')
    expect(shown.wake).toEqual(['hook'])
    expect(shown.doors.map((door) => [door.name, door.state])).toEqual([
      ['hook', 'available'],
      ['inbox-socket', 'none'],
    ])
  })

  test('one that lives shows no end', () => {
    const record = nameRecord({ state: 'lost', endedAt: '2026-11-20T11:00:00.000Z', reason: 'silent' })
    expect(toSession(sighting({ record }), 'busy')).not.toHaveProperty('endedAt')
  })

  test('a former holder’s heartbeat is not shown', () => {
    const record = nameRecord({ epoch: 2 })
    const shown = toSession(sighting({ record, presence: presence({ doors, unread: 9 }) }), 'starting')
    expect(shown).toMatchObject({ unread: 0, wake: [], lastActivityAt: record.lastActivityAt })
    expect(shown).not.toHaveProperty('version')
  })

  test('a record that is later than the heartbeat tells the last activity', () => {
    const record = nameRecord({ lastActivityAt: '2026-11-20T10:07:00.000Z' })
    expect(toSession(sighting({ record }), 'busy').lastActivityAt).toBe('2026-11-20T10:07:00.000Z')
  })
})
