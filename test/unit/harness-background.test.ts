import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { movedFrom, resumed } from '../../src/harness/claude-code/background.ts'
import { conversationOf } from '../../src/harness/claude-code/start.ts'

const PARENT = 'ff1d00eb-2e3c-4bcd-ae75-55e4b90a3b07'
const CHILD = 'c0beee0c-0558-401c-b72e-e7027fd358c4'
/** Recorded on 2.1.329, paths replaced. */
const MOVED = `/opt/claude --session-id ${CHILD} --fork-session --resume /home/dev/.claude/projects/-home-dev/${PARENT}.jsonl --model claude-opus-5-5 --permission-mode default`

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'mesh-job-'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

test('background - the command line of /background names the conversation that moved', () => {
  expect(resumed(MOVED)).toBe(PARENT)
  expect(resumed(MOVED.replace('/home/dev/', '/home/a b/'))).toBe(PARENT)
})

test.each([
  ['/opt/claude bg-spare --bg-spare /tmp/cc-daemon-0/spare/1.claim.sock'],
  [MOVED.replace(' --fork-session', '')],
  [`/opt/claude --fork-session --resume ${PARENT}`],
  [`/opt/claude --fork-session --resume /x/not-an-id.jsonl`],
  [''],
])('background - another command line names none: %s', (command) => {
  expect(resumed(command)).toBeNull()
})

test('background - only a job that goes on with a terminal’s session is asked for it', () => {
  const env = { CLAUDE_JOB_DIR: dir }
  for (const state of ['{}', '{"interactiveLineage":false}', 'no json', '{"interactiveLineage":"yes"}']) {
    writeFileSync(join(dir, 'state.json'), state)
    expect(movedFrom(env, process.pid)).toBeNull()
  }
  expect(movedFrom({}, process.pid)).toBeNull()
  expect(movedFrom({ CLAUDE_JOB_DIR: join(dir, 'gone') }, process.pid)).toBeNull()
  // This process is no client that forks.
  writeFileSync(join(dir, 'state.json'), '{"interactiveLineage":true}')
  expect(movedFrom(env, process.pid)).toBeNull()
})

test('background - no other fork continues anything', () => {
  const event = { hook_event_name: 'SessionStart', session_id: CHILD, source: 'fork', cwd: '/home/dev' }
  expect(conversationOf(event, {}, process.pid)).toEqual({ sessionId: CHILD, source: 'fork', cwd: '/home/dev' })
})
