import fc from 'fast-check'
import { expect, test } from 'vitest'
import { announcement } from '../../../../src/core/runs/announcement.ts'
import { announcements, reports } from '../../../support/reports.ts'

test('announcement - over a hundred reports of varied wording raise no alarm', () => {
  expect(new Set(reports).size).toBeGreaterThanOrEqual(100)
  expect(reports.filter((text) => announcement(text) !== null)).toEqual([])
})

test('announcement - what only announces work is found', () => {
  expect(announcements.filter((text) => announcement(text) === null)).toEqual([])
})

test('announcement - a report is one in any dress: behind other words, with emphasis, in lines of its own', () => {
  const dress = fc.constantFrom(
    (text: string) => `Here is what came of it.\n\n${text}`,
    (text: string) => `I looked at everything you named, and at the callers. ${text}`,
    (text: string) => `  ${text}\n\n`,
    (text: string) => text.replaceAll("'", '’'),
    (text: string) => `Summary: ${text}`,
  )
  fc.assert(
    fc.property(fc.constantFrom(...reports), dress, (text, put) => announcement(put(text)) === null),
    { numRuns: 1000 },
  )
})

test('announcement - a report that announces something on its way to the result is a report', () => {
  fc.assert(
    fc.property(fc.constantFrom(...announcements), fc.constantFrom(...reports), (said, report) => {
      return announcement(`${said}\n\n${report}`) === null
    }),
    { numRuns: 1000 },
  )
})

test('announcement - any text is judged in time, and quoted shortly', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 400 }), (text) => (announcement(text)?.length ?? 0) <= 82),
  )
  const begun = performance.now()
  announcement(`${'now '.repeat(100_000)}let me`)
  announcement(`${'so, then. '.repeat(45)}x:`)
  expect(performance.now() - begun).toBeLessThan(1000)
})
