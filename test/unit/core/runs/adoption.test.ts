/** Whose a run is once its owner has ended. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { heirOf, isOrphan, type Kin, nearest, ownerIn } from '../../../../src/core/runs/adoption.ts'
import { times } from '../../../../src/wire/limits.ts'
import { nameRecord } from '../../../support/samples.ts'

const now = Date.parse('2026-11-20T12:00:00.000Z')
const id = (n: number) => `r_${n.toString(16).padStart(32, '0')}`

type State = 'held' | 'gone' | 'lost'
interface Session {
  name: string
  run?: string
  state?: State
  endedAt?: string
  renamedTo?: string
}

/** Sessions, and runs above by id with their owners. */
function kin(sessions: Session[], owners: Record<string, string> = {}): Kin {
  const names = sessions.map(({ state = 'held', ...rest }) => nameRecord({ ...rest, state }))
  return { names, runs: new Map(Object.entries(owners).map(([run, owner]) => [run, { owner }])), now }
}

const [R, C, G, P] = [id(1), id(2), id(3), id(4)]
/** The root started the child, that the grandchild, that the run in question. */
const line = [R, C, G]
const family = (child: State, grandchild: State, root: State = 'held') =>
  kin(
    [
      { name: 'root', run: R, state: root },
      { name: 'child', run: C, state: child },
      { name: 'grandchild', run: G, state: grandchild },
    ],
    { [R]: 'root', [C]: 'root', [G]: 'child' },
  )

test('a run stays with its owner while that lives', () => {
  expect(heirOf({ owner: 'grandchild', lineage: line }, family('gone', 'held'))).toBeNull()
})

test('adoption - a run goes to the nearest living session above, however many between have ended', () => {
  const run = { owner: 'grandchild', lineage: line }
  expect(heirOf(run, family('held', 'gone'))).toBe('child')
  expect(heirOf(run, family('gone', 'gone'))).toBe('root')
  expect(heirOf({ ...run, owner: 'child' }, family('gone', 'gone'))).toBe('root')
})

test('adoption - with no living session above a run stays where it is, and is an orphan', () => {
  const all = family('gone', 'gone', 'gone')
  expect(heirOf({ owner: 'grandchild', lineage: line }, all)).toBeNull()
  expect(isOrphan({ owner: 'grandchild', lineage: line }, all)).toBe(true)
  expect(isOrphan({ owner: 'grandchild', lineage: line }, family('gone', 'gone'))).toBe(false)
  expect(isOrphan({ owner: 'grandchild', lineage: [] }, family('gone', 'held'))).toBe(false)
})

test('adoption - a run that ended after its owner is reported to the heir; one that ended before is not', () => {
  const ended = (at: string) => ({ owner: 'child', lineage: [R, C], endedAt: at })
  const all = kin([
    { name: 'root', run: R },
    { name: 'child', run: C, state: 'gone', endedAt: '2026-11-20T11:00:00.000Z' },
  ])
  expect(heirOf(ended('2026-11-20T11:00:01.000Z'), all)).toBe('root')
  expect(heirOf(ended('2026-11-20T10:59:59.000Z'), all)).toBeNull()
})

test('adoption - renames of the owner and of sessions above are followed', () => {
  const renamed = kin(
    [
      { name: 'old', run: R, state: 'gone', renamedTo: 'new' },
      { name: 'new', run: R },
    ],
    { [R]: 'old' },
  )
  expect(heirOf({ owner: 'old', lineage: [] }, renamed)).toBe('new')
  expect(nearest([R], renamed)).toBe('new')
})

test('a session that was resumed is another run, and the same owner of what it had', () => {
  const resumed = kin(
    [
      { name: 'root', run: id(9) },
      { name: 'child', run: C, state: 'gone' },
    ],
    { [R]: 'root', [C]: 'root' },
  )
  expect(heirOf({ owner: 'child', lineage: [R, C] }, resumed)).toBe('root')
})

test('adoption - the new owner of an ended session’s name has its runs', () => {
  expect(
    heirOf(
      { owner: 'child', lineage: [R, C] },
      kin([
        { name: 'root', run: R },
        { name: 'child', run: id(9) },
      ]),
    ),
  ).toBeNull()
})

test('an owner that is lost keeps its runs for a while', () => {
  const lost = (ms: number) =>
    kin([
      { name: 'root', run: R },
      { name: 'child', run: C, state: 'lost', endedAt: new Date(now - ms).toISOString() },
    ])
  expect(heirOf({ owner: 'child', lineage: [R, C] }, lost(times.ownerLost - 1))).toBeNull()
  expect(heirOf({ owner: 'child', lineage: [R, C] }, lost(times.ownerLost + 1))).toBe('root')
})

test('adoption - an unknown owner is a person at a shell', () => {
  expect(heirOf({ owner: 'ann', lineage: [R] }, kin([{ name: 'root', run: R }]))).toBeNull()
})

test('a command between does not hide the session that owns it', () => {
  const withCommand = kin(
    [
      { name: 'root', run: R },
      { name: 'child', run: C, state: 'gone' },
    ],
    { [P]: 'root' },
  )
  expect(heirOf({ owner: 'child', lineage: [P, C] }, withCommand)).toBe('root')
})

test('adoption - the owner of a new session is the nearest session above, also an ended one; none at the top', () => {
  expect(ownerIn([R, C], family('held', 'held'))).toBe('child')
  expect(ownerIn([R, C], family('gone', 'gone'))).toBe('root')
  expect(ownerIn([R, C], family('gone', 'gone', 'gone'))).toBe('child')
  expect(ownerIn([], family('held', 'held'))).toBeNull()
  expect(ownerIn([id(77)], family('held', 'held'))).toBeNull()
})

test('adoption - an adopter keeps what it has: every session decides alike, and one adoption settles it', () => {
  const state = fc.constantFrom<State>('held', 'gone')
  fc.assert(
    fc.property(fc.tuple(state, state, state), fc.constantFrom('root', 'child', 'grandchild'), ([c, g, r], owner) => {
      const all = family(c, g, r)
      const heir = heirOf({ owner, lineage: line }, all)
      if (heir === null) return
      expect(heirOf({ owner: heir, lineage: line }, all)).toBeNull()
      expect(all.names.find(({ name }) => name === heir)?.state).toBe('held')
    }),
  )
})
