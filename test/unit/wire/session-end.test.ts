/** Codes of sessions' ends: stated by this release, and read from the words of earlier ones. */
import { expect, test } from 'vitest'
import { readSessionEnd, sessionEnd } from '../../../src/wire/session-end.ts'

test.each([
  ['a stated code decides', { reason: 'gone home', reasonCode: 'idle' }, 'idle'],
  ['an earlier release states words alone', { reason: 'ended by a signal' }, 'signalled'],
  ['a client’s own word is a person who leaves', { reason: 'logout' }, 'left'],
  ['a code of a later release is read by its words', { reason: 'killed', reasonCode: 'evicted' }, 'killed'],
  ['without either its user left it', {}, 'left'],
])('session end - %s', (_, stated, code) => {
  expect(readSessionEnd(stated).code).toBe(code)
})

test('session end - an end that states no words of its own has those of its code', () => {
  expect(sessionEnd('killed')).toEqual({ code: 'killed', reason: 'killed' })
  expect(sessionEnd('left', 'logout')).toEqual({ code: 'left', reason: 'logout' })
})
