import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { covers, overlap } from '../../../../src/core/files/paths.ts'
import { MeshError } from '../../../../src/errors.ts'
import { checkBraces, checkPath } from '../../../../src/wire/paths.ts'

const codeOf = (run: () => void) => {
  try {
    run()
    return 'fine'
  } catch (error) {
    return MeshError.from(error).code
  }
}

test.each([
  ['src/a.ts', 'src/a.ts', true],
  ['src/a.ts', 'src/b.ts', false],
  ['src', 'src/core/a.ts', true],
  ['src', 'srcs/a.ts', false],
  ['src/*.ts', 'src/a.ts', true],
  ['src/*.ts', 'src/core/a.ts', false],
  ['src/*', 'src/core', true],
  ['src/**/*.ts', 'src/a.ts', true],
  ['src/**/*.ts', 'src/core/deep/a.ts', true],
  ['src/**/*.ts', '**/b?.ts', true],
  ['src/**/*.ts', 'test/**', false],
  ['*a*b', 'b*a', false],
  ['*a*b', 'a*c', false],
  ['*a*b', '?b', true],
  ['**', 'anything/at/all', true],
  ['app/[id]/page.tsx', 'app/i/page.tsx', false],
  ['app/[id]/page.tsx', 'app/[id]/*', true],
  ['README.md', 'readme.MD', true],
  ['caf\u00e9.ts', 'cafe\u0301.ts', true],
  ['a/**/b/**/c', 'a/?', false],
  ['a/**/b/**/c', 'a/c', true],
  ['a/**/b/**/c', 'a/b/c', true],
  ['**/x', 'x/**/y', false],
])('%s and %s: %s', (a, b, expected) => {
  expect([overlap(a, b), overlap(b, a)]).toEqual([expected, expected])
})

test('a file whose name holds wildcards is that file alone', () => {
  expect(covers('src/*.ts', 'src/*.ts')).toBe(true)
  expect(covers('src/a.ts', 'src/*.ts')).toBe(false)
  expect(covers('src/a?.ts', 'src/a?.ts')).toBe(true)
})

describe('against all short paths', () => {
  const names = ['a', 'b', 'ab', 'ba']
  const files = names.flatMap((one) => [one, ...names.flatMap((two) => [`${one}/${two}`, `${one}/${two}/a`])])
  // What a claim means, said in another way.
  const meaning = (path: string) => {
    const word = (name: string) => name.replaceAll('*', '[^/]*').replaceAll('?', '[^/]')
    const parts = path.split('/').map((name) => (name === '**' ? '(?:[^/]+/)*' : `${word(name)}/`))
    return new RegExp(`^${parts.join('')}${/[*?]/.test(path) ? '' : '(?:[^/]+/)*'}$`)
  }
  const name = fc.constantFrom('a', 'b', 'ab', '*', '**', '?', 'a*', '*b', '?b', '*a*')
  const path = fc.array(name, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/'))

  test('covers is what the pattern means', () => {
    fc.assert(
      fc.property(path, fc.constantFrom(...files), (claimed, file) => {
        expect(covers(claimed, file)).toBe(meaning(claimed).test(`${file}/`))
      }),
      { numRuns: 5000 },
    )
  })

  test('patterns for one file overlap, whichever comes first', () => {
    fc.assert(
      fc.property(path, path, (a, b) => {
        const shared = files.some((file) => covers(a, file) && covers(b, file))
        if (shared) expect(overlap(a, b)).toBe(true)
        expect(overlap(a, b)).toBe(overlap(b, a))
      }),
      { numRuns: 5000 },
    )
  })

  test('overlapping patterns have a file in common', () => {
    const short = fc.array(name, { minLength: 1, maxLength: 2 }).map((parts) => parts.join('/'))
    const letters = ['a', 'b', 'ab', 'ba', 'bb', 'aab', 'bab', 'aba', 'abb']
    const below = (files: string[]) => files.flatMap((one) => letters.map((two) => `${one}/${two}`))
    const many = [...letters, ...below(letters), ...below(below(letters))]
    fc.assert(
      fc.property(short, short, (a, b) => {
        fc.pre(overlap(a, b))
        expect(many.some((file) => covers(a, file) && covers(b, file))).toBe(true)
      }),
      { numRuns: 2000 },
    )
  })
})

test('the longest patterns are judged in no time', () => {
  const a = '*a'.repeat(512)
  const begun = performance.now()
  expect(overlap(a, `${'*b'.repeat(511)}*c`)).toBe(false)
  expect(performance.now() - begun).toBeLessThan(2000)
})

test('a path that cannot be claimed is refused', () => {
  expect(codeOf(() => checkPath(`${'*'.repeat(10_240)}`))).toBe('too_large')
  for (const bad of ['', 'a\nb', 'a\u0000', 'a\u202eb', 'a\\b', '\ud800'])
    expect(codeOf(() => checkPath(bad))).toBe('bad_request')
  for (const good of ['a', 'src/**', 'app/[id]/(group)/@x', 'ein Name', '日本.md', '-x']) checkPath(good)
  expect(codeOf(() => checkBraces('src/{a,b}.ts'))).toBe('bad_request')
  checkBraces('{{cookiecutter.name}}/a')
})
