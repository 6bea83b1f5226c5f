/** Subagents as the client shows them: in what order whatever comes, each has one beginning and one end. */
import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { judgeAgentEnd, noEvidence } from '../../../../../src/core/runs/agent-end.ts'
import type { HookEvent } from '../../../../../src/harness/claude-code/hooks/event.schema.ts'
import { SidecarEvents } from '../../../../../src/harness/claude-code/sidecar-events.ts'
import { Subagents } from '../../../../../src/harness/claude-code/status/subagents.ts'
import { noteInLine, readTaskNote } from '../../../../../src/harness/claude-code/transcript/task-note.ts'
import type { HarnessEvents, SubagentEnd } from '../../../../../src/harness/types.ts'

const ID = 'a910e1dff18a8752d'
let root: string
let transcript: string
let told: string[]
let ends: SubagentEnd[]
let agents: Subagents

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'subagents-'))
  transcript = join(root, 'session.jsonl')
  mkdirSync(join(root, 'session', 'subagents'), { recursive: true })
  writeFileSync(transcript, '')
  told = []
  ends = []
  agents = make()
})
afterEach(() => {
  agents.stop()
  rmSync(root, { recursive: true, force: true })
})

function make(): Subagents {
  const sidecar = new SidecarEvents()
  sidecar.begin({
    subagentStarted: (agent: { id: string; title: string; parent: string | null }, again: boolean) => {
      told.push(`${again ? 'again' : 'started'} ${agent.title}${agent.parent ? ` of ${agent.parent}` : ''}`)
      return true
    },
    subagentIdle: () => told.push('idle'),
    subagentEnded: (_id: string, end: SubagentEnd) => {
      ends.push(end)
      const { type, reason, suspect } = judgeAgentEnd({ ...noEvidence, runKind: 'subagent', ...end })
      told.push(`${type} ${reason}${suspect ? ` (${suspect})` : ''}`)
    },
  } as Partial<HarnessEvents> as HarnessEvents)
  return new Subagents(sidecar, () => {})
}

const pathOf = (id = ID) => join(root, 'session', 'subagents', `agent-${id}.jsonl`)
const recorded = (name: string) =>
  readFileSync(new URL(`../../../../fixtures/claude-code/ended/${name}.jsonl`, import.meta.url), 'utf8')

function has(name: string, meta: object = { description: 'a kid', finished: true }, id = ID): void {
  writeFileSync(pathOf(id), recorded(name))
  const before = new Date(Date.now() - 1000)
  utimesSync(pathOf(id), before, before)
  writeFileSync(pathOf(id).replace('.jsonl', '.meta.json'), JSON.stringify(meta))
}

function hook(name: string, more: Partial<HookEvent> = {}, id = ID): void {
  const event = { hook_event_name: name, session_id: 's', transcript_path: transcript, agent_id: id, ...more }
  agents.onHook({ id: `${name}-1`, name, at: Date.now(), event, text: '' })
}

const noteOf = (status: string, summary = 'Agent "a kid" finished', result?: string, id = ID) =>
  `<task-notification>\n<task-id>${id}</task-id>\n<tool-use-id>toolu_1</tool-use-id>\n<output-file>/tmp/x</output-file>\n` +
  `<status>${status}</status>\n<summary>${summary}</summary>\n<note>A note.</note>\n` +
  `${result === undefined ? '' : `<result>${result}</result>\n`}</task-notification>`
const queue = (content: string, operation = 'enqueue') =>
  appendFileSync(transcript, `${JSON.stringify({ type: 'queue-operation', operation, content })}\n`)

const nothingMore = async () => {
  const before = told.length
  await new Promise((resolve) => setTimeout(resolve, 300))
  expect(told.slice(before)).toEqual([])
}

test('subagents - begin once and end once, though the note comes both ways', async () => {
  has('subagent-normal')
  hook('SubagentStart')
  hook('SubagentStop', { last_assistant_message: 'The report: all is well.' })
  const note = noteOf('completed', undefined, 'The report: all is well.')
  queue(note)
  await vi.waitFor(() => expect(told).toEqual(['started a kid', 'run_completed finished']))
  agents.onPrompt(note)
  queue(note, 'remove')
  await nothingMore()
  expect(ends).toMatchObject([{ end: 'own', clientSays: 'completed', finalText: 'The report: all is well.' }])
})

