/** How a session learns of its conversations, and answers their starts. */
import { spawn } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { createClaudeCode } from '../../../../../src/harness/claude-code/session.ts'
import { meshHome } from '../../../../../src/host/home.ts'
import { create, dir, env, events, hook, root, SESSION, seen, start, TOKEN, transcript, useSession } from './lab.ts'

useSession()

test('session - knows the conversation from the waiting start event, and answers it', async () => {
  const id = hook('SessionStart', { source: 'resume' })
  expect(create().conversation).toEqual({ sessionId: SESSION, source: 'resume', cwd: '/home/dev' })
  await start()
  await expect.poll(() => existsSync(join(dir, 'start', id))).toBe(true)
  expect(JSON.parse(readFileSync(join(dir, 'start', id), 'utf8'))).toEqual({
    hookSpecificOutput: {
      hookEventName: 'SessionStart',
      additionalContext: 'welcome',
      watchPaths: [join(dir, 'wake')],
    },
  })
  expect(seen('conversation')).toEqual([['resume', SESSION]])
})

test('session - an empty text, or a failure to make one, ends the wait of the hook all the same', async () => {
  let fail = false
  await start(async () => {
    if (fail) throw new Error('no')
    return ''
  })
  for (fail of [false, true]) {
    const id = hook('SessionStart', { source: 'startup' })
    await expect.poll(() => existsSync(join(dir, 'start', id))).toBe(true)
    expect(JSON.parse(readFileSync(join(dir, 'start', id), 'utf8'))).toEqual({
      hookSpecificOutput: { hookEventName: 'SessionStart', watchPaths: [join(dir, 'wake')] },
    })
  }
})

test('session - without the start event the environment names the conversation', () => {
  env.CLAUDE_CODE_SESSION_ID = 'from-env'
  expect(create().conversation).toMatchObject({ sessionId: 'from-env', source: null })
})

test('session - a restarted sidecar knows the conversation', async () => {
  hook('SessionStart', { source: 'fork' })
  await (await start()).stop()
  expect(create().conversation).toEqual({ sessionId: SESSION, source: 'fork', cwd: '/home/dev' })
})

test('session - a directory of no session, or of a process that is no more, is refused', async () => {
  const make = (name: string) => () =>
    createClaudeCode({ env, sessionDir: join(root, name), home: meshHome(env), cwd: root, log: () => {} })
  expect(make('op-abc')).toThrow(expect.objectContaining({ code: 'bad_request' }))
  const over = spawn('true')
  await new Promise((resolve) => over.once('close', resolve))
  expect(make(`cc-${over.pid}`)).toThrow(expect.objectContaining({ code: 'not_alive' }))
})

test('session - a reused pid is not the client', async () => {
  await (await start()).stop()
  const path = join(dir, 'client.json')
  const record = JSON.parse(readFileSync(path, 'utf8')) as { process: { start: string } }
  record.process.start = 'earlier'
  writeFileSync(path, JSON.stringify(record))
  expect(create).toThrow(expect.objectContaining({ code: 'not_alive' }))
})

test.each(['UserPromptSubmit', 'Stop', 'StopFailure', 'SubagentStop', 'SessionStart', 'SessionEnd'])(
  'session - the %s of a subagent is not the session’s',
  async (name) => {
    await start()
    // Without a registry the hooks decide, and one of a second ago at once.
    hook('UserPromptSubmit', { prompt: 'go' }, 3)
    await vi.waitFor(() => expect(seen('status').at(-1)).toEqual(['busy']), 5000)
    const before = events.length
    const event = {
      agent_id: 'a910e1dff18a8752d',
      agent_type: 'general-purpose',
      session_id: 'another',
      transcript_path: '/elsewhere.jsonl',
      source: 'startup',
      reason: 'other',
      prompt: TOKEN,
      last_assistant_message: 'CHILD FINAL REPORT',
      background_tasks: [],
    }
    hook(name, event, 1)
    // What comes after it is seen, so it was read.
    hook('SessionStart', { source: 'compact' })
    await vi.waitFor(() => expect(events.length).toBeGreaterThan(before), 5000)
    expect(events.slice(before)).toEqual([['conversation', 'compact', SESSION]])
    expect(JSON.parse(readFileSync(join(dir, 'client.json'), 'utf8')).transcript).toBe(transcript())
  },
)

test('session - a person said something: not a message, a task or another session', async () => {
  await start()
  for (const [i, prompt] of [
    '<mesh-0123abcd>\n[m_1 from api]\nhi\n</mesh-0123abcd>',
    '<task-notification>\n<task-id>x</task-id>',
    '<cross-session-message from="uds:/tmp/s">\nhi',
    '',
  ].entries()) {
    hook('UserPromptSubmit', { prompt })
    hook('SessionStart', { source: 'compact', session_id: `s${i}` })
    await expect.poll(() => seen('conversation').length).toBe(i + 1)
  }
  expect(seen('prompted')).toEqual([])
  hook('UserPromptSubmit', { prompt: 'explain <mesh-0123abcd>' })
  await expect.poll(() => seen('prompted').length).toBe(1)
})

test('session - offers the watched file only to a person without a socket that works', async () => {
  const open = () => create().doors.flatMap((door) => (door.available() ? [door.name] : []))
  expect(open()).toEqual(['hook', 'file-watch'])
  env.CLAUDE_CODE_ENTRYPOINT = 'sdk-cli'
  expect(open()).toEqual(['hook'])
})
