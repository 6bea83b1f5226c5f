import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { MeshError } from '../../../src/errors.ts'
import { limits } from '../../../src/wire/limits.ts'
import {
  checkName,
  checkToken,
  formatRecipient,
  isMessageId,
  isName,
  isToken,
  newId,
  parseRecipient,
  patterns,
  quote,
  slugOf,
  suffixed,
  toName,
} from '../../../src/wire/names.ts'

/** RELIABILITY.md §4: names that must be refused before any I/O. */
const badNames = [
  '',
  '.',
  '..',
  '*',
  '>',
  'a.b',
  'a b',
  ' a',
  'a\n',
  'a\r\nb',
  'a\0b',
  '$JS',
  '$js',
  '__proto__',
  '-a',
  '_a',
  'A',
  'é',
  'а',
  '\u202ea',
  '../etc',
  'a/b',
  'a'.repeat(65),
  'a'.repeat(5000),
]
const goodNames = ['a', '0', 'api', 'api-worker', 'a_b-c', 'mesh', 'm', 'mx_', 'constructor', 'a'.repeat(64)]
const nameLike = fc.oneof(
  fc.string({ maxLength: 80 }),
  fc.string({ unit: fc.constantFrom(...'amrtz09_-.:@ all'), maxLength: 70 }),
  fc.constantFrom('all', 'operator', 'topic', 'role', 'm_x', 'r_', 't_1', ...badNames, ...goodNames),
)

function codeOf(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    return MeshError.from(error).code
  }
  return 'none'
}

describe('names', () => {
  test.each(badNames)('%j is neither a name nor a token', (name) => {
    expect(isName(name)).toBe(false)
    expect(isToken(name)).toBe(false)
    expect(codeOf(() => checkName(name))).toBe('bad_name')
    expect(codeOf(() => checkToken(name, 'topic'))).toBe('bad_name')
  })

  test.each(goodNames)('%j is a name', (name) => {
    expect(checkName(name)).toBe(name)
    expect(isToken(name)).toBe(true)
  })

  test.each(['all', 'operator', 'topic', 'role', 'm_x', 'r_1', 't_', 'm_'])('%j is a token but no name', (name) => {
    expect(isToken(name)).toBe(true)
    expect(isName(name)).toBe(false)
    expect(codeOf(() => checkName(name))).toBe('bad_name')
  })

  test('an error shows a bad name short, quoted and without control characters', () => {
    for (const name of badNames) {
      const { message } = MeshError.from(catchError(() => checkName(name)))
      expect(message).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u)
      expect(message.length).toBeLessThan(300)
    }
  })

  test('quote gives a line of bounded length that hides nothing for any text, in its own letters', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (text) => {
        expect(quote(text)).toMatch(/^"[^\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]{0,800}"$/u)
      }),
    )
    expect(quote('\ud83d\ude80 認証')).toBe('"\ud83d\ude80 認証"')
    expect(quote('\ud83d \u202e\u200b')).toBe('"\\ud83d \\u{202e}\\u{200b}"')
  })
})

function catchError(run: () => unknown): unknown {
  try {
    run()
  } catch (error) {
    return error
  }
  throw new Error('did not throw')
}

describe('recipients', () => {
  test.each([
    ['web', { kind: 'session', name: 'web' }],
    ['topic:schema', { kind: 'topic', name: 'schema' }],
    ['topic:all', { kind: 'topic', name: 'all' }],
    ['role:reviewer', { kind: 'role', name: 'reviewer' }],
    ['operator', { kind: 'role', name: 'operator' }],
    ['role:operator', { kind: 'role', name: 'operator' }],
    ['@all', { kind: 'all' }],
  ] as const)('%s is read', (text, recipient) => {
    expect(parseRecipient(text)).toEqual(recipient)
  })

  test.each([
    'topic:',
    'role:',
    'topic:a.b',
    'role:*',
    'topic:topic:a',
    '@ALL',
    '@',
    'all',
    'm_x',
    'Topic:a',
    ...badNames,
  ])('%j is refused', (text) => {
    expect(codeOf(() => parseRecipient(text))).toBe('bad_name')
  })

  test('reading what was formatted gives the same', () => {
    fc.assert(
      fc.property(nameLike, (text) => {
        if (codeOf(() => parseRecipient(text)) !== 'none') return
        const recipient = parseRecipient(text)
        expect(parseRecipient(formatRecipient(recipient))).toEqual(recipient)
      }),
    )
  })

  test('the pattern in the schema accepts exactly what parseRecipient accepts', () => {
    const prefixed = fc.tuple(fc.constantFrom('', 'topic:', 'role:', '@'), nameLike).map((parts) => parts.join(''))
    fc.assert(
      fc.property(prefixed, (text) => {
        expect(patterns.recipient.test(text)).toBe(codeOf(() => parseRecipient(text)) === 'none')
      }),
      { numRuns: 2000 },
    )
  })
})

describe('made names', () => {
  test('toName makes a name of any text', () => {
    const anyText = fc.oneof(nameLike, fc.string({ unit: 'binary', maxLength: 300 }))
    fc.assert(
      fc.property(anyText, (text) => {
        expect(isName(toName(text))).toBe(true)
      }),
      { numRuns: 500 },
    )
  })

  test.each([
    ['feature/API worker', 'feature-api-worker'],
    ['main', 'main'],
    ['', 'session'],
    ['日本語', 'session'],
    ['all', 's-all'],
    ['m_x', 's-m_x'],
    ['__proto__', 'proto'],
    ['../../etc/passwd', 'etc-passwd'],
  ])('toName(%j) is %j', (text, name) => {
    expect(toName(text)).toBe(name)
  })

  test('slugOf keeps to its length and ends in a letter or digit', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 100 }), fc.integer({ min: 1, max: 40 }), (text, max) => {
        expect(slugOf(text, max)).toMatch(/^$|^[a-z0-9]([a-z0-9_-]*[a-z0-9])?$/)
        expect(slugOf(text, max).length).toBeLessThanOrEqual(max)
      }),
    )
  })

  test('suffixed names are names, and differ', () => {
    fc.assert(
      fc.property(nameLike.filter(isName), fc.integer({ min: 1, max: 99_999 }), (name, n) => {
        expect(isName(suffixed(name, n))).toBe(true)
        expect(suffixed(name, n)).not.toBe(suffixed(name, n + 1))
        expect(suffixed(name, n)).not.toBe(suffixed(name, n + 10))
      }),
    )
    expect(suffixed('api', 1)).toBe('api')
    expect(suffixed('api', 2)).toBe('api-2')
    expect(suffixed('a'.repeat(limits.name), 12)).toBe(`${'a'.repeat(61)}-12`)
  })
})

describe('ids', () => {
  test('new ids are of their kind, long and never names', () => {
    for (const kind of ['m', 'r', 't'] as const) {
      const id = newId(kind)
      expect(id).toMatch(new RegExp(`^${kind}_[0-9a-f]{32}$`))
      expect(isName(id)).toBe(false)
    }
    expect(new Set(Array.from({ length: 1000 }, () => newId('m'))).size).toBe(1000)
  })

  test.each([
    '',
    'm_',
    'm_x',
    `m_${'0'.repeat(31)}`,
    `m_${'0'.repeat(33)}`,
    `m_${'A'.repeat(32)}`,
    `r_${'0'.repeat(32)}`,
  ])('%j is no message id', (id) => {
    expect(isMessageId(id)).toBe(false)
  })
})