test('subagents - a cut-off one has no hook, only a note', async () => {
  has('subagent-result-last')
  hook('SubagentStart')
  queue(noteOf('completed', undefined, 'one'))
  await vi.waitFor(() => expect(told).toEqual(['started a kid', 'run_terminated stopped in the middle']))
})

test('subagents - without a transcript the prompt has the note', async () => {
  has('subagent-result-last')
  hook('SubagentStart')
  agents.onPrompt(noteOf('completed'))
  await vi.waitFor(() => expect(told.at(-1)).toBe('run_terminated stopped in the middle'))
})

test.each([
  [
    'completed',
    'Agent "a kid" stopped at its 1-turn limit (partial result)',
    'subagent-result-last',
    'run_terminated turn limit',
  ],
  ['killed', 'Agent "a kid" was stopped by Claude', 'subagent-stopped', 'run_cancelled stopped'],
  ['failed', 'Agent "a kid" failed: x', 'subagent-error-529', 'run_terminated API error: 529 server_error'],
  ['failed', 'Agent "a kid" failed: x', 'subagent-refusal', 'run_terminated refusal'],
  ['completed', 'Agent "a kid" finished', 'subagent-empty', 'run_completed finished (no final message)'],
  ['completed', 'Agent "a kid" finished', 'subagent-pause-turn', 'run_terminated pause_turn'],
  ['completed', 'Agent "a kid" finished', 'subagent-call-last', 'run_terminated stopped in the middle'],
])('subagents - told as %s, %s, with the record of %s: %s', async (status, summary, record, expected) => {
  has(record)
  hook('SubagentStart')
  queue(noteOf(status, summary))
  await vi.waitFor(() => expect(told).toEqual(['started a kid', expected]))
})

test('subagents - a failure is known from its hook before the transcript has it', async () => {
  has('subagent-result-last', { description: 'a kid' })
  hook('SubagentStart')
  hook('StopFailure', { error: 'max_output_tokens', last_assistant_message: 'API Error: too long' })
  queue(noteOf('failed', 'Agent "a kid" failed: x', 'two'))
  await vi.waitFor(() => expect(told.at(-1)).toBe('run_terminated max_tokens'), 6000)
})

test('subagents - one that waits for its own background work is idle, and goes on', async () => {
  has('subagent-own-background')
  hook('SubagentStart')
  hook('SubagentStop', {
    last_assistant_message: 'The build runs.',
    background_tasks: [{ id: ID }, { id: 'b1', type: 'shell' }],
  })
  queue(noteOf('completed', 'Agent "a kid" is waiting on its own background work', 'The build runs.'))
  await vi.waitFor(() => expect(told).toEqual(['started a kid', 'idle']))
  hook('SubagentStart')
  hook('SubagentStop', { last_assistant_message: 'Now the report.', background_tasks: [{ id: ID }] })
  queue(noteOf('completed', undefined, 'Now the report.'))
  await vi.waitFor(() => expect(told.slice(2)).toEqual(['started a kid', 'run_completed finished']))
})

test('subagents - one that is resumed after its end begins again', async () => {
  has('subagent-resumed')
  for (const text of ['kid report', 'more report']) {
    hook('SubagentStart')
    hook('SubagentStop', { last_assistant_message: text })
    queue(noteOf('completed', undefined, text))
  }
  const once = ['started a kid', 'run_completed finished']
  await vi.waitFor(() => expect(told).toEqual([...once, ...once]))
})

test('subagents - a late note of an earlier life does not end the next one', async () => {
  has('subagent-resumed')
  const note = noteOf('completed', undefined, 'more report')
  hook('SubagentStart')
  queue(note)
  await vi.waitFor(() => expect(told).toHaveLength(2))
  hook('SubagentStart')
  agents.onPrompt(note)
  await nothingMore()
  expect(told).toHaveLength(3)
})

