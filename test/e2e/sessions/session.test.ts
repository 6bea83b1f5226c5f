/** How commands speak to the sidecar of the agent session they run in: here a server of the test's own. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { TestMesh } from '../../support/mesh.ts'

const key = `cc-${process.pid}`
const message = {
  id: `m_${'a'.repeat(32)}`,
  from: 'alice',
  to: 'api',
  text: 'hi',
  sentAt: '2026-01-01T00:00:00.000Z',
  thread: null,
  replyTo: null,
  intent: null,
  verified: true,
  repeat: false,
}

interface Asked {
  op: string
  body: Record<string, unknown>
}

let mesh: TestMesh
let dir: string
let server: Server | undefined
let asked: Asked[]
/** The version of the protocol. */
let answersAs: string
beforeEach(() => {
  mesh = new TestMesh()
  dir = join(mesh.home, 'run', key)
  asked = []
  answersAs = '1'
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  leaveRecord('0.1.0')
})
afterEach(async () => {
  stop()
  rmSync(dir, { recursive: true, force: true })
  await mesh.dispose()
})

function leaveRecord(version: string): void {
  const record = { pid: process.pid, name: 'api', project: 'e2e', version }
  writeFileSync(join(dir, 'sidecar.json'), JSON.stringify(record))
}

/** Serves the session's socket; `answer` may be a status and an error, or never come. */
async function serve(answer: (asked: Asked) => unknown): Promise<void> {
  server = createServer((request, response) => {
    let text = ''
    request.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
    request.on('end', () => {
      const call = { op: request.url!.slice('/v0/'.length), body: JSON.parse(text) }
      asked.push(call)
      const value = answer(call)
      if (value === null) request.socket.destroy()
      else if (value !== undefined)
        response.setHeader('mesh-version', '0.1.0').setHeader('mesh-api', answersAs).end(JSON.stringify(value))
    })
  })
  rmSync(join(dir, 'sock'), { force: true })
  await new Promise<void>((resolve) => server!.listen(join(dir, 'sock'), resolve))
}

function stop(): void {
  server?.closeAllConnections()
  server?.close()
  server = undefined
}

function run(...args: string[]) {
  return mesh.run(args, { env: { MESH_SESSION: key, MESH_NAME: '' } })
}

function opsAsked(): string[] {
  return asked.map(({ op }) => op)
}

test('commands go to the session that MESH_SESSION or CLAUDE_PID names', async () => {
  await serve(() => [])
  expect(await run('ps', '--json')).toMatchObject({ code: 0, stdout: '[]\n' })
  const byPid = await mesh.run(['ps', '--json'], { env: { CLAUDE_PID: String(process.pid), MESH_NAME: 'x' } })
  expect(byPid).toMatchObject({ code: 0, stdout: '[]\n' })
  expect(opsAsked()).toEqual(['ps', 'ps'])
})

test('a message is settled only after it was shown', async () => {
  await serve(({ op }) => (op === 'inbox' ? { messages: [message], more: 0, handover: 'h1' } : { surfaced: 1 }))
  const done = await run('inbox', '--json')
  expect(done.json).toEqual([message])
  expect(asked).toEqual([
    { op: 'inbox', body: { peek: false } },
    { op: 'taken', body: { handover: 'h1' } },
  ])
})

test('mail that another reader was given is not called read', async () => {
  await serve(() => ({ messages: [], more: 2 }))
  expect((await run('inbox')).stdout).toBe('no unread messages now; 2 on their way\n')
  expect(await run('inbox', '--json')).toMatchObject({ stdout: '[]\n', stderr: 'mesh: 2 on their way\n' })
})

test('an answer that cannot be confirmed is shown, with the note that it will come again', async () => {
  await serve(({ op }) => (op === 'inbox' ? { messages: [message], more: 0, handover: 'h1' } : null))
  const done = await run('inbox', '--json')
  expect(done.code).toBe(0)
  expect(done.json).toEqual([message])
  expect(done.stderr).toContain('will come again')
})

test('a sidecar that restarts is waited for', async () => {
  const sent = run('send', 'bob', '--json', '--', 'hi')
  await new Promise((resolve) => setTimeout(resolve, 1000))
  await serve(({ body }) => ({ id: body.id, state: 'stored', to: 'bob' }))
  expect(await sent).toMatchObject({ code: 0 })
  expect(opsAsked()).toEqual(['send'])
})

