import { type ChildProcess, spawn } from 'node:child_process'
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createClaudeCode } from '../../../../src/harness/claude-code/session.ts'
import type { Conversation, Harness } from '../../../../src/harness/types.ts'
import { meshHome } from '../../../../src/host/home.ts'

const SESSION = '11111111-2222-4333-8444-555555555555'
const TOKEN = 'mesh-0a1b2c3d'

let root: string
let client: ChildProcess
let dir: string
let env: Record<string, string>
let harness: Harness | undefined
let told: unknown[][]

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'mesh-harness-'))
  client = spawn('sleep', ['600'])
  env = { MESH_HOME: join(root, 'mesh'), CLAUDE_CONFIG_DIR: join(root, 'config'), CLAUDE_CODE_ENTRYPOINT: 'cli' }
  dir = join(root, 'mesh', 'run', `cc-${client.pid}`)
  // As the hook script does.
  for (const name of ['spool', 'start']) mkdirSync(join(dir, name), { recursive: true })
  mkdirSync(join(root, 'config', 'sessions'), { recursive: true })
  told = []
})
afterEach(async () => {
  vi.useRealTimers()
  await harness?.stop()
  harness = undefined
  client.kill('SIGKILL')
  rmSync(root, { recursive: true, force: true })
})

let count = 0
function hook(name: string, fields: object = {}, secondsAgo = 0): string {
  const id = `${name}-${++count}`
  const event = {
    hook_event_name: name,
    session_id: SESSION,
    cwd: '/home/dev',
    transcript_path: transcript(),
    ...fields,
  }
  writeFileSync(join(dir, 'spool', `${id}.t`), JSON.stringify(event))
  const at = Date.now() / 1000 - secondsAgo
  if (secondsAgo > 0) utimesSync(join(dir, 'spool', `${id}.t`), at, at)
  renameSync(join(dir, 'spool', `${id}.t`), join(dir, 'spool', `${id}.json`))
  return id
}
const transcript = () => join(root, 'transcript.jsonl')
const registry = (status: string, statusUpdatedAt = Date.now()) =>
  writeFileSync(
    join(root, 'config', 'sessions', `${client.pid}.json`),
    JSON.stringify({ pid: client.pid, status, statusUpdatedAt }),
  )
const create = () => createClaudeCode({ env, sessionDir: dir, home: meshHome(env), cwd: root, log: () => {} })

async function start(conversation: (c: Conversation) => Promise<string> = async () => 'welcome'): Promise<Harness> {
  harness = create()
  await harness.start({
    status: (status) => told.push(['status', status]),
    conversation: (c) => {
      told.push(['conversation', c.source, c.sessionId])
      return conversation(c)
    },
    evidence: (...evidence) => told.push(['evidence', ...evidence]),
    edited: () => {},
    prompted: () => told.push(['prompted']),
    turnEnded: (turn) => told.push(['turnEnded', turn]),
    interrupted: (is) => told.push(['interrupted', is]),
    ended: ({ reason }) => told.push(['ended', reason]),
  })
  return harness
}
const seen = (what: string) => told.filter(([kind]) => kind === what).map(([, ...rest]) => rest)

