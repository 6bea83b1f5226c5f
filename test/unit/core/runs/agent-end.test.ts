/** How agents ended: one recorded transcript per case, what the client told of it, and what mesh makes of both. */
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { type AgentEvidence, judgeAgentEnd, needsWord, noEvidence } from '../../../../src/core/runs/agent-end.ts'
import { runReasonCode } from '../../../../src/core/runs/reason-code.ts'
import { modelError, readAgentRecord } from '../../../../src/harness/claude-code/transcript/end-record.ts'
import { announcements, reports } from '../../../support/reports.ts'

const pathOf = (name: string) =>
  fileURLToPath(new URL(`../../../fixtures/claude-code/ended/${name}.jsonl`, import.meta.url))
const recordOf = (name: string) => readAgentRecord(pathOf(name), { subagent: name.startsWith('subagent') })

function judged(name: string, told: Partial<AgentEvidence>) {
  const record = recordOf(name)
  const runKind = name.startsWith('subagent') ? 'subagent' : 'session'
  const seen: AgentEvidence = { ...noEvidence, runKind, end: 'own', record, ...told }
  const end = judgeAgentEnd(seen)
  // What a peer of an earlier release reads into the same prose.
  expect(runReasonCode({ reason: end.reason })).toBe(end.reasonCode)
  return { ...end, word: needsWord(seen, end) }
}

const stop = { by: 'ann', signal: 'SIGTERM', at: '2026-11-21T08:00:00.000Z' }
const completed = { clientSays: 'completed' }
const failed = { clientSays: 'failed' }
const type = (state: string) => `run_${state}`

describe('agent-end - a subagent of the real client', () => {
  test.each<[string, Partial<AgentEvidence>, { type: string; reason: string; word: boolean; suspect?: unknown }]>([
    [
      'subagent-normal',
      { ...completed, finalText: 'The report: all is well.' },
      { type: type('completed'), reason: 'finished', word: false },
    ],
    [
      'subagent-no-stop-reason',
      { ...completed, finalText: 'a report without a reason' },
      { type: type('completed'), reason: 'finished', word: false },
    ],
    [
      'subagent-connection-cut',
      { ...completed, finalText: 'noted' },
      { type: type('completed'), reason: 'finished', word: false },
    ],
    [
      'subagent-resumed',
      { ...completed, finalText: 'more report' },
      { type: type('completed'), reason: 'finished', word: false },
    ],
    [
      'subagent-own-background',
      { ...completed, finalText: 'Now the report.' },
      { type: type('completed'), reason: 'finished', word: false },
    ],
    [
      'subagent-empty',
      completed,
      { type: type('completed'), reason: 'finished', suspect: 'no final message', word: true },
    ],
    [
      'subagent-announced',
      { ...completed, finalText: 'Now let me run the tests:' },
      {
        type: type('completed'),
        reason: 'finished',
        suspect: 'its last words announce work: "Now let me run the tests:"',
        word: true,
      },
    ],
    [
      'subagent-pause-turn',
      { ...completed, finalText: 'half way' },
      { type: type('terminated'), reason: 'pause_turn', word: true },
    ],
    ['subagent-error-400', failed, { type: type('terminated'), reason: 'API error: 400 api_error', word: false }],
    ['subagent-error-529', failed, { type: type('terminated'), reason: 'API error: 529 server_error', word: false }],
    ['subagent-max-tokens', failed, { type: type('terminated'), reason: 'max_tokens', word: false }],
    ['subagent-refusal', failed, { type: type('terminated'), reason: 'refusal', word: false }],
    ['subagent-call-last', completed, { type: type('terminated'), reason: 'stopped in the middle', word: true }],
    [
      'subagent-call-last',
      { ...completed, finalText: 'two' },
      { type: type('terminated'), reason: 'stopped in the middle', word: true },
    ],
    [
      'subagent-result-last',
      { ...completed, finalText: 'one' },
      { type: type('terminated'), reason: 'stopped in the middle', word: true },
    ],
    [
      'subagent-result-last',
      { clientSays: 'stopped at its 1-turn limit', error: { kind: 'turn limit', message: '' } },
      { type: type('terminated'), reason: 'turn limit', word: false },
    ],
    [
      'subagent-stopped',
      { end: 'stopped', clientSays: 'killed' },
      { type: type('cancelled'), reason: 'stopped', word: false },
    ],
    ['subagent-killed', { end: 'parent' }, { type: type('terminated'), reason: 'its session ended', word: true }],
  ])('%s, told as %o', (name, told, expected) => {
    const end = judged(name, told)
    expect(end).toMatchObject(expected)
    if (!('suspect' in expected)) expect(end.suspect).toBeUndefined()
    expect(end.evidence).not.toBe('')
  })

  test('the evidence of one that was cut off at a tool call says so, and what the client said of it', () => {
    expect(judged('subagent-call-last', completed).evidence).toBe(
      'last in its record: a tool call, without result and without a word after it (no stop reason); the client says completed',
    )
  })

  test('a transcript that is behind the client’s report is no evidence against it', () => {
    const end = judged('subagent-result-last', {
      ...completed,
      finalText: 'The whole report, which is not yet on disk.',
    })
    expect(end).toMatchObject({
      type: 'run_completed',
      result: 'The whole report, which is not yet on disk.',
      word: false,
    })
  })

  test('the client reports an error before its transcript shows it', () => {
    const error = modelError('max_output_tokens', 'too long')
    expect(judged('subagent-result-last', { ...failed, error, record: null })).toMatchObject({ reason: 'max_tokens' })
  })

  test('what was cut off keeps its last words and its usage', () => {
    const { result, usage } = judged('subagent-max-tokens', failed)
    expect({ result, usage }).toEqual({ result: 'long 4', usage: { inputTokens: 400, outputTokens: 40 } })
  })
})