test('subagents - a subagent’s subagent has no note: its hook ends it, and it has a parent', async () => {
  has('subagent-normal', { description: 'inner', parentAgentId: 'outer', finished: true })
  hook('SubagentStart')
  hook('SubagentStop', { last_assistant_message: 'The report: all is well.', background_tasks: [{ id: ID }] })
  await vi.waitFor(() => expect(told).toEqual(['started inner of outer', 'run_completed finished']), 4000)
  expect(ends).toMatchObject([{ clientSays: null }])
})

test('subagents - running ones end with their session; one whose turn was over had ended by itself', async () => {
  has('subagent-killed', { description: 'a kid' })
  has('subagent-normal', { description: 'another', finished: true }, 'b1')
  hook('SubagentStart')
  hook('SubagentStart', {}, 'b1')
  hook('SubagentStop', { last_assistant_message: 'The report: all is well.' }, 'b1')
  agents.over()
  expect(told.slice(2)).toEqual(['run_terminated its session ended', 'run_completed finished'])
  await nothingMore()
})

test('subagents - one that waits for its own background work is cut off with its session', () => {
  has('subagent-own-background')
  hook('SubagentStart')
  hook('SubagentStop', { last_assistant_message: 'Now the report.' })
  agents.onPrompt(noteOf('completed', 'Agent "a kid" is waiting on its own background work'))
  agents.over()
  expect(told).toEqual(['started a kid', 'idle', 'run_terminated its session ended'])
})

test('subagents - a restarted sidecar follows them, and reports the ends that it missed', async () => {
  has('subagent-killed', { description: 'runs on' })
  has('subagent-result-last', { description: 'cut off', finished: true }, 'b1')
  has('subagent-normal', { description: 'ended', finished: true }, 'b2')
  queue(noteOf('completed', undefined, undefined, 'b1'))
  agents.recover(transcript)
  expect(told.toSorted()).toEqual(expect.arrayContaining(['again cut off', 'again ended', 'again runs on']))
  await vi.waitFor(() => expect(told).toHaveLength(5), 6000)
  expect(told.filter((word) => word.startsWith('run_')).toSorted()).toEqual([
    'run_completed finished',
    'run_terminated stopped in the middle',
  ])
  queue(noteOf('killed', 'Agent was stopped by user'))
  await vi.waitFor(() => expect(told.at(-1)).toBe('run_cancelled stopped'))
})

test('subagents - an invalid id names no file, and without a beginning there is no end', async () => {
  hook('SubagentStart', {}, '../../etc/passwd')
  queue(noteOf('completed', undefined, undefined, 'c9'))
  agents.onPrompt('<task-notification>\n<task-id>../x</task-id><status>completed</status><summary>x</summary>')
  hook('SubagentStop', { last_assistant_message: 'x' }, 'c9')
  await nothingMore()
  expect(told).toEqual([])
})

test('task note - the recorded notes are understood', () => {
  const prompt = (name: string) =>
    (
      JSON.parse(
        readFileSync(
          new URL(`../../../../fixtures/claude-code/hooks/UserPromptSubmit.${name}.json`, import.meta.url),
          'utf8',
        ),
      ) as { prompt: string }
    ).prompt
  expect(readTaskNote(prompt('subagent-finished'))).toMatchObject({
    agent: 'a93eaa92d9e10fb9b',
    says: 'completed',
    text: null,
  })
  expect(readTaskNote(prompt('subagent-failed'))).toMatchObject({ agent: 'a8f2bb46c1c564555', says: 'failed' })
  expect(readTaskNote('play kid')).toBeNull()
})

test('task note - a result that contains a note is still a result', () => {
  const inner = noteOf('completed', undefined, 'x', 'other')
  expect(readTaskNote(noteOf('completed', undefined, inner))).toMatchObject({ agent: ID, text: inner.trim() })
  expect(readTaskNote(`Look: ${inner}`)).toBeNull()
  expect(noteInLine('{"type":"queue-operation","operation":"enqueue","content":"<task-notification>"')).toBeNull()
})
