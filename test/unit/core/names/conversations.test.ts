/** What happens to a name when conversations move between processes, are forked, or end. */
import { describe, expect, test } from 'vitest'
import { type Claimant, decideClaim, leftBehind } from '../../../../src/core/names/names.ts'
import { identity, nameRecord } from '../../../support/samples.ts'
import { claimant, ended, luggage, never, no, yes } from './claimant.ts'

describe('another conversation in the same process (/resume)', () => {
  const here = nameRecord({ name: 'api', process: identity(2), session: 'here', epoch: 2 })

  test('that has a name of its own takes that; the one before is left behind', () => {
    const theirs = nameRecord({ ...luggage, ...ended, name: 'web', session: 'there' })
    const claim = decideClaim(claimant({ session: 'there' }), [here, theirs], yes)
    expect(claim).toMatchObject({ outcome: 'resumed', record: { name: 'web', epoch: 5, session: 'there' } })
    expect(leftBehind(claim.record, [here, claim.record])).toEqual([here])
    const gone = { ...here, ...ended }
    expect(leftBehind(claim.record, [gone, claim.record])).toEqual([])
    // And back again.
    const back = decideClaim(claimant({ session: 'here' }), [gone, claim.record], yes)
    expect(back).toMatchObject({ outcome: 'resumed', record: { name: 'api', epoch: 3, session: 'here' } })
  })

  test('that never had a name goes on under the process’s', () => {
    const claim = decideClaim(claimant({ session: 'there' }), [here], yes)
    expect(claim).toMatchObject({ outcome: 'kept', record: { name: 'api', epoch: 2, session: 'there' } })
  })

  test('that is open elsewhere leaves that one its name and keeps the process’s', () => {
    const theirs = nameRecord({ name: 'web', session: 'there', process: identity(3) })
    const claim = decideClaim(claimant({ session: 'there' }), [here, theirs], yes)
    expect(claim).toMatchObject({ outcome: 'kept', record: { name: 'api', session: 'there' }, twin: { name: 'web' } })
  })

  test('the former name of a rename that is under way is not left behind', () => {
    const [old, next] = [here, { ...here, name: 'web', formerly: { name: 'api', until: 3 } }]
    expect(leftBehind(next, [old, next])).toEqual([])
  })
})

describe('a fork', () => {
  const parent = nameRecord({ ...luggage, session: 'parent' })
  const fork = (over: Partial<Claimant> = {}) => claimant({ session: 'copy', fork: true, ...over })

  test.each([
    ['lives', parent, yes],
    ['has ended', { ...parent, ...ended }, never],
    ['is dead', parent, no],
  ] as const)('has a name of its own while its parent %s', (_what, record, alive) => {
    const claim = decideClaim(fork(), [record], alive)
    expect(claim).toMatchObject({ outcome: 'suffixed', expect: 'absent', record: { name: 'api-2', since: 50 } })
    const second = nameRecord({ ...ended, name: 'api-2' })
    expect(decideClaim(fork(), [record, second], alive).record.name).toBe('api-3')
  })

  test('comes back under its own name', () => {
    const own = nameRecord({ ...ended, name: 'api-2', session: 'copy' })
    expect(decideClaim(fork(), [parent, own], yes)).toMatchObject({ outcome: 'resumed', record: { name: 'api-2' } })
  })

  test('takes over what it is told to', () => {
    const claim = decideClaim(fork({ explicit: true }), [{ ...parent, ...ended }], never)
    expect(claim).toMatchObject({ outcome: 'taken_over', record: { name: 'api' } })
  })

  const movedAt = '2026-11-20T11:59:58.000Z'
  const moved = fork({ movedAt })
  const left = { ...parent, ...ended, name: 'web', endedAt: '2026-11-20T11:59:58.120Z' }

  test('that was moved here has the name of the session that ended then, whatever it is', () => {
    const before = nameRecord({ ...ended, name: 'api' })
    const claim = decideClaim(moved, [before, left], never)
    expect(claim).toMatchObject({ outcome: 'resumed', record: { ...luggage, name: 'web', epoch: 5, session: 'copy' } })
    expect(claim.record.earlier).toEqual(['parent'])
  })

  test.each([
    ['nobody ended then', [{ ...left, endedAt: '2026-11-20T11:59:57.000Z' }]],
    ['two did', [left, { ...left, name: 'x', session: 's' }]],
    ['it was in another worktree', [{ ...left, worktree: '/other' }]],
    ['it was another member’s', [{ ...left, member: 'elsewhere' }]],
    ['it was an operator', [{ ...left, harness: 'shell' }]],
  ])('that was moved here is a fork like any other if %s', (_what, records) => {
    expect(decideClaim(moved, records, never)).toMatchObject({ outcome: 'new', record: { name: 'api' } })
  })

  test('in a process that was moved here long ago, or has a name, is none that moved', () => {
    const later = { ...moved, now: '2026-11-20T12:10:00.000Z' }
    expect(decideClaim(later, [left], never).record.name).toBe('api')
    const mine = nameRecord({ name: 'mine', process: identity(2) })
    expect(decideClaim(moved, [left, mine], yes)).toMatchObject({ outcome: 'kept', record: { name: 'mine' } })
  })
})

