/** Whom a message was said to, when a name has changed hands; and who may speak under a name. */
import { expect, test } from 'vitest'
import { earlierHolder } from '../../../../src/core/names/holders.ts'
import { decideClaim } from '../../../../src/core/names/names.ts'
import { ownsName } from '../../../../src/core/names/senders.ts'
import type { NameRecord } from '../../../../src/wire/envelope.schema.ts'
import { claimant, ended, no } from './claimant.ts'

const first = decideClaim(claimant({ session: 'a', highWater: 10 }), [], no).record
const over = (record: NameRecord): NameRecord => ({ ...record, ...ended })
const taken = (record: NameRecord, session: string, highWater: number) =>
  decideClaim(claimant({ session, highWater }), [over(record)], no).record

test('a name remembers who held it before, up to which epoch and position, and when that ended', () => {
  expect(first.holders).toBeUndefined()
  const second = taken(first, 'b', 20)
  expect(second.holders).toEqual([{ session: 'a', until: 1, high: 20, endedAt: ended.endedAt }])
  // One who is resumed is nobody else.
  const back = taken(second, 'b', 30)
  expect([back.epoch, back.holders]).toEqual([3, second.holders])
  let record = first
  for (let i = 0; i < 20; i++) record = taken(record, `s${i}`, i)
  expect(record.holders).toHaveLength(8)
})

test.each([
  [1, 'a'],
  [2, 'b'],
  [3, null],
  [4, null],
])('of the holders a, b, then c, a message to epoch %i is for %s', (toEpoch, session) => {
  const third = taken(taken(first, 'b', 20), 'c', 30)
  expect(earlierHolder(third, { seq: 99, envelope: { to: 'api', toEpoch } })?.session ?? null).toBe(session)
  expect(earlierHolder(third, { seq: 5, envelope: { to: 'topic:x', toEpoch } })).toBeNull()
})

test('without an epoch its place tells; one without a place is for nobody in particular', () => {
  const second = taken(first, 'b', 20)
  const at = (seq: number) => earlierHolder(second, { seq, envelope: { to: 'api' } })?.session ?? null
  expect([at(20), at(21), at(0)]).toEqual(['a', null, null])
  // Back at its own name, which another had meanwhile.
  const again = taken(second, 'a', 40)
  expect(earlierHolder(again, { seq: 99, envelope: { to: 'api', toEpoch: 1 } })).toBeNull()
  expect(earlierHolder(again, { seq: 99, envelope: { to: 'api', toEpoch: 2 } })?.session).toBe('b')
})

test('a name is its record’s member’s, whatever epoch another one claims', () => {
  const from = (member: string, epoch: number) => ({ member, name: 'api', epoch })
  for (const epoch of [0, 1, 2, 9]) expect(ownsName(from('mallory', epoch), first, 'local')).toBe(false)
  expect(ownsName(from('local', 1), first, 'local')).toBe(true)
  expect(ownsName(from('mallory', 1), null, 'local')).toBe(false)
  expect(ownsName(from('local', 1), null, 'local')).toBe(true)
  const theirs = { ...first, member: 'mallory', epoch: 2 }
  expect([1, 2, 3].map((epoch) => ownsName(from('local', epoch), theirs, 'local'))).toEqual([true, false, false])
})
