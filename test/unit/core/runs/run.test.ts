/** The life of a run: every move that is legal, and that no other is made. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  advance,
  exitOf,
  fold,
  isOver,
  isTerminal,
  type Run,
  recordAfter,
  refusal,
  type Step,
} from '../../../../src/core/runs/run.ts'
import { eventType, type RunEvent, runKind, terminalType } from '../../../../src/wire/run.schema.ts'
import { fixture } from '../../../support/samples.ts'

const golden = JSON.parse(fixture('golden/run_event.json')) as RunEvent

function steps(kind: Step['runKind'], ...types: Step['type'][]): Step[] {
  return types.map((type, i) => ({ type, seq: i + 1, runKind: kind }))
}

function play(kind: Step['runKind'], ...types: Step['type'][]): Run {
  let run: Run | null = null
  for (const step of steps(kind, ...types)) run = advance(run, step)
  return run!
}

const anyStep = fc.record({
  type: fc.constantFrom(...eventType.options),
  seq: fc.integer({ min: 1, max: 8 }),
  runKind: fc.constantFrom(...runKind.options),
})

describe('legal lives', () => {
  test.each([
    ['process', ['run_spawned', 'run_completed'], 'completed'],
    ['process', ['run_spawned', 'run_progress', 'run_failed'], 'failed'],
    ['session', ['run_spawned', 'run_waiting', 'run_progress', 'run_idle', 'run_cancelled'], 'cancelled'],
    ['subagent', ['run_spawned', 'run_idle', 'run_terminated'], 'terminated'],
    ['session', ['run_spawned', 'run_waiting'], 'waiting'],
    ['session', ['run_spawned', 'run_waiting', 'run_progress'], 'running'],
    ['session', ['run_spawned'], 'spawned'],
  ] as const)('%s: %s is %s', (kind, types, state) => {
    expect(play(kind, ...types)).toEqual({ kind, state, seq: types.length })
  })

  test('a process runs as soon as it is spawned', () => {
    expect(advance(null, { type: 'run_spawned', seq: 1, runKind: 'process', pid: 7 }).state).toBe('running')
  })
})

describe('illegal moves', () => {
  test.each([
    ['first of all a run is spawned', [{ type: 'run_progress', seq: 1, runKind: 'process' }]],
    ['a run is spawned once', steps('process', 'run_spawned', 'run_spawned')],
    ['a number twice', [...steps('process', 'run_spawned'), { type: 'run_progress', seq: 1, runKind: 'process' }]],
    ['a gap', [...steps('process', 'run_spawned'), { type: 'run_progress', seq: 3, runKind: 'process' }]],
    ['another kind', [...steps('process', 'run_spawned'), { type: 'run_progress', seq: 2, runKind: 'session' }]],
    ['a process is never idle', steps('process', 'run_spawned', 'run_idle')],
    ['progress after the end', steps('process', 'run_spawned', 'run_failed', 'run_progress')],
    ['a second end', steps('session', 'run_spawned', 'run_completed', 'run_terminated')],
  ] as [string, Step[]][])('%s is refused', (_, moves) => {
    let run: Run | null = null
    for (const step of moves.slice(0, -1)) run = advance(run, step)
    expect(() => advance(run, moves.at(-1)!)).toThrow(expect.objectContaining({ code: 'conflict' }))
  })
})

test('whatever comes, there is at most one end, nothing follows it, and numbers have no gaps', () => {
  fc.assert(
    fc.property(fc.array(anyStep, { maxLength: 40 }), (all) => {
      let run: Run | null = null
      const taken: Step[] = []
      for (const step of all) {
        if (refusal(run, step) !== null) {
          expect(() => advance(run, step)).toThrow()
          continue
        }
        run = advance(run, step)
        taken.push(step)
      }
      const ends = taken.filter(({ type }) => isTerminal(type))
      expect(ends.length).toBeLessThanOrEqual(1)
      if (ends.length === 1) expect(taken.at(-1)).toBe(ends[0])
      expect(taken.map(({ seq }) => seq)).toEqual(taken.map((_, i) => i + 1))
      expect(run !== null && isOver(run.state)).toBe(ends.length === 1)
      expect(fold(all)).toEqual(run)
    }),
    { numRuns: 2000 },
  )
})

test('a reader that meets events twice, or bent ones between them, sees the same run', () => {
  const life = steps('session', 'run_spawned', 'run_progress', 'run_idle', 'run_completed')
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat({ max: 4 }), fc.nat({ max: 3 })), { maxLength: 12 }), (repeats) => {
      const read = [...life]
      for (const [at, which] of repeats) read.splice(Math.max(at, which + 1), 0, life[which]!)
      expect(fold(read)).toEqual({ kind: 'session', state: 'completed', seq: 4 })
    }),
  )
})

test('each end has its own exit code, and a run that goes on has none', () => {
  expect(terminalType.options.map((type) => exitOf(play('session', 'run_spawned', type).state))).toEqual([
    0, 10, 12, 11,
  ])
  expect(exitOf('running')).toBe(0)
})

test('a record follows its events', () => {
  const spawned = { state: 'running', seq: 1, startedAt: golden.at } as const
  const progress = { ...golden, type: 'run_progress', seq: 2, text: 'half', percent: 50 } as const
  const after = recordAfter(spawned, progress)
  expect(after).toMatchObject({ state: 'running', seq: 2, text: 'half', percent: 50 })
  expect(recordAfter(after, golden)).toEqual({
    ...after,
    state: 'failed',
    seq: 3,
    endedAt: golden.at,
    reason: 'exit 7',
    exitCode: 7,
    durationMs: 3012,
  })
  const doubtful = { ...golden, type: 'run_completed', suspect: 'no final message' } as const
  expect(recordAfter(after, doubtful)).toMatchObject({ state: 'completed', suspect: 'no final message' })
})