describe('agent-end - a session of the real client', () => {
  test.each<
    [string, Partial<AgentEvidence>, { type: string; reason: string; suspect?: unknown; [key: string]: unknown }]
  >([
    [
      'session-print',
      { exit: { code: 0, signal: null } },
      { type: type('completed'), reason: 'finished', exitCode: 0, result: 'The tool said one.' },
    ],
    [
      'session-print-error',
      { exit: { code: 1, signal: null } },
      { type: type('terminated'), reason: 'API error: 400 api_error', exitCode: 1 },
    ],
    ['session-exit', { end: 'left' }, { type: type('completed'), reason: 'its user left' }],
    [
      'session-compacted',
      { end: 'left' },
      { type: type('completed'), reason: 'its user left', result: 'The tool said one.' },
    ],
    ['session-compacted', { end: 'own' }, { type: type('completed'), reason: 'finished' }],
    ['session-interrupted', { end: 'left' }, { type: type('cancelled'), reason: 'interrupted by its user' }],
    [
      'session-tool-running',
      { end: 'left' },
      { type: type('cancelled'), reason: 'its user left in the middle of a turn' },
    ],
    [
      'session-tool-running',
      { end: 'own', exit: { code: 0, signal: null } },
      { type: type('terminated'), reason: 'stopped in the middle' },
    ],
    ['session-tool-running', { end: 'killed' }, { type: type('terminated'), reason: 'killed' }],
    [
      'session-tool-running',
      { end: 'killed', exit: { code: null, signal: 'SIGKILL' } },
      { type: type('terminated'), reason: 'signal SIGKILL', signal: 'SIGKILL' },
    ],
    [
      'session-tool-running',
      { end: 'killed', outOfMemory: 'oom_kill 0 → 1' },
      { type: type('terminated'), reason: 'out of memory' },
    ],
    [
      'session-tool-running',
      { end: 'signalled', exit: { code: null, signal: 'SIGTERM' } },
      { type: type('terminated'), reason: 'signal SIGTERM' },
    ],
    [
      'session-print',
      { end: 'signalled' },
      { type: type('terminated'), reason: 'ended by a signal', result: 'The tool said one.' },
    ],
    ['session-tool-running', { end: 'killed', stop }, { type: type('cancelled'), reason: 'cancelled by ann' }],
    ['session-tool-running', { end: 'signalled', timedOutMs: 5000 }, { type: type('terminated'), reason: 'timeout' }],
    [
      'session-tool-running',
      { end: 'killed', done: { failed: false, result: 'x' } },
      { type: type('completed'), reason: 'mesh done', result: 'x' },
    ],
    [
      'session-print',
      { done: { failed: true, result: null } },
      { type: type('failed'), reason: 'mesh done --failed', result: 'The tool said one.' },
    ],
    ['session-print', { exit: { code: 3, signal: null } }, { type: type('failed'), reason: 'exit 3' }],
    ['session-none', { exit: { code: 0, signal: null } }, { type: type('completed'), reason: 'finished' }],
    ['session-none', { end: 'left' }, { type: type('completed'), reason: 'its user left' }],
  ])('%s, %o', (name, told, expected) => {
    const end = judged(name, told)
    expect(end).toMatchObject(expected)
    expect(end.suspect).toBeUndefined()
  })

  test('its cost is what the client wrote down at its end', () => {
    expect(recordOf('session-print')?.usage).toEqual({ inputTokens: 200, outputTokens: 20, cost: 0.0012 })
  })
})

describe('agent-end - wording', () => {
  const told = (finalText: string): AgentEvidence => {
    const record = { last: 'text', stopReason: 'end_turn', text: finalText, error: null, usage: null } as const
    return { ...noEvidence, runKind: 'subagent', end: 'own', finalText, record, ...completed }
  }

  test('no real report is suspected, and none costs its session a message', () => {
    const alarms = reports.filter((text) => {
      const end = judgeAgentEnd(told(text))
      return end.type !== 'run_completed' || end.suspect !== undefined || needsWord(told(text), end)
    })
    expect(alarms).toEqual([])
  })

  test('a last message that only points to others is suspected, and comes with what was said before', () => {
    const report = `REAL REPORT ${'of what was found. '.repeat(400)}`
    const pointer = 'I have provided the full report above.'
    const seen = told(pointer)
    const file = '/home/ann/.claude/projects/x/subagents/agent-a1.jsonl'
    const suspect = `its last words only point to others (in agent-a1.jsonl): "${pointer}"`
    const end = judgeAgentEnd({ ...seen, record: { ...seen.record!, earlier: report, file } })
    expect(end).toMatchObject({ type: 'run_completed', suspect, result: pointer, earlier: report.slice(0, 4000) })
    expect(needsWord(seen, end)).toBe(true)
    // In one response with it, of which the client reports the last part.
    const whole = judgeAgentEnd({ ...seen, record: { ...seen.record!, text: `The port is 8080.\n${pointer}` } })
    expect(whole.earlier).toBe('The port is 8080.')
    expect(judgeAgentEnd({ ...told(''), record: { ...seen.record!, text: '', earlier: 'It is 8080.' } })).toMatchObject(
      {
        suspect: 'no final message',
        earlier: 'It is 8080.',
      },
    )
  })

  test('a last message that only announces work is completed, and suspected', () => {
    const missed = announcements.filter((text) => {
      const end = judgeAgentEnd(told(text))
      return end.type !== 'run_completed' || !end.suspect || !needsWord(told(text), end)
    })
    expect(missed).toEqual([])
  })
})
