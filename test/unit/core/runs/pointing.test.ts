import fc from 'fast-check'
import { expect, test } from 'vitest'
import { pointing } from '../../../../src/core/runs/pointing.ts'
import { announcements, reports } from '../../../support/reports.ts'

/** Final messages that have no result of their own. */
const pointers = [
  'I have provided the full report above.',
  'See my previous message for the findings.',
  '(no further output)',
  'The findings are as delivered in my previous message.',
  'The report is above.',
  'My complete report is in my previous message.',
  'See above.',
  'Please see the report above.',
  'Please refer to my earlier response for the details.',
  'As I reported above.',
  'The full analysis was provided in my previous response.',
  "I've already delivered the report above.",
  'I already provided my findings.',
  'Done. The results are above.',
  'The task is complete; the summary is in my last message.',
  'Findings delivered above.',
  'The answer has been given above.',
  '**The full report has already been provided in my previous message.**',
  'The summary of the review is above. No further output.',
  'The details are as described above.',
  'The results were already listed above.',
  'Same as above.',
  'No response requested.',
  'No further output needed.',
  '…',
  'Siehe oben.',
  'Der vollständige Bericht steht oben.',
  'Die Ergebnisse finden sich in meiner vorherigen Nachricht.',
  'Voir ci-dessus.',
  'Le rapport complet se trouve ci-dessus.',
  'Ver arriba.',
  'El informe completo está en mi mensaje anterior.',
  'O relatório está acima.',
  'Vedi sopra.',
  'Het volledige rapport staat hierboven.',
  'Полный отчёт выше.',
  '报告在上面。',
  '请参见上文。',
  '上記をご覧ください。',
  '보고서는 위에 있습니다.',
]

/** True reports that speak of what is above, before, or not there. */
const true_ = [
  'I moved the code above the loop and all 12 tests pass.',
  'Done. See src/report.md for the findings.',
  'The port is 8080; tests pass.',
  'The report is in docs/report.md.',
  'The findings are in `notes.txt`, as you asked.',
  'The comment above the function is wrong; I corrected it.',
  'See line 42 above the import.',
  'As above, but with the cache on: 12 ms.',
  'The tests above 100 ms are listed in slow.txt.',
  'None.',
  'Nothing found.',
  'No findings.',
  'No changes needed.',
  'No further action is needed.',
  'No output: the command prints nothing on success.',
  'n/a',
  'I already fixed the bug in the previous commit.',
  'The answer is 5, as stated in the issue above.',
  'The results are the same as in the previous run: 214 pass.',
  'My previous message was wrong: the port is 8081.',
  'The summary above misses one case. The parser also fails on an empty line.',
  'I have sent the report to ceo with mesh send (m_0123456789).',
  'The results were posted to https://example.org/report.',
  'The review is complete. Two of the findings above are false alarms; the third is real.',
  'The answer has been given to api.',
  'The output is empty.',
]

test('pointing - what only points to earlier words, or says that there are none, is found', () => {
  expect(pointers.filter((text) => pointing(text) === null)).toEqual([])
})

test('pointing - no report raises an alarm, nor what announces work, which is another matter', () => {
  expect([...true_, ...reports, ...announcements].filter((text) => pointing(text) !== null)).toEqual([])
})

test('pointing - with anything of a report beside it, it is one', () => {
  const both = fc.tuple(fc.constantFrom(...pointers), fc.constantFrom(...reports.filter((text) => /\w{6}/.test(text))))
  const order = fc.constantFrom<(a: string, b: string) => string>(
    (a, b) => `${a}\n\n${b}`,
    (a, b) => `${b}\n\n${a}`,
  )
  fc.assert(fc.property(both, order, ([pointer, report], put) => pointing(put(pointer, report)) === null))
})

test('pointing - any text is judged in time, and quoted shortly', () => {
  fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (text) => (pointing(text)?.length ?? 0) <= 82))
  const begun = performance.now()
  for (const word of ['already ', 'the ', 'report ', 'as ', 'in my ', 'above ', 'see ', 'fully '])
    for (const start of ['', 'the report is ', 'i have ', 'see ']) pointing(`${start}${word.repeat(40)}x`.slice(0, 300))
  expect(performance.now() - begun).toBeLessThan(1000)
})
