/** The status of a session, from registry, hooks and transcript. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import {
  causes,
  client,
  create,
  dir,
  env,
  events,
  hook,
  registry,
  root,
  SESSION,
  seen,
  start,
  typed,
  useSession,
} from './lab.ts'

useSession()

test("session - status follows the client's registry and its hooks, not those of its subagents", async () => {
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

test('session - a half-written registry entry is read again', async () => {
  await start()
  const path = join(root, 'config', 'sessions', `${client.pid}.json`)
  writeFileSync(path, '{"status":"id')
  await vi.waitFor(() => expect(seen('status')).toEqual([['starting']]))
  registry('idle')
  await vi.waitFor(() => expect(seen('status').at(-1)).toEqual(['idle']), 5000)
})

test('session - stopped by a signal is paused', async () => {
  await start()
  registry('idle')
  client.kill('SIGSTOP')
  await vi.waitFor(() => expect(seen('status').at(-1)).toEqual(['paused']), 15_000)
  client.kill('SIGCONT')
  await vi.waitFor(() => expect(seen('status').at(-1)).toEqual(['idle']), 15_000)
}, 40_000)

test('session - a status from before the clock was set back counts as now', async () => {
  env.CLAUDE_CODE_ENTRYPOINT = 'sdk-cli'
  registry('idle', Date.now() + 3_600_000)
  await start()
  await expect.poll(() => seen('status')).toEqual([['starting'], ['idle']])
})

test('session - a clock that is set back does not freeze the status', async () => {
  env.CLAUDE_CODE_ENTRYPOINT = 'sdk-cli'
  registry('idle')
  await start()
  expect(seen('status')).toEqual([['starting']])
  vi.setSystemTime(Date.now() - 3_600_000)
  await expect.poll(() => seen('status')).toEqual([['starting'], ['idle']])
})

test('session - idle in the middle of a turn: a person stopped it, until the next prompt', async () => {
  await start()
  registry('busy')
  hook('UserPromptSubmit', { prompt: 'go' })
  await expect.poll(() => seen('status').at(-1)).toEqual(['busy'])
  await expect
    .poll(() => {
      registry('idle')
      return events.slice(-2)
    })
    .toEqual([
      ['interrupted', true],
      ['status', 'idle'],
    ])
  await expect
    .poll(() => {
      hook('UserPromptSubmit', { prompt: 'rather this' })
      return events.filter(([kind]) => kind !== 'prompted').slice(-2)
    })
    .toEqual([
      ['status', 'busy'],
      ['interrupted', false],
    ])
})

test('session - a turn whose end is seen late was not interrupted', async () => {
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

test('session - the hook at the end of a turn is read before idle is believed', async () => {
  await start()
  registry('busy')
  hook('UserPromptSubmit', { prompt: 'go' })
  await expect.poll(() => seen('status').at(-1)).toEqual(['busy'])
  hook('Stop')
  registry('idle', Date.now() + 10)
  await expect.poll(() => seen('status').at(-1)).toEqual(['idle'])
  expect(seen('interrupted')).toEqual([])
})

test('session - its title is the one that a person gave it, as one line', async () => {
  const entitle = (name: string, nameSource: string) => {
    const entry = { pid: client.pid, status: 'idle', statusUpdatedAt: Date.now(), name, nameSource }
    writeFileSync(join(root, 'config', 'sessions', `${client.pid}.json`), JSON.stringify(entry))
  }
  entitle(' fe#142\u202e\n認証 ', 'user')
  const session = await start()
  expect(session.title?.()).toBe('fe#142 認証')
  entitle('Fixing the login page', 'auto')
  await vi.waitFor(() => expect(session.title?.()).toBeNull(), 5000)
  entitle('x'.repeat(300), 'user')
  await vi.waitFor(() => expect(session.title?.()).toBe('x'.repeat(200)), 5000)
})

test('session - a sandbox in the settings leaves its model the tools of an MCP server, or no voice', async () => {
  const settings = (sandbox: object) =>
    writeFileSync(join(root, 'config', 'settings.json'), JSON.stringify({ sandbox }))
  const voice = () => create().voice?.()
  expect(voice()).toBe('shell')
  settings({ enabled: true })
  expect(voice()).toBe('none')
  writeFileSync(join(dir, 'tools'), String(process.pid))
  expect(voice()).toBe('tools')
  writeFileSync(join(dir, 'tools'), '999999999')
  expect(voice()).toBe('none')
  for (const open of [
    { network: { allowAllUnixSockets: true } },
    { excludedCommands: ['mesh *'] },
    { enabled: false },
  ]) {
    settings({ enabled: true, ...open })
    expect(voice()).toBe('shell')
  }
})

/** Esc in a turn, and what the person did then. */
async function stopTurn(): Promise<void> {
  await start()
  registry('busy')
  hook('UserPromptSubmit', { prompt: 'go' })
  await expect.poll(() => seen('status').at(-1)).toEqual(['busy'])
  await becomes('idle')
  expect(seen('interrupted')).toEqual([[true]])
}

