/** A Claude Code session whose sidecar was started by its MCP server: no hook tells anything. */
import { type ChildProcess, spawn } from 'node:child_process'
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { claudeCodeDir, isClaudeCode, mayHaveHooks } from '../../../../../src/harness/claude-code/mcp-parent.ts'
import { createClaudeCode } from '../../../../../src/harness/claude-code/session.ts'
import type { Harness } from '../../../../../src/harness/types.ts'
import { meshHome } from '../../../../../src/host/home.ts'

const [FIRST, SECOND] = ['11111111-2222-4333-8444-555555555555', '22222222-2222-4333-8444-555555555555']
const TOKEN = 'mesh-0a1b2c3d'

let root: string
let client: ChildProcess
let socket: Server
let env: Record<string, string>
let harness: Harness | undefined
let told: unknown[][]

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'mh-'))
  client = spawn('sleep', ['600'])
  env = {
    MESH_HOME: join(root, 'mesh'),
    CLAUDE_CONFIG_DIR: join(root, 'config'),
    CLAUDE_CODE_ENTRYPOINT: 'cli',
    CLAUDE_CODE_MESSAGING_SOCKET: join(root, 's'),
    CLAUDECODE: '1',
  }
  mkdirSync(join(root, 'config', 'sessions'), { recursive: true })
  socket = createServer(() => {})
  await new Promise<void>((resolve) => socket.listen(join(root, 's'), resolve))
  told = []
})
afterEach(async () => {
  await harness?.stop()
  harness = undefined
  socket.close()
  client.kill('SIGKILL')
  rmSync(root, { recursive: true, force: true })
})

const home = () => meshHome(env)
const sessionDir = () => claudeCodeDir(home(), client.pid!)
const entryPath = () => join(root, 'config', 'sessions', `${client.pid}.json`)
const register = (sessionId: string, status = 'idle') =>
  writeFileSync(
    entryPath(),
    JSON.stringify({ sessionId, cwd: '/home/dev/my_app', status, statusUpdatedAt: Date.now() }),
  )

async function start(): Promise<Harness> {
  mkdirSync(sessionDir(), { recursive: true })
  harness = createClaudeCode({ env, sessionDir: sessionDir(), home: home(), cwd: root, log: () => {} })
  await harness.start({
    status: (status) => told.push(['status', status]),
    conversation: async (c) => {
      told.push(['conversation', c.source, c.sessionId, c.cwd])
      return ''
    },
    evidence: (...seen) => told.push(['evidence', ...seen]),
    edited: () => {},
    prompted: () => {},
    interrupted: () => {},
    turnEnded: () => {},
    ended: ({ reason }) => told.push(['ended', reason]),
  })
  return harness
}

const open = () => harness!.doors.filter((door) => door.available()).map(({ name, reaches }) => [name, ...reaches])

/** A line as the client writes it for a message taken in. */
function writeTranscript(folder: string, sessionId: string, text: string): void {
  const dir = join(root, 'config', 'projects', folder)
  mkdirSync(dir, { recursive: true })
  const line = { type: 'user', origin: { kind: 'peer' }, message: { role: 'user', content: text } }
  appendFileSync(join(dir, `${sessionId}.jsonl`), `${JSON.stringify(line)}\n`)
}

test('hookless - conversation and status come from the registry, not from a stale environment', async () => {
  register(FIRST)
  env.CLAUDE_CODE_SESSION_ID = SECOND
  await start()
  expect(harness!.conversation).toEqual({ sessionId: FIRST, source: 'startup', cwd: '/home/dev/my_app' })
  expect(told).toEqual([['status', 'idle']])
  register(FIRST, 'busy')
  await vi.waitFor(() => expect(told.at(-1)).toEqual(['status', 'busy']))
})

test('hookless - the inbox socket is the only door, also into a running turn; hooks that appear change that', async () => {
  register(FIRST)
  await start()
  expect(open()).toEqual([['inbox-socket', 'idle', 'busy']])
  mkdirSync(join(sessionDir(), 'start'))
  expect(open()).toEqual([
    ['hook', 'busy', 'waiting'],
    ['inbox-socket', 'idle'],
  ])
})

test('hookless - /clear is seen in the registry; evidence is read from the right transcript', async () => {
  register(FIRST)
  await start()
  const inbox = harness!.doors.find(({ name }) => name === 'inbox-socket')!
  await inbox.offer(`<${TOKEN}>`, TOKEN)
  writeTranscript('-home-dev-my-app', FIRST, `<${TOKEN}>`)
  const seen = ['evidence', TOKEN, 'surfaced', 'transcript: peer message']
  await vi.waitFor(() => expect(told.at(-1)).toEqual(seen), 5000)
  register(SECOND)
  await vi.waitFor(() => expect(told.at(-1)).toEqual(['conversation', 'clear', SECOND, '/home/dev/my_app']), 5000)
  await inbox.offer('<mesh-99999999>', 'mesh-99999999')
  writeTranscript('-home-dev-my-app', SECOND, '<mesh-99999999>')
  await vi.waitFor(() => expect(told.at(-1)).toEqual(['evidence', 'mesh-99999999', ...seen.slice(2)]), 5000)
})

test('hookless - a resumed conversation’s transcript is found where it began', async () => {
  writeTranscript('-somewhere-else', FIRST, 'earlier')
  register(FIRST)
  await start()
  await harness!.doors.find(({ name }) => name === 'inbox-socket')!.offer(`<${TOKEN}>`, TOKEN)
  writeTranscript('-somewhere-else', FIRST, `<${TOKEN}>`)
  await vi.waitFor(() => expect(told.at(-1)?.[2]).toBe('surfaced'), 5000)
})

test.each([
  ['took its entry away: it ended', true, 'ended'],
  ['left its entry: it was killed', false, 'killed'],
])('hookless - a client that is gone and %s', async (_, isClean, reason) => {
  register(FIRST)
  await start()
  if (isClean) rmSync(entryPath())
  client.kill('SIGKILL')
  await vi.waitFor(() => expect(told.at(-1)).toEqual(['ended', reason]), 10_000)
})

test('hookless - a sidecar that is started again notices a /clear that it missed', async () => {
  register(FIRST)
  await start()
  await harness!.stop()
  register(SECOND)
  await start()
  await vi.waitFor(() => expect(told).toContainEqual(['conversation', 'clear', SECOND, '/home/dev/my_app']), 5000)
})

test('mcp parent - only a process that has its own socket, registry entry or directory is the client', () => {
  const pid = client.pid!
  expect(isClaudeCode(env, home(), pid)).toBe(false)
  expect(isClaudeCode({ ...env, CLAUDE_CODE_MESSAGING_SOCKET: `/tmp/cc-socks/${pid}.sock` }, home(), pid)).toBe(true)
  expect(isClaudeCode({ ...env, CLAUDE_CODE_MESSAGING_SOCKET: `/tmp/cc-socks/1${pid}.sock` }, home(), pid)).toBe(false)
  register(FIRST)
  expect(isClaudeCode(env, home(), pid)).toBe(true)
  expect(isClaudeCode({ ...env, CLAUDECODE: undefined }, home(), pid)).toBe(false)
  expect(mayHaveHooks(home(), sessionDir())).toBe(false)
  mkdirSync(join(sessionDir(), 'start'), { recursive: true })
  expect(mayHaveHooks(home(), sessionDir())).toBe(true)
})
