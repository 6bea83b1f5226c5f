/** Answers to control messages: a refusal is stated, and known by its first word from sidecars of the first release. */
import { expect, test } from 'vitest'
import { isRefusal, refusal } from '../../../../src/core/mail/control.ts'

test('control - a refusal is known by its mark, by its words from the first release, and nothing else is one', () => {
  expect(isRefusal(refusal('only people may'))).toBe(true)
  expect(isRefusal({ evidence: 'no', refused: true })).toBe(true)
  expect(isRefusal({ evidence: "refused: its signature is not the member's" })).toBe(true)
  expect(isRefusal({ evidence: 'counted anew; 2 held messages go on' })).toBe(false)
})

test('control - sidecars of the first release know a refusal by its words', () => {
  expect(refusal('only people may').evidence).toBe('refused: only people may')
})
