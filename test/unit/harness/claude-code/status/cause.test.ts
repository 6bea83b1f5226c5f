import { expect, test } from 'vitest'
import { type CauseEvidence, decideCause } from '../../../../../src/harness/claude-code/status/cause.ts'
import { OpenTools } from '../../../../../src/harness/claude-code/transcript/open-tools.ts'
import { cause } from '../../../../../src/wire/envelope.schema.ts'

const AT = '2026-11-30T10:00:00.000Z'
const NOW = Date.parse(AT) + 60_000
const none: CauseEvidence = {
  ...{ word: 'busy', waitingFor: undefined, wordSince: AT },
  ...{ permission: null, tools: [], compactingSince: null, failure: null },
}
const bash = { name: 'Bash', input: { command: 'npm test', description: 'x' }, at: AT }
const question = { name: 'AskUserQuestion', input: { questions: [{ question: 'Drop it?' }] }, at: AT }

test.each<[string, Parameters<typeof decideCause>[0], Partial<CauseEvidence>, object | null]>([
  ['busy with nothing known', 'busy', {}, null],
  ['a tool runs', 'busy', { tools: [bash] }, { kind: 'tool', name: 'Bash', input: 'npm test' }],
  ['a compaction', 'busy', { compactingSince: AT, tools: [bash] }, { kind: 'compacting' }],
  [
    'a permission by its hook',
    'waiting',
    { permission: bash },
    { kind: 'permission', tool: 'Bash', input: 'npm test' },
  ],
  [
    'a permission without its hook',
    'waiting',
    { waitingFor: 'permission prompt', tools: [bash] },
    { kind: 'permission', tool: 'Bash' },
  ],
  ['a question', 'waiting', { waitingFor: 'input needed', tools: [question] }, { kind: 'question', text: 'Drop it?' }],
  ['a dialog', 'waiting', { waitingFor: 'dialog open', tools: [bash] }, { kind: 'dialog', text: 'dialog open' }],
  ['idle', 'idle', { word: 'idle' }, null],
  ['a shell in the background', 'idle', { word: 'shell' }, { kind: 'shell' }],
  ['a word of a newer client', 'idle', { word: 'dreaming' }, { kind: 'unknown', text: 'dreaming' }],
  [
    'a turn that failed',
    'idle',
    { word: 'idle', failure: { error: '529 overloaded', message: 'API Error: 529', at: AT } },
    { kind: 'error', error: '529 overloaded', text: 'API Error: 529' },
  ],
  ['a stopped process', 'paused', { tools: [bash] }, null],
])('cause - %s', (_, status, evidence, expected) => {
  const { cause: found } = decideCause(status, { ...none, ...evidence }, NOW)
  if (expected === null) expect(found).toBeNull()
  else expect(found).toMatchObject({ ...expected, since: AT })
})

test('cause - a tool is shown once it has run for a second', () => {
  const at = new Date(NOW - 400).toISOString()
  expect(decideCause('busy', { ...none, tools: [{ ...bash, at }] }, NOW)).toEqual({ cause: null, againMs: 600 })
})

test('cause - however long names and inputs are, the record takes them', () => {
  const call = { name: 'm'.repeat(500), input: { command: `${'x'.repeat(199)}😀${'y'.repeat(9000)}` }, at: AT }
  for (const found of [
    decideCause('busy', { ...none, tools: [call] }, NOW).cause,
    decideCause('waiting', { ...none, permission: { ...call, input: { deep: [call] } } }, NOW).cause,
  ])
    expect(cause.safeParse(found).success).toBe(true)
})

test('open tools - a call is open until its result; words about calls are none', () => {
  const tools = new OpenTools()
  const line = (type: string, content: object[], more: object = {}) =>
    JSON.stringify({ type, timestamp: AT, message: { content }, ...more })
  const call = (id: string) => ({ type: 'tool_use', id, name: 'Bash', input: { command: id } })
  expect(tools.take(line('assistant', [{ type: 'text', text: '"tool_use"' }]))).toBe(false)
  expect(tools.take(line('assistant', [call('kid')], { isSidechain: true }))).toBe(false)
  expect(tools.take(line('assistant', [call('a'), call('b')]))).toBe(true)
  expect(tools.take(line('user', [{ type: 'text', text: '"tool_use_id":"a"' }]))).toBe(false)
  expect(tools.take(line('user', [{ type: 'tool_result', tool_use_id: 'a' }]))).toBe(true)
  expect(tools.list).toEqual([{ name: 'Bash', input: { command: 'b' }, at: AT }])
})
