/** The checker of histories: it finds what is wrong, and only that. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Call, explain, type Spec } from '../support/fault/linear.ts'

type Input = { write: number } | 'read'
type Known = Call<Input, number>

/** A register: a write answers with what it wrote. */
const register: Spec<number, Input, number> = {
  initial: 0,
  step(state, input, output) {
    const next = input === 'read' ? state : input.write
    return output === null || output === next ? next : null
  },
}

const call = (input: Input, output: number | null, madeAt: number, answeredAt: number): Known => {
  return { input, output, madeAt, answeredAt }
}
const isRight = (...calls: Known[]) => explain(calls, register) !== null

test('an answer that was right at some moment between call and answer is right', () => {
  expect(isRight(call({ write: 1 }, 1, 0, 10), call('read', 1, 5, 6), call('read', 1, 7, 8))).toBe(true)
  expect(isRight(call({ write: 1 }, 1, 0, 10), call('read', 0, 5, 6), call('read', 1, 7, 8))).toBe(true)
})

test('one that goes back in time, is out of date or made up is wrong', () => {
  expect(isRight(call({ write: 1 }, 1, 0, 10), call('read', 1, 5, 6), call('read', 0, 7, 8))).toBe(false)
  expect(isRight(call({ write: 1 }, 1, 0, 1), call('read', 0, 2, 3))).toBe(false)
  expect(isRight(call('read', 7, 0, 1))).toBe(false)
})

test('what has an unknown outcome may have happened later, or never, but not before it was made', () => {
  const unknown = call({ write: 1 }, null, 0, 1)
  expect(isRight(unknown, call('read', 0, 2, 3), call('read', 1, 4, 5))).toBe(true)
  expect(isRight(unknown, call('read', 0, 2, 3))).toBe(true)
  expect(isRight(unknown, call('read', 1, 2, 3), call('read', 0, 4, 5))).toBe(false)
  expect(isRight(call('read', 1, 0, 1), { ...unknown, madeAt: 2 })).toBe(false)
})

/** Every order, each call in it or, if its outcome is unknown, not. */
function byTryingAll(calls: readonly Known[], state: number): boolean {
  if (calls.every(({ output }) => output === null)) return true
  return calls.some((one, i) => {
    const rest = calls.filter((_, j) => j !== i)
    if (rest.some(({ output, answeredAt }) => output !== null && answeredAt < one.madeAt)) return false
    const next = register.step(state, one.input, one.output)
    return next !== null && byTryingAll(rest, next)
  })
}

test('it agrees with trying everything', () => {
  const input: fc.Arbitrary<Input> = fc.oneof(fc.constant('read' as const), fc.record({ write: fc.nat(2) }))
  const calls = fc.array(
    fc
      .tuple(input, fc.option(fc.nat(2)), fc.nat(8), fc.nat(4))
      .map(([input, output, madeAt, took]) => call(input, output, madeAt, madeAt + took)),
    { maxLength: 6 },
  )
  fc.assert(
    fc.property(calls, (history) => {
      expect(explain(history, register) !== null).toBe(byTryingAll(history, 0))
    }),
    { numRuns: 2000 },
  )
})
