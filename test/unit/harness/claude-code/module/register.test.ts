/** The module as the client runs it, over an engine that is a script of the test, and the door that it talks to. */
import { mkdtempSync, rmSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { ModuleDoor } from '../../../../../src/harness/claude-code/doors/module.ts'
import { SidecarEvents } from '../../../../../src/harness/claude-code/sidecar-events.ts'
import type { HarnessEvents } from '../../../../../src/harness/types.ts'
import type { SessionStatus } from '../../../../../src/wire/envelope.schema.ts'

type Hook = ($: object, e: object, next: (e: object) => unknown) => Promise<unknown>

let root: string
let dir: string
let door: ModuleDoor
let status: SessionStatus
let seen: unknown[][]
const hooks = new Map<string, Hook>()
const submit = vi.fn(async (_: { text: string }): Promise<{ drop?: string }> => ({}))
const append = vi.fn(async (_: object): Promise<{ deny?: string }> => ({}))

/** As the client has it: a request is cut after a while, and a socket that nobody listens on fails at once. */
function fetchOver(url: string, init: { method?: string; body?: string; socketPath: string }) {
  return new Promise<{ ok: boolean; status: number; text: string }>((resolve, reject) => {
    const { method = 'GET', body, socketPath } = init
    const call = request({ socketPath, method, path: new URL(url).pathname }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk
      })
      response.on('end', () => resolve({ ok: response.statusCode === 200, status: response.statusCode!, text }))
    })
    call.on('error', reject)
    calls.push(call)
    call.end(body)
  })
}
const calls: { destroy(): void }[] = []
const $ = {
  http: { fetch: fetchOver },
  process: { hookEnv: async () => ({ CLAUDE_PID: '4711' }) },
  env: { get: async (name: string) => ({ MESH_HOME: root })[name] },
  clock: { sleep: (ms: number) => new Promise((resolve) => setTimeout(resolve, ms)) },
  prompt: { submit },
  session: { append },
}
const fire = (name: string, e: object = {}) => hooks.get(name)!($, e, async (same) => same)

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'mm-'))
  dir = join(root, 'run', 'cc-4711')
  status = 'idle'
  seen = []
  submit.mockReset().mockResolvedValue({})
  append.mockReset().mockResolvedValue({})
  const sidecar = new SidecarEvents()
  sidecar.begin({
    evidence: (...evidence) => seen.push(['evidence', ...evidence]),
    interrupted: (is) => seen.push(['interrupted', is]),
    doorsChanged: () => seen.push(['doors', door.available(), door.reaches.join()]),
  } as Partial<HarnessEvents> as HarnessEvents)
  door = new ModuleDoor(
    dir,
    sidecar,
    () => status,
    () => {},
  )
  vi.resetModules()
  const { register } = (await import('../../../../../plugin/hooks/register.js')) as {
    register(on: (name: string, hook: Hook) => void): void
  }
  register((name, hook) => void hooks.set(name, hook))
})
afterEach(() => {
  door.stop()
  for (const call of calls.splice(0)) call.destroy()
  rmSync(root, { recursive: true })
})

async function open(isInteractive = true): Promise<void> {
  await door.start()
  await fire('session.start', { isInteractive })
  if (isInteractive) await expect.poll(() => door.available()).toBe(true)
}

test('an idle session is woken, and a session without a module has no such door', async () => {
  await door.start()
  expect(door.available()).toBe(false)
  await open()
  await door.offer('hello', 'mesh-1')
  await expect.poll(() => submit.mock.calls).toEqual([[{ text: 'hello' }]])
  await expect.poll(() => seen).toContainEqual(['evidence', 'mesh-1', 'handed', expect.any(String)])
  expect(await door.withdraw()).toBe(false)
  expect(door.available()).toBe(true)
})

test('a module that starts before the sidecar listens finds it', async () => {
  await fire('session.start', { isInteractive: true })
  await door.start()
  await expect.poll(() => door.available(), { timeout: 3000 }).toBe(true)
})