const becomes = (status: string) =>
  expect
    .poll(() => {
      registry(status, Date.now(), { sessionId: SESSION })
      return seen('status').at(-1)
    })
    .toEqual([status])

test('session - a compaction after Esc is no second Esc', async () => {
  await stopTurn()
  await becomes('busy')
  await becomes('idle')
  expect(seen('interrupted')).toEqual([[true], [false]])
})

test.each(['clear', 'resume'])('session - Esc is over with %s, which begins another conversation', async (source) => {
  await stopTurn()
  hook('SessionStart', { source, session_id: 'another' })
  await expect.poll(() => seen('interrupted')).toEqual([[true], [false]])
  await becomes('busy')
  await becomes('idle')
  expect(seen('interrupted')).toEqual([[true], [false]])
})

test('session - after Esc and a turn that ended, a busy client is in no turn', async () => {
  await stopTurn()
  hook('UserPromptSubmit', { prompt: 'rather this' })
  await becomes('busy')
  hook('Stop')
  await becomes('idle')
  await becomes('busy')
  await becomes('idle')
  expect(seen('interrupted')).toEqual([[true], [false]])
})

const isCompacting = () => expect.poll(() => causes.at(-1)).toMatchObject({ kind: 'compacting' })
const isNot = () => expect.poll(() => causes.at(-1)).toBeNull()

test('session - a /compact that a person typed is a compaction, though no hook shows it, until it is over', async () => {
  await start()
  await becomes('idle')
  await becomes('busy')
  // The history is written a little later.
  typed('!make', 'another-conversation')
  typed('/compact the schema alone')
  typed('go', 'another-conversation')
  await isCompacting()
  hook('SessionStart', { source: 'compact' })
  await isNot()
  await becomes('idle')
  typed('!make')
  await becomes('busy')
  await isNot()
})

test('session - a /compact that is typed during a turn runs after it', async () => {
  await start()
  hook('UserPromptSubmit', { prompt: 'go' })
  await becomes('busy')
  typed('/compact')
  await becomes('waiting')
  await becomes('busy')
  await isNot()
  hook('Stop')
  await isCompacting()
})

test.each([
  ['of an earlier time', () => typed('/compact', SESSION, Date.now() - 60_000)],
  ['with other words', () => typed('/compacter')],
  ['that is not the last', () => [typed('/compact'), typed('!make')]],
])('session - a /compact %s is not why the client is busy', async (_, type) => {
  await start()
  await becomes('idle')
  type()
  await becomes('busy')
  hook('PermissionRequest', { tool_name: 'Bash' })
  await becomes('waiting')
  expect(causes.map((cause) => (cause as { kind: string } | null)?.kind)).not.toContain('compacting')
})

test('session - says what it waits for, that a turn failed, and that it compacts', async () => {
  await start()
  hook('UserPromptSubmit', { prompt: 'go' })
  hook('PermissionRequest', { tool_name: 'Bash', tool_input: { command: 'rm x' } })
  registry('waiting')
  await expect.poll(() => causes.at(-1)).toMatchObject({ kind: 'permission', tool: 'Bash', input: 'rm x' })
  hook('PreCompact')
  await expect
    .poll(() => {
      registry('busy')
      return causes.at(-1)
    })
    .toMatchObject({ kind: 'compacting' })
  hook('SessionStart', { source: 'compact' })
  await expect.poll(() => causes.at(-1)).toBeNull()
  hook('StopFailure', { error: 'server_error', last_assistant_message: 'API Error: 529' })
  registry('idle')
  await expect.poll(() => causes.at(-1)).toMatchObject({ kind: 'error', error: 'server_error', text: 'API Error: 529' })
  hook('UserPromptSubmit', { prompt: 'again' })
  await expect.poll(() => causes.at(-1)).toBeNull()
})
