import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { conversationOf } from '../../../../../src/harness/claude-code/conversation.ts'
import { askedName, movedAt } from '../../../../../src/harness/claude-code/spawn/background.ts'

const AT = '2026-11-21T05:14:05.964Z'

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'mesh-job-'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

function state(fields: object | string): void {
  writeFileSync(join(dir, 'state.json'), typeof fields === 'string' ? fields : JSON.stringify(fields))
}

test("background - the job that continues a terminal's session knows when that moved", () => {
  // Fields of a job of 2.1.329.
  state({ state: 'working', template: 'bg', interactiveLineage: true, createdAt: AT, backend: 'daemon' })
  expect(movedAt({ CLAUDE_JOB_DIR: dir })).toBe(AT)
  expect(movedAt({})).toBeNull()
  expect(movedAt({ CLAUDE_JOB_DIR: join(dir, 'gone') })).toBeNull()
})

test.each([
  [{ createdAt: AT }],
  [{ interactiveLineage: false, createdAt: AT }],
  [{ interactiveLineage: true }],
  [{ interactiveLineage: true, createdAt: 'yesterday' }],
  [{ interactiveLineage: 'yes', createdAt: AT }],
  ['no json'],
  ['null'],
])('background - any other job says nothing: %j', (fields) => {
  state(fields)
  expect(movedAt({ CLAUDE_JOB_DIR: dir })).toBeNull()
})

test('background - only a fork may have moved', () => {
  state({ interactiveLineage: true, createdAt: AT })
  const event = { hook_event_name: 'SessionStart', session_id: 's', cwd: '/home/dev' }
  const read = (source: string) => conversationOf({ ...event, source }, { CLAUDE_JOB_DIR: dir })
  expect(read('fork')).toEqual({ sessionId: 's', source: 'fork', cwd: '/home/dev', movedAt: AT })
  expect(read('resume')).toEqual({ sessionId: 's', source: 'resume', cwd: '/home/dev' })
})

test('background - a name in its environment is not its own', () => {
  expect(askedName({ MESH_NAME: 'api' })).toBe('api')
  expect(askedName({ MESH_NAME: '' })).toBeUndefined()
  expect(askedName({ MESH_NAME: 'api', CLAUDE_JOB_DIR: dir })).toBeUndefined()
})