test('in a turn mail can be taken back until tools have ended', async () => {
  await open()
  status = 'busy'
  await door.offer('one', 'mesh-1')
  expect([door.lies('mesh-1'), await door.withdraw(), door.lies('mesh-1')]).toEqual([true, true, false])
  await fire('classic.PostToolBatch')
  expect(append).not.toHaveBeenCalled()
  await door.offer('two', 'mesh-2')
  await expect.poll(() => door.available()).toBe(true)
  await fire('classic.PostToolBatch', { agent_id: 'a1' })
  expect(append).not.toHaveBeenCalled()
  await expect
    .poll(async () => {
      await fire('classic.PostToolBatch')
      return append.mock.calls
    })
    .toEqual([[{ message: { type: 'user', content: [{ type: 'text', text: 'two' }] } }]])
  expect(await door.withdraw()).toBe(false)
  expect(submit).not.toHaveBeenCalled()
})

test('what Esc made the client drop is reported, and no turn is started before the next one', async () => {
  await open()
  submit.mockResolvedValue({ drop: 'the session was stopped and nobody has sent input since' })
  await door.offer('hello', 'mesh-1')
  await expect.poll(() => seen).toContainEqual(['evidence', 'mesh-1', 'dropped', expect.stringContaining('stopped')])
  expect(seen).toContainEqual(['interrupted', true])
  expect(door.reaches).toEqual(['busy', 'waiting'])
  await fire('turn.start')
  await expect.poll(() => door.reaches).toContain('idle')
})

test('what the client refuses is given back, and its next turn is waited for', async () => {
  await open()
  submit.mockRejectedValue(new Error('no session is bound in this process'))
  await door.offer('hello', 'mesh-1')
  await expect.poll(() => seen).toContainEqual(['evidence', 'mesh-1', 'dropped', expect.stringContaining('no session')])
  expect(door.reaches).toEqual([])
})

test('a row that no request carried by the end of its turn gets a bell; one that was read does not', async () => {
  await open()
  for (const [token, isRead] of [
    ['mesh-1', true],
    ['mesh-2', false],
  ] as const) {
    status = 'busy'
    await door.offer('text', token)
    await expect
      .poll(async () => {
        await fire('classic.PostToolBatch')
        return door.lies(token)
      })
      .toBe(false)
    if (isRead) door.onEvidence(token)
    await fire('turn.complete', { reason: 'answer' })
  }
  await expect.poll(() => submit.mock.calls.length, { timeout: 3000 }).toBe(1)
})

test('at the end of a turn the mail goes by the Stop hook', async () => {
  await open()
  status = 'busy'
  await door.offer('late', 'mesh-1')
  // The courier's part.
  const moved = expect
    .poll(() => door.reaches)
    .toEqual(['idle'])
    .then(() => door.withdraw())
  await expect
    .poll(async () => {
      await fire('classic.Stop')
      return door.lies('mesh-1')
    })
    .toBe(false)
  expect(await moved).toBe(true)
  await fire('turn.complete', { reason: 'answer' })
  await expect.poll(() => door.reaches).toContain('busy')
})

test('claude -p is polled in its turns alone, so that nothing holds its end', async () => {
  await open(false)
  expect(door.available()).toBe(false)
  await fire('turn.start')
  await expect.poll(() => door.available()).toBe(true)
  await fire('turn.complete', { reason: 'answer' })
  expect(door.available()).toBe(false)
  await fire('turn.start')
  await expect.poll(() => door.available()).toBe(true)
})

test('the door shuts as soon as the poll is closed, and again when the session ends', async () => {
  await open()
  for (const call of calls) call.destroy()
  await expect.poll(() => seen.at(-1)).toEqual(['doors', false, expect.any(String)])
  await expect.poll(() => door.available()).toBe(true)
  await fire('session.end', { reason: 'clear' })
  expect(door.available()).toBe(true)
  await fire('session.end', { reason: 'prompt_input_exit' })
  expect(door.available()).toBe(false)
})

test('what is no event, or comes from a page, is refused', async () => {
  await door.start()
  const ev = (body: string) => fetchOver('http://mesh/ev', { method: 'POST', body, socketPath: join(dir, 'mod') })
  for (const body of ['', '[]', '{"ev":"other"}', `{"ev":"taken","id":"${'x'.repeat(100)}"}`, 'x'.repeat(20_000)])
    expect((await ev(body)).status).toBe(400)
  expect((await ev('{"ev":"batch"}')).text).toBe('{"op":"none"}')
})
