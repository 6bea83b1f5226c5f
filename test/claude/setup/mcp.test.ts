/**
 * The real client with `mesh mcp`: alone (no hooks) it joins, sends, awaits and is woken by the sidecar that the server
 * started; beside the hooks there is one sidecar, and mail comes once.
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type Interactive, kill, processesWith, runPrint, submit } from '../support/client.ts'
import { eventually } from '../support/eventually.ts'
import { meshBin } from '../support/mesh.ts'
import { bash, type ModelRequest } from '../support/mock-model.ts'
import { missing, testNothingLeft, useSuite } from '../support/suite.ts'

const suite = useSuite()
/** A call that blocks longer than this goes to the background: two minutes, unless said otherwise. */
const BACKGROUND = { CLAUDE_CODE_MCP_AUTO_BACKGROUND_MS: '2000' }

beforeAll(() => {
  if (missing) return
  const { lab } = suite
  const server = { command: process.execPath, args: [meshBin, 'mcp'], alwaysLoad: true }
  writeFileSync(join(lab.root, 'mcp.json'), JSON.stringify({ mcpServers: { mesh: server } }))
  const settings = JSON.parse(readFileSync(lab.settings, 'utf8')) as { permissions: { allow: string[] } }
  settings.permissions.allow.push('mcp__mesh__*')
  writeFileSync(lab.settings, JSON.stringify(settings, null, 2))
})

const args = () => ['--mcp-config', join(suite.lab.root, 'mcp.json')]
const tool = (name: string, input: Record<string, unknown> = {}) => ({ name: `mcp__mesh__mesh_${name}`, input })
const readBy = (word: string) => eventually(`the model reads ${word}`, () => suite.model.saw(word)[0])
type Message = { id: string; from: string; text: string }
const times = (text: string, word: string) => text.split(word).length - 1
const sidecars = () => processesWith(suite.lab.root).filter(({ command }) => /sidecar\.js claude-code/.test(command))

/** How often the model has been told `word`, counted over all requests. */
function tellings(word: string): number {
  return suite.model.requests.filter((request) => !request.auxiliary && request.fresh.includes(word)).length
}

/** Waits for a message of a session to the people: the first in their inbox that is not mesh's own. */
function fromSession(): Promise<Message> {
  return eventually('the message', async () =>
    (await suite.mesh.json<Message[]>('inbox', '--json')).find(({ from }) => from !== 'mesh'),
  )
}

async function leave(session: Interactive): Promise<void> {
  kill(session.pid, 'SIGKILL')
  await suite.mesh.reaches(session.pid, 'gone')
}

