import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { readAgentRecord } from '../../../../../src/harness/claude-code/transcript/end-record.ts'

const fixture = (name: string) =>
  readFileSync(new URL(`../../../../fixtures/claude-code/ended/${name}.jsonl`, import.meta.url), 'utf8')
let dir: string
let path: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'ended-'))
  path = join(dir, 'agent.jsonl')
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

const assistant = (content: object[], more: object = {}, id = 'msg_1') =>
  JSON.stringify({ type: 'assistant', isSidechain: true, message: { id, content, stop_reason: 'end_turn', ...more } })
const write = (...lines: string[]) => writeFileSync(path, lines.join('\n'))
const read = () => readAgentRecord(path, { subagent: true })

test('end record - a half-written last line is ignored', () => {
  const whole = fixture('subagent-normal')
  writeFileSync(path, whole.slice(0, whole.lastIndexOf('{') - 40))
  expect(read()).toMatchObject({ last: 'tool-result' })
  writeFileSync(path, whole.trimEnd())
  expect(read()).toMatchObject({ last: 'text', text: 'The report: all is well.' })
})

test('end record - a missing or unreadable file is no record; one without words says nothing', () => {
  expect(read()).toBeNull()
  expect(readAgentRecord(dir, { subagent: true })).toBeNull()
  write('', 'no json', '[]', '{"type":"user"}', '{"type":"assistant","message":7}', '"assistant"')
  expect(read()).toMatchObject({ last: 'nothing', text: '', usage: null })
})

test('end record - only the end of a large file is read, and its usage is then unknown', () => {
  const filler = JSON.stringify({ type: 'attachment', text: 'x'.repeat(1_000_000) })
  for (let i = 0; i < 34; i++) appendFileSync(path, `${filler}\n`)
  appendFileSync(path, fixture('subagent-normal'))
  const begun = performance.now()
  expect(read()).toMatchObject({ last: 'text', text: 'The report: all is well.', usage: null })
  console.log(`34 MB: ${Math.round(performance.now() - begun)} ms`)
})

test('end record - the blocks of one response are its text, and its usage counts once', () => {
  const usage = { input_tokens: 7, output_tokens: 3, cache_read_input_tokens: 90 }
  write(
    assistant([{ type: 'text', text: 'an earlier one' }], { usage }, 'msg_0'),
    assistant([{ type: 'text', text: 'one' }], { usage }),
    assistant([{ type: 'thinking', thinking: '…' }], { usage }),
    assistant([{ type: 'text', text: 'two' }], { usage }),
  )
  expect(read()).toMatchObject({ text: 'one\ntwo', usage: { inputTokens: 194, outputTokens: 6 } })
})

test('end record - a call is answered also when its result came before its line', () => {
  write(
    JSON.stringify({
      type: 'user',
      isSidechain: true,
      message: { content: [{ type: 'tool_result', tool_use_id: 't' }] },
    }),
    assistant([{ type: 'tool_use', id: 't' }], { stop_reason: 'tool_use' }),
  )
  expect(read()).toMatchObject({ last: 'tool-result' })
})

test('end record - an earlier process of the conversation is ignored', () => {
  writeFileSync(path, fixture('session-exit'))
  expect(readAgentRecord(path, { subagent: false, since: '2030-01-01T00:00:00.000Z' })).toMatchObject({
    last: 'nothing',
    text: '',
  })
})

test("end record - a subagent's lines in a session's own file are ignored", () => {
  writeFileSync(path, `${fixture('session-print')}${fixture('subagent-call-last')}`)
  expect(readAgentRecord(path, { subagent: false })).toMatchObject({ last: 'text', text: 'The tool said one.' })
})

test('end record - what was said before the last words is kept: the report, not an announcement or a short remark', () => {
  const words = (text: string, id: string) => assistant([{ type: 'text', text }], {}, id)
  const report = `The port is 8080. ${'It is set in the environment. '.repeat(20)}`
  const call = assistant(
    [
      { type: 'text', text: report },
      { type: 'tool_use', id: 't' },
    ],
    {},
    'msg_1',
  )
  write(call, words('Tests pass.', 'msg_2'), words('Now let me run the tests:', 'msg_3'), words('See above.', 'msg_4'))
  expect(read()).toMatchObject({ text: 'See above.', earlier: report, file: path })
  write(words('x', 'msg_1'), words('The port is 8080.', 'msg_2'), assistant([], {}, 'msg_3'), words('', 'msg_4'))
  expect(read()).toMatchObject({ text: '', earlier: 'The port is 8080.' })
  write(words('The port is 8080.', 'msg_1'))
  expect(read()?.earlier).toBeUndefined()
})
