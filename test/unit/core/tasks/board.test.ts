/** The board's rules: single cases, and properties over random command sequences. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { apply, type Move, shownState } from '../../../../src/core/tasks/board.ts'
import { byUrgency, checkDependencies, circleOf, claimable, waitsFor } from '../../../../src/core/tasks/dependencies.ts'
import { judgeClaim } from '../../../../src/core/tasks/lease.ts'
import { MeshError } from '../../../../src/errors.ts'
import { type Actor, type Task, task as taskSchema } from '../../../../src/wire/task.schema.ts'
import { newTask, play, sequences } from '../../../support/fault/board-model.ts'

const id = (n: number) => `t_${n.toString(16).padStart(32, '0')}`
const time = (second: number) => new Date(Date.UTC(2026, 0, 1) + second * 1000).toISOString()
const who = (name: string, epoch = 1): Actor => ({ member: 'local', name, epoch })
const alice = who('alice')
const bob = who('bob')
let operations = 0

function made(n: number, fields: Partial<Task> = {}): Task {
  const change = { op: (operations++).toString(16).padStart(16, '0'), at: time(0), by: alice, what: 'added' }
  const lists = { after: [], blockedOn: [], labels: [], links: [], recent: [] }
  const origin = { createdAt: time(n), createdBy: alice, fence: 0, change }
  return {
    v: 1,
    kind: 'task',
    id: id(n),
    title: `task ${n}`,
    state: 'open',
    priority: 5,
    ...lists,
    ...origin,
    ...fields,
  }
}

const none = () => undefined
const findIn = (tasks: Task[]) => (wanted: string) => tasks.find((one) => one.id === wanted)

function step(task: Task, move: Move, by = alice, second = 1, tasks: Task[] = []): Task {
  const op = (operations++).toString(16).padStart(16, '0')
  const next = apply(task, { move, by, at: time(second), op }, findIn(tasks))
  expect(taskSchema.safeParse(next).error).toBeUndefined()
  return next
}

function refusal(run: () => unknown): { code: string; message: string } {
  try {
    run()
  } catch (error) {
    const { code, message } = MeshError.from(error)
    return { code, message }
  }
  throw new Error('not refused')
}

describe('claims', () => {
  test('a task has one holder; other claimers are told who and since when', () => {
    const claimed = step(made(1), { do: 'claim' }, alice, 5)
    expect(claimed).toMatchObject({ state: 'claimed', fence: 1, claim: { holder: alice, fence: 1 } })
    const told = refusal(() => step(claimed, { do: 'claim' }, bob))
    expect(told).toEqual({ code: 'conflict', message: `${id(1)} is held by alice since ${time(5)}` })
  })

  test('only its holder finishes or releases a claimed task; an open one anybody finishes', () => {
    const claimed = step(made(1), { do: 'claim' })
    for (const move of ['done', 'fail', 'release', 'cancel'] as const) {
      expect(refusal(() => step(claimed, { do: move }, bob)).message).toContain('is held by alice')
    }
    expect(step(claimed, { do: 'done', result: 'ok' })).toMatchObject({ state: 'done', result: 'ok' })
    expect(step(claimed, { do: 'release' })).not.toHaveProperty('claim')
    expect(step(made(2), { do: 'done' }, bob).state).toBe('done')
  })

  test('a lease expires only after its deadline, and its late holder is refused with the reason', () => {
    const claimed = step(made(1), { do: 'claim' })
    const warned = step(claimed, { do: 'expire', at: time(120), because: 'alice is gone (killed)' }, bob)
    expect(refusal(() => step(warned, { do: 'fall' }, bob, 119)).message).toContain('stands until')
    const open = step(warned, { do: 'fall' }, bob, 120)
    expect(open).toMatchObject({ state: 'open', fallen: { holder: alice, fence: 1 } })
    const resumed = who('alice', 2)
    expect(refusal(() => step(open, { do: 'done' }, resumed)).message).toMatch(
      /your claim .* fell .*\(alice is gone \(killed\)\), and nobody/,
    )
    const taken = step(open, { do: 'claim' }, bob)
    expect(taken.fence).toBe(2)
    expect(refusal(() => step(taken, { do: 'done' }, resumed)).message).toContain('and bob holds it now')
    expect(step(open, { do: 'claim' }, resumed).claim?.holder).toEqual(resumed)
  })

  test('a holder that is resumed in time goes on; one from before the claim does not', () => {
    const claimed = step(made(1), { do: 'claim' }, who('alice', 3))
    expect(step(claimed, { do: 'done' }, who('alice', 4)).state).toBe('done')
    expect(refusal(() => step(claimed, { do: 'done' }, who('alice', 2))).code).toBe('conflict')
    expect(refusal(() => step(claimed, { do: 'done' }, { ...alice, member: 'other', epoch: 9 })).code).toBe('conflict')
  })

  test('the author may withdraw a task from its holder; a claimer is told how long the lease runs', () => {
    const claimed = step(made(1), { do: 'claim' }, bob)
    expect(refusal(() => step(claimed, { do: 'cancel' }, who('carol'))).message).toContain('is held by bob')
    expect(step(claimed, { do: 'cancel' }, alice)).toMatchObject({ state: 'cancelled' })
    const warned = step(claimed, { do: 'expire', at: time(120), because: 'bob is lost' })
    expect(refusal(() => step(warned, { do: 'claim' }, alice)).message).toContain(`falls at ${time(120)} (bob is lost)`)
  })

  test('what is over stays over', () => {
    for (const move of ['done', 'fail', 'cancel'] as const) {
      const over = step(made(1), { do: move })
      for (const again of ['claim', 'done', 'fail', 'cancel', 'release'] as const) {
        expect(refusal(() => step(over, { do: again })).code).toBe('conflict')
      }
      expect(step(over, { do: 'comment', text: 'thanks' }).change.text).toBe('thanks')
    }
  })

  test('a repeated operation counts once', () => {
    const operation = { move: { do: 'claim' } as const, by: alice, at: time(1), op: 'f'.repeat(16) }
    const once = apply(made(1), operation, none)
    expect(apply(once, operation, none)).toBe(once)
    const later = step(once, { do: 'comment', text: 'x' })
    expect(apply(later, operation, none)).toBe(later)
  })
})

describe('what falls when', () => {
  const claimed = step(made(1), { do: 'claim' })
  const grace = { gone: 60_000, lost: 600_000 }
  const now = Date.parse(time(1000))

  test.each([
    ['held', { state: 'held' }, null],
    [
      'gone',
      { state: 'gone', at: time(990), reason: 'killed' },
      { do: 'expire', at: time(1050), because: 'alice is gone (killed)' },
    ],
    [
      'resting',
      { state: 'resting', at: time(990), reason: 'idle' },
      { do: 'expire', at: time(990 + 86_400), because: 'alice is gone (idle)' },
    ],
    ['lost', { state: 'lost', at: time(990) }, { do: 'expire', at: time(1590), because: 'alice is lost' }],
    ['absent', { state: 'absent' }, { do: 'expire', at: time(1060), because: 'alice is gone' }],
  ] as const)('%s', (_, facts, move) => {
    expect(judgeClaim(claimed, facts, now, grace)).toEqual(move)
  })

  test('a lost holder that is then seen to end loses its lease as soon as any other', () => {
    const lost = step(claimed, { do: 'expire', at: time(1500), because: 'alice is lost' })
    const gone = { state: 'gone', at: time(990) } as const
    expect(judgeClaim(lost, gone, now, grace)).toMatchObject({ do: 'expire', at: time(1050) })
    const sooner = step(lost, { do: 'expire', at: time(1050), because: 'alice is gone' })
    expect(judgeClaim(sooner, gone, now, grace)).toBeNull()
    expect(judgeClaim(sooner, { state: 'lost', at: time(990) }, now, grace)).toBeNull()
    expect(judgeClaim(sooner, { state: 'absent' }, now, grace)).toBeNull()
  })

  test('a lease expires when its deadline passes; a holder that returns keeps it', () => {
    const warned = step(claimed, { do: 'expire', at: time(1000), because: 'x' })
    expect(judgeClaim(warned, { state: 'gone' }, now, grace)).toEqual({ do: 'fall' })
    expect(judgeClaim(warned, { state: 'gone' }, now - 1, grace)).toBeNull()
    expect(judgeClaim(warned, { state: 'held' }, now, grace)).toEqual({ do: 'keep' })
    expect(step(warned, { do: 'keep' }).claim).not.toHaveProperty('deadline')
  })
})

describe('dependencies', () => {
  test('block and unblock by themselves; a failed one goes on blocking', () => {
    const first = made(1)
    const second = made(2, { after: [first.id] })
    expect(shownState(second, findIn([first]))).toBe('blocked')
    expect(refusal(() => step(second, { do: 'claim' }, bob, 1, [first])).message).toContain(`waits for ${first.id}`)
    const failed = step(first, { do: 'fail' })
    expect(waitsFor(second, findIn([failed]))).toEqual([first.id])
    expect(shownState(second, findIn([step(first, { do: 'done' })]))).toBe('open')
    expect(step(second, { do: 'unblock', on: first.id }).after).toEqual([])
  })

  test('words block too', () => {
    const blocked = step(made(1), { do: 'block', on: 'the schema' })
    expect(shownState(blocked, none)).toBe('blocked')
    expect(step(blocked, { do: 'unblock' }).blockedOn).toEqual([])
    expect(refusal(() => step(blocked, { do: 'unblock', on: 'else' })).code).toBe('conflict')
  })

  test('circles are refused, of one and of many', () => {
    const one = made(1)
    expect(refusal(() => step(one, { do: 'block', on: one.id }, alice, 1, [one])).message).toContain('circle')
    const chain = Array.from({ length: 20_000 }, (_, n) => made(n + 1, { after: n === 0 ? [] : [id(n)] }))
    const byId = new Map(chain.map((task) => [task.id, task]))
    const closing = { ...chain[0]!, after: [chain.at(-1)!.id] }
    expect(circleOf(closing, (one) => byId.get(one))).toHaveLength(20_001)
    expect(circleOf(chain.at(-1)!, (one) => byId.get(one))).toBeNull()
    expect(refusal(() => checkDependencies(made(7, { after: [id(8)] }), none)).code).toBe('not_found')
  })

  test('circleOf finds a circle exactly when there is one', () => {
    const edges = fc.array(fc.tuple(fc.nat(7), fc.nat(7)), { maxLength: 14 })
    fc.assert(
      fc.property(edges, fc.nat(7), (pairs, start) => {
        const tasks = Array.from({ length: 8 }, (_, n) => {
          return made(n, { after: pairs.filter(([from]) => from === n).map(([, to]) => id(to)) })
        })
        const find = findIn(tasks)
        const reaches = (from: string, seen: Set<string>): boolean =>
          find(from)!.after.some((to) => to === id(start) || (!seen.has(to) && reaches(to, seen.add(to))))
        expect(circleOf(tasks[start]!, find) !== null).toBe(reaches(id(start), new Set()))
      }),
    )
  })
})

test('the next task is the most urgent that is ready and for me, my role or anybody', () => {
  const tasks = [
    made(1, { priority: 3 }),
    made(2, { priority: 1, for: 'bob' }),
    made(3, { priority: 1, for: 'role:review' }),
    made(4, { priority: 0, after: [id(1)] }),
    made(5, { priority: 3 }),
  ]
  const next = (me: { name: string; roles: string[] }) => claimable(tasks, findIn(tasks), me).map((task) => task.id)
  expect(next({ name: 'alice', roles: [] })).toEqual([id(1), id(5)])
  expect(next({ name: 'bob', roles: ['review'] })).toEqual([id(2), id(3), id(1), id(5)])
  expect([...tasks].sort(byUrgency)[0]!.id).toBe(id(4))
})

const moves: fc.Arbitrary<Move> = fc.oneof(
  ...(['claim', 'release', 'done', 'fail', 'cancel', 'unblock', 'keep', 'fall'] as const).map((word) =>
    fc.constant({ do: word }),
  ),
  fc.record({ do: fc.constant('block' as const), on: fc.constantFrom('words', id(0), id(1), id(2)) }),
  fc.record({ do: fc.constant('unblock' as const), on: fc.constantFrom('words', id(0), id(1)) }),
  fc.record({ do: fc.constant('expire' as const), at: fc.nat(50).map(time), because: fc.constant('gone') }),
  fc.record({ do: fc.constant('edit' as const), after: fc.uniqueArray(fc.constantFrom(id(0), id(1), id(2))) }),
  fc.record({ do: fc.constant('comment' as const), text: fc.string({ maxLength: 20 }) }),
)

test('1,000 random histories end as the plain model of the board says', () => {
  const ids = [id(0), id(1), id(2)]
  const people = [alice, bob, who('carol')]
  fc.assert(
    fc.property(sequences(ids, people.length, { min: 1, max: 40 }), (sequence) => {
      const tasks = [made(0), made(1), made(2)]
      const model = Object.fromEntries(ids.map((one) => [one, newTask('alice')]))
      for (const { on, by, command } of sequence) {
        const actor = people[by]!
        const outcome = play(model, ids[on]!, actor.name, command)
        let real = 'ok'
        try {
          tasks[on] = step(tasks[on]!, command, actor, 1, tasks)
        } catch (error) {
          real = MeshError.from(error).code
        }
        expect(real).toBe(outcome)
      }
      for (const [i, { state, claim, fence, after, blockedOn }] of tasks.entries()) {
        const holder = claim?.holder.name ?? null
        const { creator: _, ...expected } = model[ids[i]!]!
        expect({ state, holder, fence, after, words: blockedOn }).toEqual(expected)
      }
    }),
    { numRuns: 1000 },
  )
})

test('whatever is tried: a claimed task has one holder, what is over never changes its state, fences only grow, no circle', () => {
  const commands = fc.array(fc.tuple(fc.nat(2), moves, fc.constantFrom(alice, bob, who('carol'))), { maxLength: 40 })
  fc.assert(
    fc.property(commands, (sequence) => {
      const tasks = [made(0), made(1), made(2)]
      sequence.forEach(([at, move, by], second) => {
        const before = tasks[at]!
        try {
          tasks[at] = step(before, move, by, second, tasks)
        } catch (error) {
          if (!(error instanceof MeshError)) throw error
          expect(['conflict', 'not_found', 'too_large']).toContain(error.code)
        }
        const after = tasks[at]!
        expect(after.state === 'claimed').toBe(after.claim !== undefined)
        expect(after.fence).toBeGreaterThanOrEqual(before.fence)
        if (after.claim && after.claim.fence !== before.claim?.fence) expect(after.fence).toBe(before.fence + 1)
        if (['done', 'failed', 'cancelled'].includes(before.state)) expect(after.state).toBe(before.state)
        for (const one of tasks) expect(circleOf(one, findIn(tasks))).toBeNull()
      })
    }),
    { numRuns: 1000 },
  )
})