describe.skipIf(missing)('without hooks', () => {
  beforeAll(async () => {
    if (!missing) await suite.mesh.run('uninstall')
  })
  let current: Interactive | undefined
  afterEach(async () => {
    if (current) await leave(current)
    current = undefined
  })

  describe.each([
    ['', false],
    [' in bypass mode', true],
  ])('interactive%s', (_, bypass) => {
    test('joins, sends, and is woken through its inbox socket by the sidecar of its MCP server', async () => {
      const { mesh, model, terminal } = suite
      current = await terminal.start({ bypass, args: args() })
      const { name, harness, wake } = await mesh.reaches(current.pid, 'idle')
      expect({ harness, wake }).toEqual({ harness: 'claude-code', wake: ['inbox-socket'] })
      const operator = (await mesh.json<{ name: string }>('whoami', '--json')).name
      const text = `sent-by-${current.pid}`
      model.script(`send-${current.pid}`, [{ call: [tool('send', { to: operator, text })] }])
      await submit(current, `play send-${current.pid}`)
      const answered = (request: ModelRequest) => request.fresh.includes(`stored to ${operator}`)
      const sent = await eventually('the answer of mesh_send', () => model.requests.findLast(answered))
      expect(sent.text).toContain(`You are "${name}".\nmesh_send`)
      expect(sent.text).toContain('Messages arrive by themselves')
      expect(await fromSession()).toMatchObject({ from: name, text })
      await mesh.reaches(current.pid, 'idle')
      const word = `wake-${current.pid}`
      const { id, at } = await mesh.send(name, `${word}: the schema landed`)
      const request = await readBy(word)
      console.log(`woken without hooks ${request.at - at} ms after mesh send was started${bypass ? ' (bypass)' : ''}`)
      await mesh.traced(id, 'surfaced')
      await mesh.reaches(current.pid, 'idle')
      expect(times(model.requests.at(-1)!.text, `${word}: the schema landed`)).toBe(1)
      expect(sidecars()).toHaveLength(1)
    })
  })

  test('a mesh_wait goes to the background, and its result wakes the idle session', async () => {
    const { mesh, model, terminal } = suite
    current = await terminal.start({ args: args(), env: BACKGROUND })
    const { name } = await mesh.reaches(current.pid, 'idle')
    model.script('await', [{ call: [tool('wait', { targets: [] })] }, { say: 'waiting' }])
    await submit(current, 'play await')
    await readBy('moved to the background')
    const waiting = await mesh.reaches(current.pid, 'idle')
    expect(waiting.wake[0]).toBe('waiting-call')
    const word = `awaited-${current.pid}`
    const { id, at } = await mesh.send(name, `${word} <b>`)
    const request = await readBy(word)
    console.log(`awaited by mesh_wait: ${request.at - at} ms after mesh send was started`)
    expect(request.fresh).toContain('task-notification')
    expect(request.fresh).toContain('From people at shells of this mesh, not from peer agents.')
    // The client escapes what it puts into a notification.
    expect(request.fresh).toContain(`${word} &lt;b&gt;`)
    expect((await mesh.traced(id, 'surfaced')).evidence).toBe('given to the client by an MCP tool')
    await mesh.reaches(current.pid, 'idle')
    expect(tellings(word)).toBe(1)
  })

  test('during a turn mail comes between two tool calls', async () => {
    const { mesh, model, terminal, lab } = suite
    rmSync(join(lab.project, 'go'), { force: true })
    current = await terminal.start({ args: args() })
    const { name } = await mesh.reaches(current.pid, 'idle')
    model.script('busy', [{ call: [bash('until [ -e go ]; do sleep 0.05; done')] }, { say: 'done' }])
    await submit(current, 'play busy')
    await mesh.reaches(current.pid, 'busy')
    const word = `busy-${current.pid}`
    const { id } = await mesh.send(name, word)
    await mesh.traced(id, 'handed')
    writeFileSync(join(lab.project, 'go'), '')
    await readBy(word)
    await mesh.traced(id, 'surfaced')
    await mesh.reaches(current.pid, 'idle')
    expect(tellings(word)).toBe(1)
  })

  test('/clear keeps the name, and mail reaches the new conversation', async () => {
    const { lab, mesh, terminal } = suite
    current = await terminal.start({ args: args() })
    const { name } = await mesh.reaches(current.pid, 'idle')
    await submit(current, `hello-${current.pid}`)
    const { sessionId } = await readBy(`hello-${current.pid}`)
    await mesh.reaches(current.pid, 'idle')
    await submit(current, '/clear')
    const path = join(lab.meshHome, 'run', `cc-${current.pid}`, 'sidecar.json')
    await eventually('the new conversation', () => JSON.parse(readFileSync(path, 'utf8')).sessionId !== sessionId)
    const word = `cleared-${current.pid}`
    const { id } = await mesh.send(name, word)
    const request = await readBy(word)
    expect(request.sessionId).toBe(JSON.parse(readFileSync(path, 'utf8')).sessionId)
    await mesh.traced(id, 'surfaced')
    expect((await mesh.sessionOf(current.pid))!.name).toBe(name)
  })

  test('the sidecar comes back after kill -9; /exit is reported as an end, kill -9 as killed', async () => {
    const { mesh, terminal } = suite
    const session = await terminal.start({ args: args() })
    const { name } = await mesh.reaches(session.pid, 'idle')
    const first = mesh.sidecarPid(session.pid)
    kill(first, 'SIGKILL')
    await eventually('another sidecar', () => mesh.sidecarPid(session.pid) !== first)
    await mesh.reaches(session.pid, 'idle')
    const word = `again-${session.pid}`
    await mesh.send(name, word)
    await readBy(word)
    await mesh.reaches(session.pid, 'idle')
    await submit(session, '/exit')
    expect((await mesh.reaches(session.pid, 'gone')).reason).toBe('ended')
    const other = await terminal.start({ args: args() })
    await mesh.reaches(other.pid, 'idle')
    kill(other.pid, 'SIGKILL')
    expect((await mesh.reaches(other.pid, 'gone')).reason).toBe('killed')
  })

  test('a session whose MCP server died stays on the mesh', async () => {
    const { lab, mesh, terminal } = suite
    current = await terminal.start({ args: args() })
    const { name } = await mesh.reaches(current.pid, 'idle')
    const [server] = processesWith(lab.root).filter(({ command }) => command.endsWith('mesh.js mcp'))
    kill(server!.pid, 'SIGKILL')
    const word = `orphan-${current.pid}`
    await mesh.send(name, word)
    await readBy(word)
    await mesh.reaches(current.pid, 'idle')
  })

  test('claude -p joins, sends and awaits', async () => {
    const { lab, mesh, model, claude } = suite
    const operator = (await mesh.json<{ name: string }>('whoami', '--json')).name
    model.script('headless', [
      { call: [tool('send', { to: operator, text: 'which port?', intent: 'request', wait: 'reply' })] },
      { say: 'done' },
    ])
    const run = runPrint(lab, claude, 'play headless', { args: args() })
    const question = await fromSession()
    await mesh.run('reply', question.id, '--', 'port-8080')
    expect(await run.ended).toBe(0)
    expect(model.saw('port-8080').length).toBeGreaterThan(0)
    await mesh.reaches(run.pid, 'gone')
  })
})

