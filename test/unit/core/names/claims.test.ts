import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Claim, type Claimant, decideClaim, deposed, leftBehind } from '../../../../src/core/names/names.ts'
import { type NameRecord, nameRecord as nameSchema } from '../../../../src/wire/envelope.schema.ts'
import { identity, nameRecord } from '../../../support/samples.ts'

const yes = () => true
const no = () => false
const never = (record: NameRecord): boolean => {
  throw new Error(`asked about ${record.name}, which is ${record.state}`)
}

function claimant(over: Partial<Claimant> = {}): Claimant {
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

const ended = { state: 'gone', endedAt: '2026-11-20T11:00:00.000Z', reason: 'exit', witness: 'web' } as const
const luggage = {
  topics: [{ name: 'schema', since: 3 }],
  roles: ['reviewer'],
  since: 7,
  epoch: 4,
}

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

/** A project of sessions that start, restart, die, are witnessed, lost, resumed and cleared, in any order. */
class World {
  records = new Map<string, NameRecord>()
  living = new Set<number>()
  #pids = 0
  #clock = 0

  alive = (record: NameRecord): boolean => {
    expect(record.state).not.toBe('gone')
    return this.living.has(record.process.pid)
  }

  newPid(): number {
    this.living.add(++this.#pids)
    return this.#pids
  }

  claim(over: Partial<Claimant> & { pid: number }): Claim {
    const now = new Date(Date.UTC(2026, 10, 20) + ++this.#clock * 1000).toISOString()
    const who = claimant({ ...over, process: identity(over.pid), now, highWater: this.#clock })
    const records = [...this.records.values()]
    const claim = decideClaim(who, records, this.alive)
    this.#check(who, claim, records)
    this.records.set(claim.record.name, claim.record)
    for (const left of leftBehind(claim.record, [...this.records.values()])) {
      expect(left.process).toEqual(claim.record.process)
      this.records.set(left.name, { ...left, ...ended })
    }
    return claim
  }

  #check(who: Claimant, claim: Claim, records: NameRecord[]): void {
    const { record } = claim
    expect(nameSchema.safeParse(record).success).toBe(true)
    expect(decideClaim(who, records.toReversed(), this.alive)).toEqual(claim)
    expect(record).toMatchObject({ session: who.session, process: who.process, member: who.member, state: 'held' })
    const before = this.records.get(record.name)
    expect(claim.expect).toBe(before ?? 'absent')
    if (before) this.#checkSuccession(who, claim, before)
    else expect([record.epoch, record.topics, record.since]).toEqual([1, [], who.highWater])
  }

  #checkSuccession(who: Claimant, { record, outcome }: Claim, before: NameRecord): void {
    expect(record).toMatchObject({ since: before.since, topics: before.topics, roles: before.roles })
    expect(record.epoch).toBe(outcome === 'kept' ? before.epoch : before.epoch + 1)
    const isMyProcess = before.process.pid === who.process.pid
    expect(outcome === 'kept').toBe(isMyProcess && before.state !== 'gone')
    const isMine = before.session === who.session && before.member === who.member
    if (outcome === 'resumed') expect(isMine).toBe(true)
    if (outcome === 'taken_over') this.#checkHeir(who, before)
    // Nobody who lives ever loses a name to another process.
    if (!isMyProcess && before.state !== 'gone') expect(this.living.has(before.process.pid)).toBe(false)
  }

  #checkHeir(who: Claimant, before: NameRecord): void {
    expect(before.state).not.toBe('lost')
    const isHeir = before.member === who.member && before.worktree === who.worktree
    expect((isHeir && !who.fork) || (who.explicit && before.name === who.desired)).toBe(true)
  }
}

const step = fc.record({
  what: fc.constantFrom('start', 'start', 'start', 'again', 'clear', 'die', 'witness', 'lose', 'join'),
  who: fc.nat(9),
  desired: fc.constantFrom('api', 'api-2', 'web'),
  explicit: fc.boolean(),
  worktree: fc.constantFrom('/a', '/b'),
  member: fc.constantFrom('local', 'local', 'other'),
  session: fc.constantFrom('s1', 's2', 's3', 's4', 's5'),
  fork: fc.boolean(),
})

test('any history: one living holder per name, epochs only grow, mail and topics stay with the name', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (history) => {
      const world = new World()
      for (const { what, who, ...rest } of history) {
        const record = [...world.records.values()][who % Math.max(1, world.records.size)]
        if (what === 'start' || !record) world.claim({ ...rest, pid: world.newPid() })
        else act(world, what, record, rest)
      }
    }),
    { numRuns: 1000 },
  )
})

type Rest = Omit<typeof step extends fc.Arbitrary<infer S> ? S : never, 'what' | 'who'>

function act(world: World, what: string, record: NameRecord, rest: Rest) {
  const { pid } = record.process
  const alive = world.living.has(pid)
  if (what === 'die') world.living.delete(pid)
  else if (what === 'witness' && !alive) world.records.set(record.name, { ...record, ...ended })
  else if (what === 'lose' && record.state === 'held') world.records.set(record.name, { ...record, state: 'lost' })
  else if (what === 'join') {
    const topics = [{ name: `t${record.topics.length}`, since: record.since }]
    world.records.set(record.name, { ...record, topics, roles: ['r'] })
  } else if (what === 'again' && alive && record.state !== 'gone') {
    const again = world.claim({ ...rest, pid, session: record.session, member: record.member })
    expect(again).toMatchObject({ outcome: 'kept', record: { session: record.session } })
  } else if (what === 'clear' && alive && record.state !== 'gone') {
    world.claim({ ...rest, desired: record.name, pid, member: record.member })
  }
}
