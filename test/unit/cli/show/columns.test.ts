import fc from 'fast-check'
import { expect, test } from 'vitest'
import { columns } from '../../../../src/cli/show/columns.ts'
import { ago, clock } from '../../../../src/cli/show/time.ts'
import { fit, pad, widthOf, wrap } from '../../../../src/cli/show/width.ts'

test('ago is one number and one unit', () => {
  const now = Date.parse('2026-01-10T00:00:00Z')
  const before = (seconds: number) => ago(new Date(now - seconds * 1000).toISOString(), now)
  expect([0, 59, 60, 3599, 3600, 86_399, 86_400, 864_000].map(before)).toEqual([
    '0s',
    '59s',
    '1m',
    '59m',
    '1h',
    '23h',
    '1d',
    '10d',
  ])
  // A clock that is ahead, and a time that is none.
  expect(before(-5)).toBe('0s')
  expect(ago('soon', now)).toBe('?')
})

test('columns are aligned and lose nothing', () => {
  expect(
    columns([
      ['NAME', 'STATUS'],
      ['a', 'idle'],
      ['longer', ''],
    ]),
  ).toEqual(['NAME    STATUS', 'a       idle', 'longer'])
  expect(columns([])).toEqual([])
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.stringMatching(/^[a-z]{1,9}$/), fc.stringMatching(/^[a-z]{1,9}$/))), (rows) => {
      const lines = columns(rows)
      expect(lines.map((line) => line.split(/ +/))).toEqual(rows)
    }),
  )
})

test('a table fits its width by cutting its widest columns', () => {
  const rows = [
    ['NAME', 'STATUS', 'TITLE'],
    ['api', 'idle', 'a title that is longer than all the rest of the row together'],
    ['a-name-that-is-rather-long-as-well', 'busy', 'short'],
  ]
  const lines = columns(rows, 40)
  expect(Math.max(...lines.map(widthOf))).toBeLessThanOrEqual(40)
  expect(lines[1]).toMatch(/^api +idle +a title[^…]*…$/)
  expect(lines[2]).toMatch(/^a-name[^ ]*… +busy +short$/)
  expect(columns(rows, 200)).toEqual(columns(rows))
})

test('no line of a table is wider than the terminal, whatever is in it', () => {
  const cell = fc.oneof(
    fc.string({ unit: 'grapheme' }),
    fc.constantFrom('日本語のとても長い題名', '👩‍👩‍👧‍👦👍🏽', 'a\u0301e\u0301', ''),
  )
  const row = fc.tuple(cell, cell, cell)
  fc.assert(
    fc.property(fc.array(row, { minLength: 1 }), fc.integer({ min: 10, max: 120 }), (rows, width) => {
      for (const line of columns(rows, width)) expect(widthOf(line)).toBeLessThanOrEqual(width)
    }),
  )
})

test.each([
  ['plain', 5],
  ['日本', 4],
  ['a\u0301', 1],
  ['👩‍👩‍👧‍👦', 2],
  ['🇩🇪', 2],
  ['❤\ufe0f', 2],
  ['é…', 2],
])('a terminal shows %j in its columns', (text, width) => {
  expect(widthOf(text)).toBe(width)
})

test('a text is cut between characters, and a path keeps its end', () => {
  expect(fit('abcdef', 6)).toBe('abcdef')
  expect(fit('abcdefg', 6)).toBe('abcde…')
  expect(fit('日本語', 4)).toBe('日…')
  expect(fit('/home/ann/work/api', 10)).toBe('…/work/api')
  expect(fit('x', 0)).toBe('')
  expect(pad('日', 4)).toBe('日  ')
})

test('a text is wrapped between words', () => {
  expect(wrap('one two three four', 9)).toEqual(['one two', 'three', 'four'])
  expect(wrap('overlong-word x', 4)).toEqual(['overlong-word', 'x'])
})

test('a time of today is short, another has its day, and UTC is marked', () => {
  const now = Date.parse('2026-11-30T20:00:00Z')
  expect(clock('2026-11-30T13:48:05.123Z', now, true)).toBe('13:48:05Z')
  expect(clock('2026-11-02T13:48:05.123Z', now, true)).toBe('Nov 02 13:48Z')
  expect(clock('2025-11-02T13:48:05.123Z', now, true)).toBe('2025-11-02 13:48Z')
  expect(clock('never', now, true)).toBe('never')
  const local = new Date(2026, 10, 30, 9, 5, 7)
  expect(clock(local.toISOString(), new Date(2026, 10, 30, 10).getTime(), false)).toBe('09:05:07')
})