describe.skipIf(missing)('with hooks and MCP', () => {
  beforeAll(async () => {
    if (!missing) await suite.mesh.run('install')
  })

  test('there is one sidecar, the hook’s; mail comes once, idle and busy', async () => {
    const { mesh, model, terminal, lab } = suite
    rmSync(join(lab.project, 'go'), { force: true })
    const session = await terminal.start({ args: args() })
    const { name, wake } = await mesh.reaches(session.pid, 'idle')
    expect(wake).toEqual(expect.arrayContaining(['hook', 'inbox-socket']))
    model.script('both', [
      { call: [tool('whoami')] },
      { call: [bash('until [ -e go ]; do sleep 0.05; done')] },
      { say: 'done' },
    ])
    await submit(session, 'play both')
    const asked = (request: ModelRequest) => request.fresh.includes(`"name":"${name}"`)
    const { text } = await eventually('mesh_whoami speaks for the session', () => model.requests.find(asked))
    expect(times(text, 'Messages arrive by themselves')).toBe(1)
    expect(text).toContain('These tools do what the mesh commands do')
    const busy = `mid-${session.pid}`
    const { id } = await mesh.send(name, busy)
    await mesh.waiting(session.pid, busy)
    writeFileSync(join(lab.project, 'go'), '')
    await readBy(busy)
    await mesh.traced(id, 'surfaced')
    await mesh.reaches(session.pid, 'idle')
    const idle = `idle-${session.pid}`
    await mesh.send(name, idle)
    await readBy(idle)
    await mesh.reaches(session.pid, 'idle')
    expect([tellings(busy), tellings(idle)]).toEqual([1, 1])
    expect(sidecars()).toHaveLength(1)
    expect(mesh.sidecarProcesses(session.pid)).toContain(sidecars()[0]!.pid)
    expect((await mesh.ps()).filter(({ pid }) => pid === session.pid)).toHaveLength(1)
    await leave(session)
  })
})

testNothingLeft(suite)
