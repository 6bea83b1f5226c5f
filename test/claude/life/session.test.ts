/** A person's session in a terminal: it joins by itself, is woken, is reached between two tool calls. */
import { existsSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { type Interactive, kill, submit } from '../support/client.ts'
import { eventually } from '../support/eventually.ts'
import { meshBin } from '../support/mesh.ts'
import { bash, type ModelRequest } from '../support/mock-model.ts'
import { missing, testNothingLeft, useSuite } from '../support/suite.ts'

const suite = useSuite()

/** A tool call that ends when the test says so. */
function heldTool(): { call: ReturnType<typeof bash>; release(): void } {
  const path = join(suite.lab.project, 'go')
  rmSync(path, { force: true })
  const call = bash(`until [ -e go ]; do sleep 0.05; done; echo released`)
  return { call, release: () => writeFileSync(path, '') }
}

/** The request that first held `word`. */
const readBy = (word: string) => eventually(`the model reads ${word}`, () => suite.model.saw(word)[0])
const times = (text: string, word: string) => text.split(word).length - 1

async function startIdle(bypass: boolean): Promise<{ session: Interactive; name: string }> {
  const session = await suite.terminal.start({ bypass })
  const { name } = await suite.mesh.reaches(session.pid, 'idle')
  return { session, name }
}

async function leave(session: Interactive): Promise<void> {
  kill(session.pid, 'SIGKILL')
  await suite.mesh.reaches(session.pid, 'gone')
}

describe.skipIf(missing).each([
  ['', false],
  [' in bypass mode', true],
])('interactive%s', (_, bypass) => {
  let current: Interactive | undefined
  afterEach(async () => {
    if (current) await leave(current)
    current = undefined
  })

  test('(a) a plain claude joins and has its start text; (b) idle, it is woken by mesh send', async () => {
    const { model, mesh } = suite
    const { session, name } = await startIdle(bypass)
    current = session
    const word = `wake-${session.pid}`
    const { id, at } = await mesh.send(name, `${word}: the schema landed`)
    const request = await readBy(word)
    console.log(`idle session woken ${request.at - at} ms after mesh send was started${bypass ? ' (bypass)' : ''}`)
    expect(request.text).toContain(`You are "${name}" on mesh`)
    expect(request.fresh).toContain(`${word}: the schema landed`)
    await mesh.traced(id, 'surfaced')
    await mesh.reaches(session.pid, 'idle')
    expect(times(model.requests.at(-1)!.text, `${word}: the schema landed`)).toBe(1)
  })

  test('(a) its shell is this session on the mesh', async () => {
    const { model, mesh } = suite
    const { session, name } = await startIdle(bypass)
    current = session
    model.script(`whoami-${session.pid}`, [{ call: [bash(`node '${meshBin}' whoami --json`)] }, { say: 'done' }])
    await submit(session, `play whoami-${session.pid}`)
    const answered = (request: ModelRequest) => request.fresh.includes('"sessionId"')
    const request = await eventually('whoami answered', () => suite.model.requests.find(answered))
    expect(request.fresh).toContain(`"name":"${name}"`)
    expect(request.fresh).toContain(`"sessionId":"${request.sessionId}"`)
    await mesh.reaches(session.pid, 'idle')
  })

  test('(c) busy, it gets the message between two tool calls of the same turn', async () => {
    const { model, mesh } = suite
    const { session, name } = await startIdle(bypass)
    current = session
    const held = heldTool()
    const [script, word] = [`busy-${session.pid}`, `midturn-${session.pid}`]
    model.script(script, [{ call: [held.call] }, { call: [bash('echo second')] }, { say: 'done' }])
    await submit(session, `play ${script}`)
    await mesh.reaches(session.pid, 'busy')
    const { id } = await mesh.send(name, word)
    await mesh.waiting(session.pid, word)
    held.release()
    const request = await readBy(word)
    // After the first call's result, and before the second call was made.
    expect(request.fresh).toContain('released')
    expect(request.messages.filter(({ role }) => role === 'assistant')).toHaveLength(1)
    await mesh.traced(id, 'surfaced')
    await mesh.reaches(session.pid, 'idle')
    expect(times(model.requests.at(-1)!.text, word)).toBe(1)
  })

  test('(g) two messages sent while it is busy come in one hand-over, once', async () => {
    const { model, mesh } = suite
    const { session, name } = await startIdle(bypass)
    current = session
    const held = heldTool()
    const [script, one, two] = [`two-${session.pid}`, `first-${session.pid}`, `second-${session.pid}`]
    model.script(script, [{ call: [held.call] }, { say: 'done' }])
    await submit(session, `play ${script}`)
    await mesh.reaches(session.pid, 'busy')
    const ids = [await mesh.send(name, one), await mesh.send(name, two)].map(({ id }) => id)
    await mesh.waiting(session.pid, one, two)
    held.release()
    const request = await readBy(one)
    expect(request.fresh.indexOf(one)).toBeLessThan(request.fresh.indexOf(two))
    expect(times(request.fresh, '</mesh-')).toBe(1)
    for (const id of ids) await mesh.traced(id, 'surfaced')
    await mesh.reaches(session.pid, 'idle')
    const last = model.requests.filter(({ auxiliary }) => !auxiliary).at(-1)!
    expect([times(last.text, one), times(last.text, two)]).toEqual([1, 1])
  })

  test('(h) its sidecar, killed while idle, comes back by itself and the next message wakes it', async () => {
    const { mesh } = suite
    const { session, name } = await startIdle(bypass)
    current = session
    const old = mesh.sidecarPid(session.pid)
    kill(old, 'SIGKILL')
    const word = `revived-${session.pid}`
    const { id } = await mesh.send(name, word)
    await readBy(word)
    expect(mesh.sidecarPid(session.pid)).not.toBe(old)
    await mesh.traced(id, 'surfaced')
    await mesh.reaches(session.pid, 'idle')
  })
})

describe.skipIf(missing)('interactive, further', () => {
  let current: Interactive | undefined
  afterEach(async () => {
    if (current) await leave(current)
    current = undefined
  })

  test('a message that comes while the model says its last words goes on with the turn', async () => {
    const { model, mesh } = suite
    const { session, name } = await startIdle(false)
    current = session
    let release = () => {}
    const gate = new Promise<void>((resolve) => {
      release = resolve
    })
    const [script, word] = [`last-${session.pid}`, `stop-${session.pid}`]
    model.script(script, [() => gate.then(() => ({ say: 'last words' })), { say: 'heard' }])
    await submit(session, `play ${script}`)
    await mesh.reaches(session.pid, 'busy')
    const { id } = await mesh.send(name, word)
    await mesh.waiting(session.pid, word)
    release()
    const request = await readBy(word)
    expect(request.fresh).toContain('Stop hook')
    await mesh.traced(id, 'surfaced')
    await mesh.reaches(session.pid, 'idle')
  })

  test("a subagent's tool calls leave the mail to the session", async () => {
    const { model, mesh } = suite
    const { session, name } = await startIdle(false)
    current = session
    const held = heldTool()
    const [script, kid, word] = [`parent-${session.pid}`, `kid-${session.pid}`, `family-${session.pid}`]
    const input = { description: 'a child', prompt: `play ${kid}`, subagent_type: 'general-purpose' }
    model.script(script, [{ call: [{ name: 'Agent', input }] }, { call: [held.call] }, { say: 'done' }])
    model.script(kid, [
      { call: [bash(`until [ -e mail-waits ]; do sleep 0.05; done; echo kid-one`)] },
      { call: [bash('echo kid-two')] },
      { say: 'kid done' },
    ])
    await submit(session, `play ${script}`)
    await eventually('the child works', () => model.requests.some(({ agentId }) => agentId !== undefined))
    await mesh.send(name, word)
    await mesh.waiting(session.pid, word)
    writeFileSync(join(suite.lab.project, 'mail-waits'), '')
    await eventually('the child made two calls', () => {
      return model.requests.some(({ agentId, text }) => agentId !== undefined && text.includes('kid-two'))
    })
    expect(existsSync(join(suite.lab.meshHome, 'run', `cc-${session.pid}`, 'mail'))).toBe(true)
    held.release()
    expect((await readBy(word)).agentId).toBeUndefined()
    expect(model.saw(word).filter(({ agentId }) => agentId !== undefined)).toEqual([])
    await mesh.reaches(session.pid, 'idle')
  })

  test('/clear is no end: the name stays and the new conversation is woken', async () => {
    const { mesh } = suite
    const { session, name } = await startIdle(false)
    current = session
    const before = `before-${session.pid}`
    await mesh.send(name, before)
    const { sessionId } = await readBy(before)
    await mesh.reaches(session.pid, 'idle')
    await submit(session, '/clear')
    await eventually('another conversation', () => !session.screen().includes(before))
    const word = `cleared-${session.pid}`
    const { id } = await mesh.send(name, word)
    const request = await readBy(word)
    expect(request.sessionId).not.toBe(sessionId)
    expect(request.text).not.toContain(before)
    expect(request.text).toContain(`You are "${name}" on mesh`)
    await mesh.traced(id, 'surfaced')
  })
})

testNothingLeft(suite)
