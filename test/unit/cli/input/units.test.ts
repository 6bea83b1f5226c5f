import { expect, test } from 'vitest'
import { joinWords } from '../../../../src/cli/input/text.ts'
import { parseChoice, parseCount, parseDuration } from '../../../../src/cli/input/units.ts'
import { checkId, checkTarget, checkThread } from '../../../../src/cli/input/values.ts'

test.each([
  ['500ms', 500],
  ['30s', 30_000],
  ['5m', 300_000],
  ['2h', 7_200_000],
  ['1.5s', 1500],
  ['0s', 0],
  ['596h', 2_145_600_000],
])('a duration: %s', (text, ms) => {
  expect(parseDuration(text, '--timeout')).toBe(ms)
})

test.each(['', '5', 's', '-5s', '5 s', '5S', '1e3s', '0x5s', '5d', '5s5s', '597h', `${'9'.repeat(50)}s`, '٣s', 'NaNs'])(
  'not a duration: %j',
  (text) => {
    expect(() => parseDuration(text, '--timeout')).toThrow(expect.objectContaining({ code: 'bad_request' }))
  },
)

test('a count is a whole number within its bounds', () => {
  expect(parseCount('1', '--limit', 1, 100)).toBe(1)
  expect(parseCount('100', '--limit', 1, 100)).toBe(100)
  for (const text of ['0', '101', '1.0', '1e1', '-1', '', ' 1', '0x1', '9'.repeat(30)]) {
    expect(() => parseCount(text, '--limit', 1, 100)).toThrow(expect.objectContaining({ code: 'bad_request' }))
  }
})

test('a choice is one of its words, and an error lists them', () => {
  expect(parseChoice('idle', '--until', ['idle', 'end'])).toBe('idle')
  expect(() => parseChoice('toString', '--until', ['idle', 'end'])).toThrow(/one of idle, end/)
})

test('ids, targets and threads', () => {
  const id = `m_${'a1'.repeat(16)}`
  expect(checkId(id)).toBe(id)
  expect(checkId(id.slice(0, 10))).toBe(id.slice(0, 10))
  for (const text of ['m_', 'm_123', `${id}0`, 'm_XYZ12345', 'alice', '', 'm_12345678\n']) {
    expect(() => checkId(text)).toThrow(expect.objectContaining({ code: 'bad_request' }))
  }
  expect(checkTarget('alice')).toBe('alice')
  expect(checkTarget(id)).toBe(id)
  expect(() => checkTarget('r_1')).toThrow(expect.objectContaining({ code: 'not_found' }))
  expect(() => checkTarget('a.b')).toThrow(expect.objectContaining({ code: 'bad_name' }))
  expect(checkThread('schema work')).toBe('schema work')
  for (const text of ['', 'a\nb', 'a\x1b[0m', 'x'.repeat(129)]) {
    expect(() => checkThread(text)).toThrow(expect.objectContaining({ code: 'bad_request' }))
  }
})

test('words are joined by a space, and bounded', () => {
  expect(joinWords(['the', 'schema', 'landed'])).toBe('the schema landed')
  expect(() => joinWords(['x'.repeat(8 * 1024 * 1024 + 1)])).toThrow(expect.objectContaining({ code: 'too_large' }))
})
