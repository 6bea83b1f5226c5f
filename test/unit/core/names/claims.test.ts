/** Who gets a name: a new one, one's own, one that is owned, one that was left by a rename. */
import { describe, expect, test } from 'vitest'
import { decideClaim, deposed } from '../../../../src/core/names/names.ts'
import type { NameRecord } from '../../../../src/wire/envelope.schema.ts'
import { identity, nameRecord } from '../../../support/samples.ts'
import { claimant, ended, luggage, never, no, yes } from './claimant.ts'

describe('a new name', () => {
  test('is given when nobody has it; its mail begins now', () => {
    const { record, expect: expected, outcome } = decideClaim(claimant(), [], never)
    expect([expected, outcome]).toEqual(['absent', 'new'])
    expect(record).toEqual({
      v: 1,
      kind: 'name',
      name: 'api',
      epoch: 1,
      member: 'local',
      session: 'session-2',
      process: identity(2),
      harness: 'claude-code',
      cwd: '/repo/api',
      worktree: '/repo',
      state: 'held',
      lastActivityAt: '2026-11-20T12:00:00.000Z',
      topics: [],
      roles: [],
      since: 50,
    })
  })

  test('is refused when it is none', () => {
    for (const desired of ['m_x', 'operator', '', 'a.b', '__proto__']) {
      expect(() => decideClaim(claimant({ desired }), [], never)).toThrow(expect.objectContaining({ code: 'bad_name' }))
    }
  })
})

describe('my own name', () => {
  const mine = nameRecord({ ...luggage, session: 'session-2', name: 'old-name' })

  test('is kept by the same process, at the same epoch', () => {
    const claim = decideClaim(claimant(), [{ ...mine, process: identity(2) }], never)
    expect(claim.outcome).toBe('kept')
    expect(claim.record).toEqual({ ...mine, process: identity(2) })
  })

  test('is kept when others had thought me lost', () => {
    const lost = { ...mine, process: identity(2), state: 'lost' as const, endedAt: ended.endedAt, reason: 'silent' }
    const { outcome, record } = decideClaim(claimant(), [lost], never)
    expect([outcome, record.state, record.epoch, record.endedAt, record.reason]).toEqual([
      'kept',
      'held',
      4,
      undefined,
      undefined,
    ])
  })

  test.each([
    ['gone', { ...mine, ...ended }, never],
    ['lost', { ...mine, state: 'lost' as const }, no],
    ['held by a process that is dead', mine, no],
  ] as const)('is resumed when %s: next epoch, with topics, roles and mail', (_what, record, alive) => {
    const claim = decideClaim(claimant({ desired: 'api', cwd: '/elsewhere' }), [record, nameRecord()], alive)
    expect(claim).toMatchObject({ outcome: 'resumed', expect: record })
    expect(claim.record).toMatchObject({
      name: 'old-name',
      epoch: 5,
      topics: luggage.topics,
      roles: luggage.roles,
      since: 7,
    })
    expect(claim.record).toMatchObject({ process: identity(2), state: 'held', cwd: '/elsewhere', session: 'session-2' })
    for (const trace of ['endedAt', 'reason', 'witness']) expect(claim.record).not.toHaveProperty(trace)
  })

  test('stays with a process that is seen to live though others had thought it lost', () => {
    const claim = decideClaim(claimant(), [{ ...mine, state: 'lost' }], yes)
    expect(claim).toMatchObject({ outcome: 'new', record: { name: 'api' }, twin: { name: 'old-name' } })
  })

  test('is resumed with a new epoch when a witness had called this very process gone', () => {
    const wrong = { ...mine, ...ended, process: identity(2) }
    expect(decideClaim(claimant(), [wrong], never)).toMatchObject({ outcome: 'resumed', record: { epoch: 5 } })
  })

  test('of two processes on one conversation the second gets another name', () => {
    const first = nameRecord({ session: 'session-2' })
    const claim = decideClaim(claimant(), [first], yes)
    expect(claim).toMatchObject({ outcome: 'suffixed', expect: 'absent', record: { name: 'api-2', epoch: 1 } })
    expect(claim.twin).toBe(first)
    // The second keeps its own when the first has ended.
    const [gone, second] = [{ ...first, ...ended }, claim.record]
    const again = decideClaim(claimant(), [gone, second], never)
    expect(again).toMatchObject({ outcome: 'kept', record: { name: 'api-2', epoch: 1 } })
    expect(again).not.toHaveProperty('twin')
  })

  test('of several ended ones the desired is resumed, else the latest', () => {
    const older = nameRecord({ ...ended, session: 'session-2', name: 'aa', lastActivityAt: '2026-11-18T10:00:00.000Z' })
    const newer = nameRecord({ ...ended, session: 'session-2', name: 'bb', lastActivityAt: '2026-11-19T10:00:00.000Z' })
    const pick = (desired: string) => decideClaim(claimant({ desired }), [older, newer], never).record.name
    expect([pick('aa'), pick('bb'), pick('cc')]).toEqual(['aa', 'bb', 'bb'])
  })

  test('is not another member’s who uses the same word for its conversation', () => {
    const theirs = nameRecord({ ...ended, session: 'operator:root', name: 'root', member: 'elsewhere' })
    const claim = decideClaim(
      claimant({ desired: 'root', session: 'operator:root', harness: 'shell' }),
      [theirs],
      never,
    )
    expect(claim).toMatchObject({ outcome: 'suffixed', record: { name: 'root-2' } })
  })

  test('an operator comes back under its name from any directory', () => {
    const before = nameRecord({ ...ended, ...luggage, name: 'ann', session: 'operator:ann', harness: 'shell' })
    const back = claimant({ desired: 'ann', session: 'operator:ann', harness: 'shell', worktree: '/tmp' })
    expect(decideClaim(back, [before], never)).toMatchObject({
      outcome: 'resumed',
      record: { name: 'ann', epoch: 5, since: 7 },
    })
  })

  test('is kept through /clear: the same process, another conversation', () => {
    const before = nameRecord({ ...luggage, process: identity(2), session: 'session-1' })
    const claim = decideClaim(claimant({ session: 'session-after-clear' }), [before], yes)
    expect(claim).toMatchObject({
      outcome: 'kept',
      expect: before,
      record: { epoch: 4, session: 'session-after-clear' },
    })
    expect(claim.record.earlier).toEqual(['session-1'])
    expect(deposed(before, claim.record)).toBe(true)
  })

  test('is kept through /clear also by a session that was renamed', () => {
    const records = [
      nameRecord({ name: 'web', process: identity(2), session: 'session-1' }),
      nameRecord({ ...ended, name: 'api', renamedTo: 'web', session: '' }),
    ]
    const claim = decideClaim(claimant({ session: 'after' }), records, yes)
    expect(claim).toMatchObject({ outcome: 'kept', record: { name: 'web', session: 'after' } })
  })

  test('remembers its last conversations, each once', () => {
    let record = nameRecord({ process: identity(2), session: 's0' })
    for (const session of ['s1', 's2', 's1', 's3', 's4', 's5', 's6', 's7', 's8', 's9', 's10'])
      record = decideClaim(claimant({ session }), [record], yes).record
    expect(record.earlier).toEqual(['s9', 's8', 's7', 's6', 's5', 's4', 's3', 's1'])
  })
})