test('a sidecar that dies during a send is asked again with the same id', async () => {
  let dies = true
  await serve(({ body }) => {
    if (!dies) return { id: body.id, state: 'stored', to: 'bob' }
    dies = false
    return null
  })
  const done = await run('send', 'bob', '--json', '--', 'hi')
  expect(done.code).toBe(0)
  expect(opsAsked()).toEqual(['send', 'send'])
  expect(asked[0]!.body.id).toBe(asked[1]!.body.id)
  expect(done.json.id).toBe(asked[0]!.body.id)
})

test('a rename is not asked twice', async () => {
  await serve(() => null)
  const done = await run('rename', 'other', '--json')
  expect(done).toMatchObject({ code: 5, stdout: '' })
  expect(done.error.code).toBe('sidecar_down')
  expect(opsAsked()).toEqual(['rename'])
})

test('a sidecar that stays away is an error, and no operator speaks for the session', async () => {
  const done = await run('send', 'bob', '--json', '--', 'hi')
  expect(done).toMatchObject({ code: 5, stdout: '' })
  expect(done.error.code).toBe('sidecar_down')
  expect((await mesh.run(['status', '--json'])).json).toMatchObject({ running: false })
})

test('a sidecar of another protocol is an error that says what to do; of another release it is not', async () => {
  leaveRecord('0.99.0')
  await serve(() => [])
  expect(await run('ps', '--json')).toMatchObject({ code: 0, stdout: '[]\n' })
  answersAs = '99'
  const done = await run('ps', '--json')
  expect(done).toMatchObject({ code: 5, stdout: '' })
  expect(done.error).toMatchObject({ code: 'version_skew', hint: expect.stringContaining('npm install -g') })
})

test('--as with another name is the operator of that name, not the session', async () => {
  await serve(() => ({ name: 'api' }))
  const mine = await mesh.run(['whoami', '--as', 'api', '--json'], { env: { MESH_SESSION: key } })
  expect(mine.json).toEqual({ name: 'api' })
  const other = await mesh.run(['whoami', '--as', 'deploy', '--json'], { env: { MESH_SESSION: key } })
  expect(other.json).toMatchObject({ name: 'deploy', harness: 'shell' })
})

test('an interrupted question says how to find out about it', async () => {
  await serve(() => undefined)
  const ask = mesh.start(['ask', 'bob', '--timeout', '100ms', '--json', '--', 'x'], { env: { MESH_SESSION: key } })
  await new Promise((resolve) => setTimeout(resolve, 500))
  // It keeps the time; the command waits a little longer before it takes the sidecar for stuck.
  expect(ask.child.exitCode).toBeNull()
  ask.child.kill('SIGINT')
  const done = await ask.finished
  expect(done).toMatchObject({ code: 130, stdout: '' })
  expect(done.stderr).toContain(`mesh trace ${asked[0]!.body.id}`)
})

test('what peers wrote stays within its line and cannot change the display', async () => {
  const words = 'left\r\nlike \x1b[2Jthat\nmesh: all is well'
  const shown = 'left like \\x1b[2Jthat mesh: all is well'
  const peer = { name: 'bob', lastActivityAt: message.sentAt, unread: 0, doors: [], project: 'e2e' }
  const session = { ...peer, status: 'gone', reason: words, host: words, cwd: words, harness: words }
  const ended = { type: 'session_ended', name: 'bob', status: 'gone', reason: words }
  const step = { state: 'surfaced', at: message.sentAt, by: words, evidence: words }
  const answers: Record<string, unknown> = {
    send: { id: message.id, state: 'stored', to: 'bob', note: words },
    wait: { results: [ended] },
    runs: [],
    ps: [session],
    alive: { ...session, alive: false },
    whoami: session,
    trace: { id: message.id, steps: [step] },
    topic_list: [{ name: words, members: [words] }],
    role_list: [{ name: words, members: [words] }],
    topic_join: { name: words, members: [words] },
    rename: { name: 'bob', previous: words },
  }
  await serve(({ op }) => answers[op])
  const lines: [string[], number][] = [
    [['send', 'bob', '--', 'hi'], 1],
    [['wait', 'bob'], 1],
    [['ps'], 2],
    [['alive', 'bob'], 1],
    [['whoami'], Object.keys(session).length],
    [['trace', message.id], 2],
    [['topic', 'list'], 1],
    [['role', 'list'], 1],
    [['topic', 'join', 'x'], 1],
    [['rename', 'bob'], 1],
  ]
  for (const [args, count] of lines) {
    const { stdout, stderr } = await run(...args)
    const text = stdout + stderr
    expect(text, args[0]).toContain(shown)
    expect(text.split('\n'), args[0]).toHaveLength(count + 1)
  }
})