describe('a conversation whose name went to another', () => {
  test('has another name, and is told which has its mail', () => {
    const before = nameRecord({ session: 'talk', ...ended })
    const taken = decideClaim(claimant({ session: 'next' }), [before], never).record
    const back = claimant({ session: 'talk', process: identity(3) })
    const claim = decideClaim(back, [taken], yes)
    expect(claim).toMatchObject({ outcome: 'suffixed', record: { name: 'api-2' }, heir: { name: 'api' } })
    // Also when that one is another conversation by now.
    const cleared = decideClaim(claimant({ session: 'cleared' }), [taken], yes).record
    expect(decideClaim(back, [cleared], yes).heir).toMatchObject({ name: 'api', session: 'cleared' })
  })

  test('takes it back when that one has ended', () => {
    const taken = nameRecord({ ...ended, session: 'next', earlier: ['talk'] })
    const claim = decideClaim(claimant({ session: 'talk' }), [taken], never)
    expect(claim).toMatchObject({ outcome: 'taken_over', record: { name: 'api' } })
    expect(claim).not.toHaveProperty('heir')
  })
})

describe('the name of one who ended', () => {
  const before = nameRecord({ ...luggage, ...ended })

  test('goes to the next session of its worktree, with everything, told whose it was', () => {
    const claim = decideClaim(claimant(), [before], never)
    expect(claim).toMatchObject({ outcome: 'taken_over', expect: before, previous: before })
    expect(claim.record).toMatchObject({ ...luggage, epoch: 5, state: 'held', session: 'session-2' })
    expect(claim.record.previous).toEqual({ session: 'session-1', endedAt: ended.endedAt })
    expect(claim.record).not.toHaveProperty('endedAt')
  })

  test('also when I am the one who finds its process dead', () => {
    const claim = decideClaim(claimant(), [nameRecord(luggage)], no)
    expect(claim).toMatchObject({ outcome: 'taken_over', record: { epoch: 5, previous: { session: 'session-1' } } })
    expect(claim.record.previous).not.toHaveProperty('endedAt')
  })

  test.each([{ worktree: '/other' }, { member: 'elsewhere' }])('does not go to one of %j', (over) => {
    expect(decideClaim(claimant(over), [before], never)).toMatchObject({
      outcome: 'suffixed',
      record: { name: 'api-2' },
    })
  })

  test.each([{ worktree: '/other' }, { member: 'elsewhere' }])(
    'goes to one of %j who asks for just this name',
    (over) => {
      expect(decideClaim(claimant({ ...over, explicit: true }), [before], never)).toMatchObject({
        outcome: 'taken_over',
      })
    },
  )

  test('an explicit wish reaches no further than the name itself', () => {
    const second = nameRecord({ ...ended, name: 'api-2', worktree: '/other' })
    const claim = decideClaim(claimant({ explicit: true }), [nameRecord(), second], yes)
    expect(claim).toMatchObject({ outcome: 'suffixed', record: { name: 'api-3' } })
  })

  test('with a suffix is taken over too', () => {
    const second = nameRecord({ ...ended, name: 'api-2' })
    expect(decideClaim(claimant(), [nameRecord(), second], yes)).toMatchObject({
      outcome: 'taken_over',
      record: { name: 'api-2' },
    })
  })
})
