/** The state document: what each change makes of it, and what is refused. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { valueAsJson } from '../../../../src/cli/commands/state/values.ts'
import {
  appliedRev,
  applyChange,
  emptyDocument,
  emptyPointer,
  entryOf,
  keptObjects,
  nextPointer,
  type StateChange,
  sizeOf,
} from '../../../../src/core/state/state.ts'
import { MeshError } from '../../../../src/errors.ts'
import { limits } from '../../../../src/wire/limits.ts'
import { type StateDocument, stateDocument, statePointer } from '../../../../src/wire/state.schema.ts'

const made = (rev: number) => ({ rev, at: '2026-11-20T10:00:00.000Z', by: 'api' })
const all = (...changes: StateChange[]) =>
  changes.reduce<StateDocument>((document, change, i) => applyChange(document, change, made(i + 1)), emptyDocument)
const set = (key: string, value = 'x', ifRev?: number): StateChange => ({
  do: 'set',
  key,
  value,
  ...(ifRev === undefined ? {} : { ifRev }),
})
const codeOf = (act: () => unknown) => {
  try {
    act()
    return 'done'
  } catch (error) {
    return MeshError.from(error).code
  }
}

test('a key is set, set again and removed; its revision is that of its last change', () => {
  const document = all(set('plan', 'a'), set('next', 'b'), set('plan', 'c'))
  expect(document.entries.map(({ key, value, rev }) => [key, value, rev])).toEqual([
    ['next', 'b', 2],
    ['plan', 'c', 3],
  ])
  const removed = applyChange(document, { do: 'rm', key: 'next' }, made(4))
  expect(removed.entries.map(({ key }) => key)).toEqual(['plan'])
  expect(codeOf(() => applyChange(removed, { do: 'rm', key: 'next' }, made(5)))).toBe('not_found')
})

test.each([
  '../../x',
  '__proto__',
  'constructor',
  'toString',
  '/etc/passwd',
  '.',
  '..',
  'a.b',
  '*',
  '>',
  'ключ',
  '計画',
])('the key %s is a word like any other', (key) => {
  const document = all(set(key, 'mine'), set('other', 'theirs'))
  expect(entryOf(document, key)?.value).toBe('mine')
  expect(entryOf(emptyDocument, key)).toBeUndefined()
  expect(stateDocument.parse(JSON.parse(JSON.stringify(document)))).toEqual(document)
  expect(({} as Record<string, unknown>).value).toBeUndefined()
})

test.each([
  ['nothing', ''],
  ['a space', 'a b'],
  ['a line', 'a\nb'],
  ['a control character', 'a\u0007'],
  ['a NUL', '\0'],
  ['a bidi override', 'a\u202eb'],
  ['a zero-width space', 'a\u200bb'],
  ['a lone surrogate', 'a\ud800'],
  ['10 kB', 'k'.repeat(10_240)],
])('a key of %s is refused in one line', (_, key) => {
  const error = (() => {
    try {
      all(set(key))
    } catch (thrown) {
      return MeshError.from(thrown)
    }
    return null
  })()
  expect(error?.code).toBe('bad_request')
  expect(error?.message).toMatch(/^"[\x20-\x7e]*" is not a key$/)
  expect(error!.message.length).toBeLessThan(600)
})

test('with ifRev a change is made only on what its maker saw', () => {
  const document = all(set('plan', 'a'))
  expect(codeOf(() => applyChange(document, set('plan', 'b', 0), made(2)))).toBe('conflict')
  expect(codeOf(() => applyChange(document, set('plan', 'b', 2), made(2)))).toBe('conflict')
  expect(codeOf(() => applyChange(document, set('new', 'b', 1), made(2)))).toBe('conflict')
  expect(codeOf(() => applyChange(document, { do: 'rm', key: 'plan', ifRev: 9 }, made(2)))).toBe('conflict')
  expect(applyChange(document, set('plan', 'b', 1), made(2)).entries[0]).toMatchObject({ value: 'b', rev: 2 })
  expect(applyChange(document, set('new', 'b', 0), made(2)).entries).toHaveLength(2)
})

test('values and notes together have at most a mebibyte, counted in bytes', () => {
  const whole = 'é'.repeat(limits.stateBytes / 2)
  const document = all(set('big', whole))
  expect(sizeOf(document)).toBe(limits.stateBytes)
  expect(codeOf(() => applyChange(document, set('more', 'x'), made(2)))).toBe('too_large')
  expect(codeOf(() => applyChange(document, { do: 'note', text: 'x' }, made(2)))).toBe('too_large')
  expect(codeOf(() => all(set('big', `${whole}x`)))).toBe('too_large')
  expect(applyChange(document, set('big', 'small'), made(2)).entries[0]!.value).toBe('small')
})

test('there are at most a thousand keys; of notes the newest hundred stay', () => {
  const many = all(...Array.from({ length: limits.stateKeys }, (_, i) => set(`k${i}`)))
  expect(codeOf(() => applyChange(many, set('one-more'), made(1)))).toBe('too_large')
  expect(applyChange(many, set('k0', 'again'), made(1)).entries).toHaveLength(limits.stateKeys)
  const notes = all(...Array.from({ length: 130 }, (_, i) => ({ do: 'note' as const, text: `n${i}` }))).notes
  expect([notes.length, notes[0]!.text, notes.at(-1)!.text]).toEqual([limits.stateNotes, 'n30', 'n129'])
  expect(codeOf(() => all({ do: 'note', text: ' ' }))).toBe('bad_request')
  expect(codeOf(() => all({ do: 'note', text: 'x'.repeat(limits.stateNoteChars + 1) }))).toBe('too_large')
})

test('what is no text is refused', () => {
  expect(codeOf(() => all(set('plan', 'half \ud800')))).toBe('bad_request')
})

test('a pointer remembers the last operations and what revision each made', () => {
  const change = (op: string) => ({ op, at: made(1).at, by: { member: 'local', name: 'api', epoch: 1 }, what: 'set' })
  const op = (i: number) => i.toString(16).padStart(32, '0')
  let pointer = emptyPointer
  for (let i = 1; i <= 40; i++)
    pointer = nextPointer(pointer, { object: 'a'.repeat(64), size: 1, epoch: 1 }, change(op(i)))
  expect([pointer.rev, pointer.recent.length]).toEqual([40, limits.stateRecent])
  expect([appliedRev(pointer, op(40)), appliedRev(pointer, op(30)), appliedRev(pointer, op(3))]).toEqual([
    40,
    30,
    undefined,
  ])
  expect(statePointer.parse(JSON.parse(JSON.stringify(pointer)))).toEqual(pointer)
})

test('the objects of the newest revisions stay, and the current one however large', () => {
  const pointer = (object: string, size: number) => ({ ...emptyPointer, object, size })
  const half = limits.stateHistoryBytes / 2
  expect(keptObjects([[pointer('a', half), pointer('b', half), pointer('c', half)]])).toEqual(new Set(['c', 'b']))
  expect(keptObjects([[pointer('a', 1), pointer('b', 3 * half)], []])).toEqual(new Set(['b']))
  // Another document names it: it stays.
  expect(keptObjects([[pointer('a', 1), pointer('b', 3 * half)], [pointer('a', 1)]])).toEqual(new Set(['a', 'b']))
  expect(keptObjects([[emptyPointer]])).toEqual(new Set())
})

test('whatever the changes, a document survives the wire and holds each key once, as set last', () => {
  const key = fc.constantFrom('a', 'b', '__proto__', '../../x')
  const change = fc.oneof(
    fc.record({ do: fc.constant('set' as const), key, value: fc.string() }),
    fc.record({ do: fc.constant('rm' as const), key }),
  )
  fc.assert(
    fc.property(fc.array(change, { maxLength: 30 }), (changes) => {
      const expected = new Map<string, string>()
      let document = emptyDocument
      for (const [i, one] of changes.entries()) {
        if (codeOf(() => applyChange(document, one, made(i + 1))) !== 'done') continue
        document = applyChange(document, one, made(i + 1))
        if (one.do === 'set') expected.set(one.key, one.value)
        else expected.delete(one.key)
      }
      const read = stateDocument.parse(JSON.parse(JSON.stringify(document)))
      expect(new Map(read.entries.map(({ key, value }) => [key, value]))).toEqual(expected)
      expect(read.entries).toHaveLength(expected.size)
    }),
  )
})

test.each([
  ['words', 'words'],
  ['{"a": [1, null]}', { a: [1, null] }],
  ['7', 7],
  ['true', true],
  ['007', '007'],
  ['1e400', '1e400'],
  ['12345678901234567890', '12345678901234567890'],
  ['"quoted"', '"quoted"'],
  ['', ''],
])('%s as JSON loses nothing', (text, value) => {
  expect(valueAsJson(text)).toEqual(value)
})
