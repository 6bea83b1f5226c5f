/** Names under any history of starts, ends, losses, resumes and clears. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Claim, type Claimant, decideClaim, leftBehind } from '../../../../src/core/names/names.ts'
import { type NameRecord, nameRecord as nameSchema } from '../../../../src/wire/envelope.schema.ts'
import { identity } from '../../../support/samples.ts'
import { claimant, ended } from './claimant.ts'

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