test('claude code - knows the conversation from the waiting start event, and answers it', async () => {
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

test('claude code - nothing to say, or a failure to say it, ends the wait of the hook all the same', async () => {
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

test('claude code - without the start event the environment tells the conversation', () => {
  env.CLAUDE_CODE_SESSION_ID = 'from-env'
  expect(create().conversation).toMatchObject({ sessionId: 'from-env', source: null })
})

test('claude code - one that is started again knows the conversation of the one before', async () => {
  hook('SessionStart', { source: 'fork' })
  await (await start()).stop()
  expect(create().conversation).toEqual({ sessionId: SESSION, source: 'fork', cwd: '/home/dev' })
})

test('claude code - a directory of no session, or of a process that is no more, is refused', async () => {
  const make = (name: string) => () =>
    createClaudeCode({ env, sessionDir: join(root, name), home: meshHome(env), cwd: root, log: () => {} })
  expect(make('op-abc')).toThrow(expect.objectContaining({ code: 'bad_request' }))
  const over = spawn('true')
  await new Promise((resolve) => over.once('close', resolve))
  expect(make(`cc-${over.pid}`)).toThrow(expect.objectContaining({ code: 'not_alive' }))
})

test('claude code - a pid that came round is not the client', async () => {
  await (await start()).stop()
  const path = join(dir, 'client.json')
  const record = JSON.parse(readFileSync(path, 'utf8')) as { process: { start: string } }
  record.process.start = 'earlier'
  writeFileSync(path, JSON.stringify(record))
  expect(create).toThrow(expect.objectContaining({ code: 'not_alive' }))
})

test("claude code - status follows the client's registry and its hooks, not those of its subagents", async () => {
  await start()
  expect(seen('status')).toEqual([['starting']])
  registry('idle')
  await vi.waitFor(() => expect(seen('status').at(-1)).toEqual(['idle']), 5000)
  hook('UserPromptSubmit', { agent_id: 'a1' })
  hook('UserPromptSubmit', { prompt: 'go' })
  await vi.waitFor(() => expect(seen('status').at(-1)).toEqual(['busy']), 5000)
  registry('waiting')
  await vi.waitFor(() => expect(seen('status').at(-1)).toEqual(['waiting']), 5000)
  hook('StopFailure', { agent_id: 'a1' })
  registry('idle')
  await vi.waitFor(() => expect(seen('status').at(-1)).toEqual(['idle']), 5000)
  expect(seen('status')).toEqual([['starting'], ['idle'], ['busy'], ['waiting'], ['idle']])
})

test.each(['UserPromptSubmit', 'Stop', 'StopFailure', 'SubagentStop', 'SessionStart', 'SessionEnd'])(
  'claude code - the %s of a subagent is not the session’s',
  async (name) => {
    await start()
    // Without a registry the hooks decide, and one of a second ago at once.
    hook('UserPromptSubmit', { prompt: 'go' }, 3)
    await vi.waitFor(() => expect(seen('status').at(-1)).toEqual(['busy']), 5000)
    const before = told.length
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
    await vi.waitFor(() => expect(told.length).toBeGreaterThan(before), 5000)
    expect(told.slice(before)).toEqual([['conversation', 'compact', SESSION]])
    expect(JSON.parse(readFileSync(join(dir, 'client.json'), 'utf8')).transcript).toBe(transcript())
  },
)

test('claude code - a half-written registry entry is read again', async () => {
  await start()
  const path = join(root, 'config', 'sessions', `${client.pid}.json`)
  writeFileSync(path, '{"status":"id')
  await vi.waitFor(() => expect(seen('status')).toEqual([['starting']]))
  registry('idle')
  await vi.waitFor(() => expect(seen('status').at(-1)).toEqual(['idle']), 5000)
})

test('claude code - stopped by a signal is paused', async () => {
  await start()
  registry('idle')
  client.kill('SIGSTOP')
  await vi.waitFor(() => expect(seen('status').at(-1)).toEqual(['paused']), 15_000)
  client.kill('SIGCONT')
  await vi.waitFor(() => expect(seen('status').at(-1)).toEqual(['idle']), 15_000)
}, 40_000)

test('claude code - mail that a hook took is handed, and surfaced once the transcript has it', async () => {
  hook('SessionStart', { source: 'startup' })
  const [door] = (await start()).doors
  await door!.offer(`<${TOKEN}>hello</${TOKEN}>`, TOKEN)
  renameSync(join(dir, 'mail'), join(dir, 'spool', 'MailTaken-7.json'))
  await expect.poll(() => seen('evidence')).toEqual([[TOKEN, 'handed', 'taken by a hook']])
  const line = { type: 'attachment', attachment: { type: 'hook_additional_context', content: [`<${TOKEN}>`] } }
  appendFileSync(transcript(), `${JSON.stringify(line)}\n`)
  await expect
    .poll(() => seen('evidence').at(-1), { timeout: 5000 })
    .toEqual([TOKEN, 'surfaced', 'transcript: hook context'])
  expect(await door!.withdraw()).toBe(false)
})

test('claude code - what was in the transcript before the offer is no evidence of it', async () => {
  const line = JSON.stringify({ type: 'queue-operation', operation: 'enqueue', content: TOKEN })
  writeFileSync(transcript(), `${line}\n`)
  hook('SessionStart', { source: 'startup' })
  const [door] = (await start()).doors
  await door!.offer(TOKEN, TOKEN)
  appendFileSync(transcript(), `${line}\n`)
  await expect.poll(() => seen('evidence'), { timeout: 5000 }).toEqual([[TOKEN, 'handed', 'transcript: enqueue']])
})

test('claude code - a prompt with the token may still be blocked: handed, also in the conversation that follows', async () => {
  hook('SessionStart', { source: 'startup' })
  const [door] = (await start()).doors
  await door!.offer(TOKEN, TOKEN)
  const next = { session_id: 'next', transcript_path: join(root, 'next.jsonl') }
  hook('SessionEnd', { reason: 'clear' })
  hook('SessionStart', { source: 'clear', ...next })
  hook('UserPromptSubmit', { prompt: `x ${TOKEN} y`, ...next })
  await expect.poll(() => seen('evidence')).toEqual([[TOKEN, 'handed', 'UserPromptSubmit hook']])
  expect(seen('conversation').at(-1)).toEqual(['clear', 'next'])
  expect(seen('ended')).toEqual([])
  const blocked = { type: 'system', subtype: 'informational' }
  const content = `UserPromptSubmit operation blocked by hook:\n[x]: no\n\nOriginal prompt: ${TOKEN}`
  appendFileSync(next.transcript_path, `${JSON.stringify({ ...blocked, content })}\n`)
  await expect.poll(() => seen('evidence').at(-1), { timeout: 5000 }).toMatchObject([TOKEN, 'refused', {}])
})

test('claude code - a client that keeps no transcript has read a prompt when its turn is over', async () => {
  hook('SessionStart', { source: 'startup' })
  const [door] = (await start()).doors
  await door!.offer(TOKEN, TOKEN)
  hook('UserPromptSubmit', { prompt: TOKEN })
  hook('Stop')
  await expect.poll(() => seen('evidence').map(([, state]) => state)).toEqual(['handed', 'surfaced', 'answered'])
})

const lineWith = (type: 'enqueue' | 'peer' | 'assistant') => {
  if (type === 'assistant') return `${JSON.stringify({ type, message: { role: 'assistant', content: 'yes' } })}\n`
  if (type === 'enqueue') return `${JSON.stringify({ type: 'queue-operation', operation: type, content: TOKEN })}\n`
  return `${JSON.stringify({ type: 'user', origin: { kind: type }, message: { role: 'user', content: TOKEN } })}\n`
}

test('claude code - what was read is answered by the next words of the model, not by earlier ones', async () => {
  hook('SessionStart', { source: 'startup' })
  const [door] = (await start()).doors
  await door!.offer(TOKEN, TOKEN)
  appendFileSync(transcript(), lineWith('assistant') + lineWith('peer'))
  await expect.poll(() => seen('evidence').at(-1), { timeout: 5000 }).toMatchObject([TOKEN, 'surfaced', {}])
  appendFileSync(transcript(), lineWith('assistant'))
  await expect.poll(() => seen('evidence').at(-1), { timeout: 5000 }).toMatchObject([TOKEN, 'answered', {}])
})

const offer = (door: string) => [{ handover: TOKEN, door, at: Date.now() }]

test.each([
  ['read', lineWith('enqueue') + lineWith('peer'), 'surfaced'],
  ['queued', lineWith('enqueue'), 'handed'],
  ['not seen', '', 'open'],
])('claude code - what was handed over by the sidecar before is %s', async (_, lines, state) => {
  hook('SessionStart', { source: 'startup' })
  await (await start()).stop()
  writeFileSync(transcript(), `${'x'.repeat(9 * 1024 * 1024)}\n${lines}`)
  expect((await start()).recall!(offer('inbox-socket'))).toMatchObject([{ state }])
  if (state === 'surfaced') return
  appendFileSync(transcript(), lineWith('peer'))
  await expect.poll(() => seen('evidence').at(-1), { timeout: 5000 }).toMatchObject([TOKEN, 'surfaced', {}])
})

test('claude code - mail of the sidecar before lies there until a hook takes it', async () => {
  hook('SessionStart', { source: 'startup' })
  const first = await start()
  await first.doors[0]!.offer(`<${TOKEN}>`, TOKEN)
  await first.stop()
  const second = await start()
  expect(second.recall!(offer('hook'))).toMatchObject([{ state: 'open' }])
  expect(existsSync(join(dir, 'mail'))).toBe(true)
  renameSync(join(dir, 'mail'), join(dir, 'taken'))
  expect(second.recall!(offer('hook'))).toMatchObject([{ state: 'handed' }])
})

test('claude code - what another client was given and did not show is lost with it', async () => {
  hook('SessionStart', { source: 'resume' })
  writeFileSync(transcript(), lineWith('enqueue'))
  const resumed = await start()
  expect(resumed.recall!(offer('inbox-socket'))).toMatchObject([{ state: 'lost' }])
  appendFileSync(transcript(), lineWith('peer'))
  expect(resumed.recall!(offer('inbox-socket'))).toMatchObject([{ state: 'surfaced' }])
})

test('claude code - mail that nobody knows of is given to nobody', async () => {
  writeFileSync(join(dir, 'mail'), '"of another client"')
  const harness = await start()
  expect(existsSync(join(dir, 'mail'))).toBe(false)
  writeFileSync(join(dir, 'mail'), '"not in the journal"')
  harness.recall!([])
  await expect.poll(() => existsSync(join(dir, 'mail'))).toBe(false)
})

test.each([
  ['cli', 'prompt_input_exit', 'exit'],
  ['cli', 'other', 'ended by a signal'],
  ['cli', 'logout', 'logout'],
])('claude code - %s: SessionEnd %s is the end: %s', async (entrypoint, reason, shown) => {
  env.CLAUDE_CODE_ENTRYPOINT = entrypoint
  await start()
  hook('SessionEnd', { reason })
  await expect.poll(() => seen('ended')).toEqual([[shown]])
  client.kill('SIGKILL')
  await new Promise((resolve) => setImmediate(resolve))
  expect(seen('ended')).toHaveLength(1)
})

test('claude code - the end of -p is finished after its last turn, else a signal', async () => {
  env.CLAUDE_CODE_ENTRYPOINT = 'sdk-cli'
  await start()
  hook('UserPromptSubmit', { prompt: 'go' })
  hook('Stop', { background_tasks: [] })
  hook('SessionEnd', { reason: 'other' })
  await expect.poll(() => seen('ended')).toEqual([['finished']])
})

test('claude code - evidence that comes with the end is told before it', async () => {
  env.CLAUDE_CODE_ENTRYPOINT = 'sdk-cli'
  hook('SessionStart', { source: 'startup' })
  const [door] = (await start()).doors
  await door!.offer(TOKEN, TOKEN)
  hook('SessionEnd', { reason: 'other' })
  const line = { type: 'attachment', attachment: { type: 'hook_additional_context', content: [TOKEN] } }
  appendFileSync(transcript(), `${JSON.stringify(line)}\n`)
  await expect.poll(() => told.map(([kind]) => kind).slice(-2)).toEqual(['evidence', 'ended'])
})

test('claude code - a client that dies without a word was killed', async () => {
  await start()
  client.kill('SIGKILL')
  await vi.waitFor(() => expect(seen('ended')).toEqual([['killed']]), 15_000)
}, 20_000)

test('claude code - what SessionEnd said comes before what is witnessed', async () => {
  await start()
  hook('SessionEnd', { reason: 'prompt_input_exit' })
  client.kill('SIGKILL')
  await vi.waitFor(() => expect(seen('ended')).toEqual([['exit']]), 15_000)
})

test('claude code - a status from the future, told before the clock was set back, counts as now', async () => {
  env.CLAUDE_CODE_ENTRYPOINT = 'sdk-cli'
  registry('idle', Date.now() + 3_600_000)
  await start()
  await expect.poll(() => seen('status')).toEqual([['starting'], ['idle']])
})

test('claude code - a clock that is set back does not hold a status', async () => {
  env.CLAUDE_CODE_ENTRYPOINT = 'sdk-cli'
  registry('idle')
  await start()
  expect(seen('status')).toEqual([['starting']])
  vi.setSystemTime(Date.now() - 3_600_000)
  await expect.poll(() => seen('status')).toEqual([['starting'], ['idle']])
})

test('claude code - idle in the middle of a turn: a person stopped it, until the next prompt', async () => {
  await start()
  registry('busy')
  hook('UserPromptSubmit', { prompt: 'go' })
  await expect.poll(() => seen('status').at(-1)).toEqual(['busy'])
  await expect
    .poll(() => {
      registry('idle')
      return told.slice(-2)
    })
    .toEqual([
      ['interrupted', true],
      ['status', 'idle'],
    ])
  await expect
    .poll(() => {
      hook('UserPromptSubmit', { prompt: 'rather this' })
      return told.filter(([kind]) => kind !== 'prompted').slice(-2)
    })
    .toEqual([
      ['status', 'busy'],
      ['interrupted', false],
    ])
})

test('claude code - a person said something: not a message, a task or another session', async () => {
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

test('claude code - the end of a turn that is told late was no interruption', async () => {
  await start()
  registry('busy')
  hook('UserPromptSubmit', { prompt: 'go' })
  await expect.poll(() => seen('status').at(-1)).toEqual(['busy'])
  await expect
    .poll(() => {
      registry('idle')
      return seen('interrupted')
    })
    .toEqual([[true]])
  hook('StopFailure')
  await expect.poll(() => seen('interrupted')).toEqual([[true], [false]])
})

test('claude code - the hook at the end of a turn is read before idle is believed', async () => {
  await start()
  registry('busy')
  hook('UserPromptSubmit', { prompt: 'go' })
  await expect.poll(() => seen('status').at(-1)).toEqual(['busy'])
  hook('Stop')
  registry('idle', Date.now() + 10)
  await expect.poll(() => seen('status').at(-1)).toEqual(['idle'])
  expect(seen('interrupted')).toEqual([])
})

test('claude code - offers the watched file only to a person without a socket that works', async () => {
  const open = () => create().doors.flatMap((door) => (door.available() ? [door.name] : []))
  expect(open()).toEqual(['hook', 'file-watch'])
  env.CLAUDE_CODE_ENTRYPOINT = 'sdk-cli'
  expect(open()).toEqual(['hook'])
})

test.each([
  ['the client took back with the prompt is forgotten', null, 'forgotten'],
  ['is in the conversation that was stopped is not', '[Request interrupted by user]', null],
])('claude code - mail that a prompt took along and that %s', async (_, line, state) => {
  hook('SessionStart', { source: 'startup' })
  const [door] = (await start()).doors
  registry('busy')
  await door!.offer(TOKEN, TOKEN)
  hook('UserPromptSubmit', { prompt: 'go' })
  const attachment = { type: 'hook_additional_context', hookEvent: 'UserPromptSubmit', content: [TOKEN] }
  appendFileSync(transcript(), `${JSON.stringify({ type: 'attachment', attachment })}\n`)
  await expect.poll(() => seen('evidence').at(-1)?.[1], { timeout: 5000 }).toBe('surfaced')
  await expect.poll(() => seen('status').at(-1)).toEqual(['busy'])
  if (line) {
    const stopped = { type: 'user', timestamp: new Date().toISOString(), message: { content: line } }
    appendFileSync(transcript(), `${JSON.stringify(stopped)}\n`)
  }
  await expect
    .poll(() => {
      registry('idle')
      return seen('interrupted')
    })
    .toEqual([[true]])
  if (state) await expect.poll(() => seen('evidence').at(-1)?.[1], { timeout: 5000 }).toBe(state)
  else {
    hook('UserPromptSubmit', { prompt: 'next' })
    await expect.poll(() => seen('interrupted').at(-1)).toEqual([false])
    expect(seen('evidence').map(([, is]) => is)).not.toContain('forgotten')
  }
})
