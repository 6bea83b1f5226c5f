/** Codes of ends: stated by this release, and read from the prose of earlier ones. */
import { expect, test } from 'vitest'
import { runReasonCode } from '../../../../src/core/runs/reason-code.ts'

test.each([
  ['a stated code decides, whatever the prose says', { reason: 'out of time', reasonCode: 'timeout' }, 'timeout'],
  ['an earlier release states prose alone', { reason: 'cancelled by ann' }, 'cancelled'],
  ['a code of a later release is read by its prose', { reason: 'timeout', reasonCode: 'budget_spent' }, 'timeout'],
  ['prose that nobody of us wrote has no code', { reason: 'the moon' }, undefined],
  ['a name of an object’s own is no code', { reason: 'killed', reasonCode: 'toString' }, 'killed'],
  ['a run that goes on has none', {}, undefined],
])('reason code - %s', (_, stated, code) => {
  expect(runReasonCode(stated)).toBe(code)
})