describe('a name that is held', () => {
  test.each([
    ['alive', nameRecord(), yes],
    ['lost', nameRecord({ state: 'lost' }), never],
  ] as const)('by one who is %s stays its own, also when asked for explicitly', (_what, record, alive) => {
    for (const explicit of [false, true]) {
      expect(decideClaim(claimant({ explicit }), [record], alive)).toMatchObject({
        outcome: 'suffixed',
        expect: 'absent',
      })
    }
  })

  test('the first free suffix is taken', () => {
    const records = ['api', 'api-2', 'api-4'].map((name) => nameRecord({ name }))
    expect(decideClaim(claimant(), records, yes).record.name).toBe('api-3')
  })

  test('600 sessions of one branch find 600 names', () => {
    const records: NameRecord[] = []
    for (let i = 0; i < 600; i++) {
      const claim = decideClaim(claimant({ session: `s${i}`, process: identity(i + 10) }), records, yes)
      expect(claim.expect).toBe('absent')
      records.push(claim.record)
    }
    expect(new Set(records.map((record) => record.name)).size).toBe(600)
  })
})

describe('a name left by a rename', () => {
  const left = nameRecord({ ...luggage, ...ended, renamedTo: 'web' })
  const renamed = nameRecord({ ...luggage, name: 'web', formerly: { name: 'api', until: 30 } })

  test('is new to the next one, from the rename on, without topics, roles or a predecessor', () => {
    const claim = decideClaim(claimant(), [left, renamed], yes)
    expect(claim).toMatchObject({
      outcome: 'new',
      expect: left,
      record: { epoch: 5, since: claimant().highWater, topics: [], roles: [] },
    })
    expect(claim.record).not.toHaveProperty('renamedTo')
    expect(claim.record).not.toHaveProperty('previous')
  })

  test('half-way is finished: a sidecar that died while renaming comes back under the new name', () => {
    const [old, next] = [
      nameRecord({ session: 'session-2', process: identity(2) }),
      { ...renamed, session: 'session-2', process: identity(2) },
    ]
    for (const records of [
      [old, next],
      [next, old],
    ]) {
      expect(decideClaim(claimant(), records, yes)).toMatchObject({ outcome: 'kept', record: { name: 'web' } })
    }
  })

  test('is not what its session resumes', () => {
    const gone = { ...renamed, ...ended, session: 'session-2' }
    const claim = decideClaim(claimant(), [{ ...left, session: 'session-2' }, gone], never)
    expect(claim).toMatchObject({ outcome: 'resumed', record: { name: 'web', formerly: { name: 'api', until: 30 } } })
  })
})

describe('deposed', () => {
  const mine = nameRecord()
  test('when epoch or session changed, or the name was removed', () => {
    expect(deposed(mine, nameRecord({ epoch: 2 }))).toBe(true)
    expect(deposed(mine, nameRecord({ session: 'other' }))).toBe(true)
    expect(deposed(mine, null)).toBe(true)
  })

  test('not when anything else changed', () => {
    expect(deposed(mine, nameRecord({ state: 'lost', cwd: '/x', roles: ['r'] }))).toBe(false)
  })
})
