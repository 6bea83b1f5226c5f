import { expect, test } from 'vitest'
import { newsText } from '../../../../src/core/runs/news.ts'
import type { RunEvent } from '../../../../src/wire/run.schema.ts'

const end = (more: Partial<RunEvent>): RunEvent => {
  const identity = {
    v: 1,
    kind: 'run_event',
    id: 'r_1.2',
    project: 'p',
    run: 'r_0123456789abcdef',
    runKind: 'subagent',
  }
  const told = { name: 'kid', owner: 'ann', lineage: [], seq: 2, at: '2026-11-21T08:00:00.000Z', durationMs: 1500 }
  return { ...identity, ...told, result: 'the whole report', evidence: 'why', ...more } as unknown as RunEvent
}

test('run-news - of a subagent a session reads what its client did not say, not its report again', () => {
  expect(newsText(end({ type: 'run_terminated', reason: 'stopped in the middle' }))).toBe(
    'r_0123456789 kid terminated: stopped in the middle after 1.5 s\nwhy',
  )
  expect(newsText(end({ type: 'run_completed', suspect: 'x', earlier: 'The port\nis 8080.' }))).toBe(
    'r_0123456789 kid completed after 1.5 s, suspect: x\nIt had said before that:\nThe port\nis 8080.',
  )
  expect(newsText(end({ type: 'run_completed', reason: 'finished', suspect: 'no final message' }))).toBe(
    'r_0123456789 kid completed: finished after 1.5 s, suspect: no final message',
  )
})
