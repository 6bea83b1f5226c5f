import { expect, test } from 'vitest'
import { claimed, claimOn, passed, released, type Standing, standing } from '../../../../src/core/files/claims.ts'
import { MeshError } from '../../../../src/errors.ts'
import type { FileClaim } from '../../../../src/wire/files.schema.ts'
import { limits } from '../../../../src/wire/limits.ts'

const actor = (name: string, epoch = 1) => ({ member: 'local', name, epoch })
const AT = '2026-11-21T08:00:00.000Z'
const UNTIL = '2026-11-21T09:00:00.000Z'
const now = Date.parse(AT) + 60_000
const grace = { gone: 60_000, lost: 600_000 }
const claim = (path: string, name: string, fields: object = {}): FileClaim => {
  return { path, holder: actor(name), since: AT, until: UNTIL, ...fields }
}
const all = (...claims: FileClaim[]): Standing[] =>
  claims.map((one) => ({ claim: one, until: one.until, because: null }))
const ask = (name: string, ...paths: string[]) => ({ paths, holder: actor(name), at: AT, until: UNTIL })
const thrown = (run: () => unknown) => {
  try {
    run()
  } catch (error) {
    return MeshError.from(error)
  }
  throw new Error('nothing was thrown')
}

test('all of the paths or none; the error says who, since when, why and what to type', () => {
  const taken = all(claim('src/**', 'web', { why: 'new grammar' }))
  const error = thrown(() => claimed(taken, ask('api', 'docs/a.md', 'src/a.ts')))
  expect(error.code).toBe('conflict')
  expect(error.message).toBe(`"src/a.ts" is held by web as "src/**" since ${AT} until ${UNTIL}: new grammar`)
  expect(error.toBody().hint).toContain('mesh ask web -- ')
  expect(claimed(taken, ask('api', 'docs/a.md')).map(({ path }) => path)).toEqual(['src/**', 'docs/a.md'])
})

test('claiming again is longer, and keeps since when', () => {
  const first = claimed([], { ...ask('api', 'src/a.ts', 'src/A.ts'), why: 'one' })
  expect(first).toHaveLength(1)
  const later = '2026-11-21T11:00:00.000Z'
  const [again, ...rest] = claimed(all(...first), { ...ask('api', 'src/a.ts'), at: UNTIL, until: later })
  expect([again, rest]).toEqual([claim('src/a.ts', 'api', { until: later }), []])
})

test('a claim follows the name to a later holder of it, not to an earlier one', () => {
  const taken = all({ ...claim('a', 'api'), holder: actor('api', 2) })
  expect(claimed(taken, { ...ask('api', 'a'), holder: actor('api', 3) })).toHaveLength(1)
  expect(thrown(() => claimed(taken, ask('api', 'a'))).code).toBe('conflict')
})

test('a claim expires at its time, or earlier when its holder is gone or long lost', () => {
  const one = claim('a', 'web')
  const held = { state: 'held' } as const
  expect(standing(one, held, now, grace)).toEqual({ claim: one, until: UNTIL, because: null })
  expect(standing(one, held, Date.parse(UNTIL), grace)).toBeNull()
  const gone = { state: 'gone', at: AT, reason: 'killed' } as const
  expect(standing(one, gone, now - 1, grace)).toEqual({
    claim: one,
    until: '2026-11-21T08:01:00.000Z',
    because: 'web is gone (killed)',
  })
  expect(standing(one, gone, now, grace)).toBeNull()
  const lost = { state: 'lost', at: AT } as const
  expect(standing(one, lost, now + 500_000, grace)?.because).toBe('web is lost')
  expect(standing(one, lost, now + 540_000, grace)).toBeNull()
  expect(standing(one, { state: 'absent' }, now, grace)).toBeNull()
})

test('only its own claims can a session release, all or none', () => {
  const taken = all(claim('a', 'api'), claim('b', 'web'), claim('c', 'api'))
  expect(released(taken, ['a'], actor('api')).left.map(({ path }) => path)).toEqual(['b', 'c'])
  expect(released(taken, null, actor('api')).gone.map(({ path }) => path)).toEqual(['a', 'c'])
  const error = thrown(() => released(taken, ['a', 'b'], actor('api')))
  expect([error.code, error.message]).toEqual(['not_found', 'you have no claim on "b"; web holds "b"'])
})

test('a file is under the claims of others only', () => {
  expect(claimOn(claim('src/**', 'api'), 'src/a.ts', actor('api'))).toBe(false)
  expect(claimOn(claim('docs', 'web'), 'docs/deep/a.md', actor('api'))).toBe(true)
  expect(claimOn(claim('docs', 'web'), 'docs.md', actor('api'))).toBe(false)
  expect(passed([claim('src/**', 'api')], actor('api'), actor('core'))[0]!.holder).toEqual(actor('core'))
})

test('a repository has so many claims and no more', () => {
  const full = all(...Array.from({ length: limits.fileClaims }, (_, i) => claim(`f${i}`, 'web')))
  expect(thrown(() => claimed(full, ask('api', 'one-more'))).code).toBe('too_large')
})

test('patterns that would take minutes to compare are refused at once, those of a day’s work are not', () => {
  const usual = all(...Array.from({ length: 900 }, (_, i) => claim(`d${i % 16}/**/f${i}*.test.ts`, 'web')))
  const asked = Array.from({ length: limits.claimPaths }, (_, i) => `src/**/a${i}*.ts`)
  const begun = performance.now()
  expect(claimed(usual, ask('api', ...asked))).toHaveLength(900 + limits.claimPaths)
  const costly = Array.from({ length: limits.claimPaths }, (_, i) => `**/${'*a'.repeat(200)}${i}`)
  expect(thrown(() => claimed(usual, ask('api', ...costly))).code).toBe('too_large')
  expect(performance.now() - begun).toBeLessThan(3000)
})
