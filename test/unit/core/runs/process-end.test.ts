/** How an end is judged: one case per cause, and what an end may carry. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type ExitEvidence, judgeExit, judgeLost, tailOf } from '../../../../src/core/runs/process-end.ts'
import { runReasonCode } from '../../../../src/core/runs/reason-code.ts'
import { ending } from '../../../../src/wire/run.schema.ts'

const stop = { by: 'ann', signal: 'SIGTERM', at: '2026-11-20T10:00:00.000Z' }

function seen(over: Partial<ExitEvidence>): ExitEvidence {
  return {
    code: null,
    signal: null,
    timedOutMs: null,
    stop: null,
    forwarded: null,
    outOfMemory: null,
    leftInGroup: false,
    durationMs: 12,
    stderrTail: '',
    ...over,
  }
}

test.each([
  ['done', { code: 0 }, 'run_completed', 'exit 0'],
  ['failed', { code: 7 }, 'run_failed', 'exit 7'],
  ['killed by a stranger', { signal: 'SIGKILL' }, 'run_terminated', 'signal SIGKILL'],
  [
    'interrupted at the keyboard',
    { signal: 'SIGINT', forwarded: { signal: 'SIGINT', from: 'ann' } },
    'run_terminated',
    'signal SIGINT sent by ann',
  ],
  [
    'interrupted, but it died of something else',
    { signal: 'SIGSEGV', forwarded: { signal: 'SIGINT', from: 'ann' } },
    'run_terminated',
    'signal SIGSEGV',
  ],
  [
    'interrupted, and it ended in its own way',
    { code: 130, forwarded: { signal: 'SIGINT', from: 'ann' } },
    'run_failed',
    'exit 130',
  ],
  ['cancelled', { signal: 'SIGTERM', stop }, 'run_cancelled', 'cancelled by ann'],
  ['cancelled, and it ended well', { code: 0, stop }, 'run_cancelled', 'cancelled by ann'],
  ['out of time', { signal: 'SIGTERM', timedOutMs: 500 }, 'run_terminated', 'timeout'],
  ['out of time, exit 0', { code: 0, timedOutMs: 500 }, 'run_terminated', 'timeout'],
  ['out of memory', { signal: 'SIGKILL', outOfMemory: 'oom_kill 0 → 1' }, 'run_terminated', 'out of memory'],
  ['out of memory within', { code: 137, outOfMemory: 'oom_kill 0 → 1' }, 'run_terminated', 'out of memory'],
  ["another's memory ran out", { code: 1, outOfMemory: 'oom_kill 0 → 1' }, 'run_failed', 'exit 1'],
] as const)('%s', (_, evidence, type, reason) => {
  const judged = judgeExit(seen(evidence))
  expect(judged).toMatchObject({ type, reason, durationMs: 12 })
  expect(runReasonCode({ reason })).toBe(judged.reasonCode)
})

test('the evidence says what was seen', () => {
  expect(judgeExit(seen({ signal: 'SIGTERM', stop, leftInGroup: true })).evidence).toBe(
    'ann asked for SIGTERM at 2026-11-20T10:00:00.000Z; its supervisor saw signal SIGTERM; processes of its group were left and were ended',
  )
})

test('a lost process is terminated, or cancelled when its end was asked for; no exit code is made up', () => {
  expect(judgeLost(null, 'gone', 'boom')).toEqual({
    type: 'run_terminated',
    reasonCode: 'supervisor_lost',
    reason: 'supervisor lost',
    evidence: 'gone; its exit code is not known',
    stderrTail: 'boom',
  })
  expect(judgeLost(stop, 'gone', '')).toMatchObject({ type: 'run_cancelled', reason: 'cancelled by ann' })
})

test('every end that is judged fits on the wire', () => {
  const words = fc.string({ unit: 'binary', maxLength: 3000 })
  const signal = fc.constantFrom(null, 'SIGKILL', 'SIGTERM')
  fc.assert(
    fc.property(words, words, signal, fc.uint8Array({ maxLength: 9000 }), (by, oom, how, bytes) => {
      const stderrTail = tailOf(bytes, 4096)
      const code = how === null ? 1 : null
      const judged = judgeExit(seen({ code, signal: how, stop: { ...stop, by }, outOfMemory: oom, stderrTail }))
      expect(ending.safeParse(judged).success).toBe(true)
      expect(judged.reason).not.toMatch(/[\u0000-\u0008\u001b\u202e]/)
    }),
  )
})

test.each([
  ['short', 'boom\n', 10, 'boom\n'],
  ['from a line on', 'one\ntwo\nthree\n', 10, 'three\n'],
  ['one long line', 'abcdefghij', 4, 'ghij'],
  ['not within a character', 'aé€', 4, '€'],
])('the tail of standard error: %s', (_, text, max, tail) => {
  expect(tailOf(Buffer.from(text), max)).toBe(tail)
})
