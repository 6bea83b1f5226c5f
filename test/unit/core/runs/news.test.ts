/** What of its runs a session is told. */
import { expect, test } from 'vitest'
import { newsKey, newsText, wakes } from '../../../../src/core/runs/news.ts'
import type { RunEvent } from '../../../../src/wire/run.schema.ts'
import { fixture } from '../../../support/samples.ts'

const golden = JSON.parse(fixture('golden/run_event.json')) as RunEvent
const event = (over: Partial<RunEvent>): RunEvent => {
  const { result: _, stderrTail: __, reason: ___, durationMs: ____, suspect: _____, attended: ______, ...rest } = golden
  return { ...rest, ...over }
}

test('an end, a wait and a turn’s end wake the owner, progress only one who asked for it', () => {
  expect(wakes({ type: 'run_failed' })).toBe(true)
  expect(wakes({ type: 'run_waiting' })).toBe(true)
  expect(wakes({ type: 'run_idle' })).toBe(true)
  expect(wakes({ type: 'run_spawned' })).toBe(false)
  expect(wakes({ type: 'run_progress' })).toBe(false)
  expect(wakes({ type: 'run_progress', notify: true })).toBe(true)
  expect(wakes({ type: 'run_failed', attended: true })).toBe(false)
})

test('the end of a run is one piece of news whoever reports it; every other event is one of its own', () => {
  const ends = [event({ type: 'run_failed', id: 'r_a.3' }), event({ type: 'run_terminated', id: 'r_a.4' })]
  expect(new Set(ends.map(newsKey)).size).toBe(1)
  expect(new Set([1, 2].map((n) => newsKey(event({ type: 'run_idle', id: `r_a.${n}` })))).size).toBe(2)
})

test('the first line says what happened, what the run wrote follows', () => {
  const short = golden.run.slice(0, 12)
  const lines = (over: Partial<RunEvent>) => newsText(event(over)).split('\n')
  expect(lines({ type: 'run_waiting', text: 'permission prompt\nx' })).toEqual([
    `${short} ${golden.name} waits: permission prompt x`,
  ])
  expect(lines({ type: 'run_idle', result: 'the schema is\nported' })).toEqual([
    `${short} ${golden.name} is idle: its turn ended, it waits for a directive`,
    'the schema is',
    'ported',
  ])
  expect(lines({ type: 'run_progress', text: 'half', percent: 50 })).toEqual([
    `${short} ${golden.name} progress 50 %`,
    'half',
  ])
  const failed = { type: 'run_failed', reason: 'exit 7', durationMs: 1234, stderrTail: 'boom\n' } as const
  expect(lines(failed)).toEqual([`${short} ${golden.name} failed: exit 7 after 1.2 s`, 'boom'])
  expect(newsText(event({ type: 'run_completed', result: 'x'.repeat(9000) })).length).toBeLessThan(4200)
})

test('without the result no piece of news has more than 80 tokens', () => {
  const long = { name: 'n'.repeat(64), reason: 'r'.repeat(200), text: 't'.repeat(500), suspect: 's'.repeat(200) }
  // The first line is cut where it is shown (core/render.ts): at 144 characters, about 4 per token.
  for (const type of ['run_idle', 'run_waiting', 'run_terminated'] as const) {
    const [first] = newsText(event({ ...long, type })).split('\n')
    expect(Math.min(first!.length, 144) / 4).toBeLessThan(80)
  }
})
