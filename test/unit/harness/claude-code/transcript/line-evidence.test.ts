import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { isAnswer, readInterrupt, readLine } from '../../../../../src/harness/claude-code/transcript/line-evidence.ts'
import { Tail } from '../../../../../src/harness/claude-code/transcript/tail.ts'

const TOKEN = 'mesh-0a1b2c3d'
const line = (name: string) =>
  readFileSync(new URL(`../../../../fixtures/claude-code/transcript/${name}.jsonl`, import.meta.url), 'utf8').trim()

test.each([
  ['enqueue', 'handed'],
  ['absorbed', 'surfaced'],
  ['queued-command', 'surfaced'],
  ['user-peer', 'surfaced'],
  ['hook-context', 'surfaced'],
  ['stop-context', 'surfaced'],
  ['held', 'held'],
  ['held-by-setting', 'held'],
  ['blocked-prompt', 'refused'],
  ['plugin-prompt', 'surfaced'],
  ['plugin-note', 'surfaced'],
  ['rewake', 'surfaced'],
  ['rewake-197', 'surfaced'],
])('transcript - the recorded %s line shows that it was %s', (name, state) => {
  expect(readLine(line(name), ['mesh-ffffffff', TOKEN])).toEqual([
    expect.objectContaining({ token: TOKEN, state, evidence: expect.any(String) }),
  ])
})

test.each([
  ['held', 'transcript: held by the client: The sender did not attest its permission mode and this session bypasses'],
  ['held-by-setting', 'transcript: held by the client: Your "crossSessionInbound" setting is "hold"'],
])('transcript - the recorded %s line tells why', (name, why) => {
  expect(readLine(line(name), [TOKEN])).toEqual([
    { token: TOKEN, state: 'held', evidence: expect.stringContaining(why) },
  ])
})

test("line evidence - a hook's text names the hook", () => {
  expect(readLine(line('stop-context'), [TOKEN])).toMatchObject([{ hook: 'Stop' }])
  expect(readLine(line('hook-context'), [TOKEN])).toMatchObject([{ hook: 'PostToolBatch' }])
})

test.each([
  [true, { type: 'assistant', message: { role: 'assistant', content: [] } }],
  [false, { type: 'assistant', isApiErrorMessage: true, message: { role: 'assistant', content: [] } }],
  [false, { type: 'assistant', isSidechain: true, message: { role: 'assistant', content: [] } }],
  [false, { type: 'user', message: { role: 'user', content: 'what an "assistant" says' } }],
])('transcript - answers of the session itself: %s', (is, value) => {
  expect(isAnswer(JSON.stringify(value))).toBe(is)
})

test.each(['request-blob', 'hook-success', 'plugin-note-unsent'])(
  'line evidence - a %s line only repeats the text',
  (name) => {
    expect(line(name)).toContain(TOKEN)
    expect(readLine(line(name), [TOKEN])).toEqual([])
  },
)

test.each([
  ['what a person typed', { type: 'user', origin: { kind: 'human' }, message: { role: 'user', content: TOKEN } }],
  ['what the model said', { type: 'assistant', message: { role: 'assistant', content: TOKEN } }],
  ['a tool result', { type: 'user', message: { role: 'user', content: [{ type: 'tool_result', content: TOKEN }] } }],
  ['a subagent', { type: 'user', isSidechain: true, origin: { kind: 'peer' }, message: { content: TOKEN } }],
  ['a message removed from the queue', { type: 'queue-operation', operation: 'remove', content: TOKEN }],
  ['a token beside the text', { type: 'queue-operation', operation: 'enqueue', content: 'x', sessionId: TOKEN }],
])('transcript - %s is no evidence', (_, value) => {
  expect(readLine(JSON.stringify(value), [TOKEN])).toEqual([])
})

test('line evidence - an interruption has its time', () => {
  const { timestamp } = JSON.parse(line('interrupted')) as { timestamp: string }
  expect(readInterrupt(line('interrupted'))).toBe(Date.parse(timestamp))
})

const interruption = '[Request interrupted by user]'
const timestamp = '2026-11-20T10:00:00.000Z'
test.each([
  ['what the model said', { type: 'assistant', timestamp, message: { content: interruption } }],
  ['what a person typed', { type: 'user', timestamp, origin: { kind: 'human' }, message: { content: interruption } }],
  ['what a peer sent', { type: 'user', timestamp, origin: { kind: 'peer' }, message: { content: interruption } }],
  [
    'a tool result',
    { type: 'user', timestamp, message: { content: [{ type: 'tool_result', content: interruption }] } },
  ],
  ['a mention', { type: 'user', timestamp, message: { content: `it said ${interruption}` } }],
  ['a subagent', { type: 'user', timestamp, isSidechain: true, message: { content: interruption } }],
  ['a line without a time', { type: 'user', message: { content: interruption } }],
  ['no line', interruption],
])('transcript - %s is no interruption', (_, value) => {
  expect(readInterrupt(JSON.stringify(value))).toBeNull()
})

test.each(['', '{', 'null', '[]', '1', `"${TOKEN}"`, `{"type":7,"x":"${TOKEN}"}`])(
  'transcript - %j is skipped',
  (text) => {
    expect(readLine(text, [TOKEN])).toEqual([])
  },
)

let dir: string
let tail: Tail | undefined
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'mesh-tail-'))
})
afterEach(() => {
  tail?.stop()
  rmSync(dir, { recursive: true })
})

function follow(path: string): string[] {
  const lines: string[] = []
  tail = new Tail(path, (text) => lines.push(text))
  return lines
}

test('tail - begins at the end, gives whole lines only, each once', () => {
  const path = join(dir, 't.jsonl')
  writeFileSync(path, 'old\n')
  const lines = follow(path)
  appendFileSync(path, 'one\ntw')
  tail!.read()
  expect(lines).toEqual(['one'])
  appendFileSync(path, 'o\nthree ✓\n')
  tail!.read()
  tail!.read()
  expect(lines).toEqual(['one', 'two', 'three ✓'])
})

test('tail - a file that appears later is read from its start, and followed', async () => {
  const path = join(dir, 'later.jsonl')
  const lines = follow(path)
  tail!.start()
  writeFileSync(path, 'first\n')
  await expect.poll(() => lines).toEqual(['first'])
  appendFileSync(path, 'second\n')
  await expect.poll(() => lines).toEqual(['first', 'second'])
})

test('tail - stopped, it gives nothing by itself', async () => {
  const [path, other] = [join(dir, 'one.jsonl'), join(dir, 'other.jsonl')]
  writeFileSync(path, '')
  const lines = follow(path)
  tail!.start()
  tail!.stop()
  appendFileSync(path, 'unseen\n')
  const others: string[] = []
  tail = new Tail(other, (text) => others.push(text))
  tail.start()
  writeFileSync(other, 'seen\n')
  await expect.poll(() => others).toEqual(['seen'])
  expect(lines).toEqual([])
})

test('tail - a line over the limit is skipped, the next one is read', () => {
  const path = join(dir, 'long.jsonl')
  const lines = follow(path)
  writeFileSync(path, `${'x'.repeat(3 * 1024 * 1024)}\nnext\n`)
  tail!.read()
  expect(lines).toEqual(['next'])
})
