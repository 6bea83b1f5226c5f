/** What `mesh mcp` does when clients, lines, sidecars and the engine misbehave, and how its session ends. */
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { McpClient, RawMcp } from '../../support/mcp.ts'
import { eventually, TestMesh } from '../../support/mesh.ts'

let mesh: TestMesh
const raws: RawMcp[] = []
beforeEach(() => {
  mesh = new TestMesh('mcpf')
})
afterEach(async () => {
  await Promise.all(raws.splice(0).map((raw) => raw.end()))
  await mesh.dispose()
})

function raw(name: string, env: Record<string, string> = {}): RawMcp {
  const one = new RawMcp(mesh, name, env)
  raws.push(one)
  return one
}

const ended = (name: string) => mesh.json(['ps'], { as: 'alice' }).then((all) => all.find(named(name)))
const named = (name: string) => (session: { name: string }) => session.name === name

test('tools called before there is an engine: it is started, they are answered', async () => {
  const client = await McpClient.connect(mesh, 'early')
  const [me, ps, sent] = await Promise.all([
    client.call('mesh_whoami'),
    client.call('mesh_ps'),
    client.call('mesh_send', { to: 'early', text: 'to myself' }),
  ])
  expect(me.data).toMatchObject({ name: 'early', connected: true })
  expect(ps.data.list).toMatchObject([{ name: 'early', harness: 'mcp' }])
  expect(sent.text).toMatch(/ (stored|queued) to early/)
  expect((await client.call('mesh_wait', { targets: [] })).text).toContain('to myself')
  await client.close()
})

test('after mesh down the tools say so, and what is sent is kept', async () => {
  await mesh.json(['up'])
  const client = await McpClient.connect(mesh, 'down')
  await client.call('mesh_whoami')
  await mesh.json(['down'])
  const ps = await client.call('mesh_ps')
  expect(JSON.parse(ps.text).error).toMatchObject({ code: 'mesh_down', hint: expect.stringContaining('mesh up') })
  expect((await client.call('mesh_send', { to: 'down', text: 'kept' })).text).toMatch(/ queued /)
  await client.close()
})

test('a probe before initialize is answered; unknown methods, tools and malformed lines are refused and nothing else', async () => {
  const one = raw('odd')
  one.send(1, 'server/discover')
  one.type('this is not JSON')
  one.type('{"jsonrpc":"2.0","id":2')
  one.type('[]')
  one.type('{"jsonrpc":"1.0","id":2,"method":"ping"}')
  one.type('null')
  one.type('{"jsonrpc":"2.0","id":{},"method":"ping"}')
  one.type('\u0000\u001b[2J')
  expect((await one.initialize()).result).toMatchObject({ serverInfo: { name: 'mesh' } })
  expect((await one.answer(1)).error ?? (await one.answer(1)).result).toBeDefined()
  one.send(null, 'notifications/initialized')
  one.send(3, 'no/such/method')
  expect((await one.answer(3)).error).toMatchObject({ code: -32601 })
  one.send(4, 'tools/call', { name: 'mesh_nothing' })
  const message = 'there is no tool "mesh_nothing": tools/list has them'
  expect((await one.answer(4)).error).toMatchObject({ code: -32602, message })
  one.send(5, 'tools/call', { name: '__proto__', arguments: {} })
  expect((await one.answer(5)).error).toMatchObject({ code: -32602 })
  one.send(6, 'tools/call', { name: 'mesh_ps', arguments: 'text' })
  expect((await one.answer(6)).error).toMatchObject({ code: -32602 })
  one.send(7, 'tools/call', { name: 'mesh_wait', arguments: { targets: ['../x', '*'] } })
  expect((await one.answer(7)).result).toMatchObject({ isError: true })
  one.send(null, 'notifications/cancelled', { requestId: 99 })
  one.send(8, 'ping')
  expect((await one.answer(8)).result).toEqual({})
  expect(await one.end()).toBe(0)
})

test('a text that is too large is refused; a line without end closes the connection, and the session is gone', async () => {
  await mesh.join('alice')
  const one = raw('huge')
  await one.initialize()
  one.send(1, 'tools/call', { name: 'mesh_send', arguments: { to: 'alice', text: 'x'.repeat(9 * 1024 * 1024) } })
  expect(JSON.stringify((await one.answer(1)).result)).toContain('too_large')
  one.send(2, 'ping')
  expect((await one.answer(2)).result).toEqual({})
  const chunk = 'y'.repeat(1024 * 1024)
  for (let i = 0; i < 24; i++) one.child.stdin!.write(chunk)
  await eventually(() => one.child.exitCode !== null, 'the end of the server')
  await eventually(async () => (await ended('huge'))?.status === 'gone', 'huge to be gone')
})

test('the client dies: gone, with the reason; the name and its mail wait', async () => {
  await mesh.join('alice')
  const client = await McpClient.connect(mesh, 'mortal')
  await client.call('mesh_whoami')
  process.kill(client.pid, 'SIGKILL')
  const gone = await eventually(async () => {
    const session = await ended('mortal')
    return session?.status === 'gone' && session
  }, 'mortal to be gone')
  expect(gone.reason).toBe('disconnected')
  await mesh.json(['send', 'mortal', '--', 'for later'], { as: 'alice' })
  const next = await McpClient.connect(mesh, 'mortal')
  expect((await next.call('mesh_whoami')).data).toMatchObject({ name: 'mortal', epoch: 2 })
  expect((await next.call('mesh_inbox')).text).toContain('for later')
  await next.close()
})

test('the engine is killed during a wait: the wait goes on and gets its message', async () => {
  await mesh.join('alice')
  const { pid } = await mesh.json(['status'])
  const client = await McpClient.connect(mesh, 'waiter')
  const waiting = client.call('mesh_wait', { targets: [] })
  const waits = async () => (await ended('waiter'))?.wake.includes('waiting-call')
  await eventually(waits, 'a waiting call')
  process.kill(pid, 'SIGKILL')
  await eventually(waits, 'the same after the engine is back')
  await mesh.json(['send', 'waiter', '--', 'after the crash'], { as: 'alice' })
  expect((await waiting).text).toContain('after the crash')
  await client.close()
})

test('the sidecar is killed during a wait: it comes back, and the wait goes on', async () => {
  await mesh.join('alice')
  const client = await McpClient.connect(mesh, 'phoenix')
  await client.call('mesh_whoami')
  const waiting = client.call('mesh_wait', { targets: [] })
  const waits = async () => (await ended('phoenix'))?.wake.includes('waiting-call')
  await eventually(waits, 'a waiting call')
  const record = () => JSON.parse(readFileSync(join(mesh.runDir('phoenix'), 'sidecar.json'), 'utf8'))
  const first = record().pid
  process.kill(first, 'SIGKILL')
  await eventually(() => record().pid !== first, 'another sidecar')
  await eventually(waits, 'the waiting call again')
  await mesh.json(['send', 'phoenix', '--', 'still here?'], { as: 'alice' })
  expect((await waiting).text).toContain('still here?')
  expect((await client.call('mesh_whoami')).data).toMatchObject({ name: 'phoenix', epoch: 1 })
  await client.close()
})

test('a session stays in its project when its sidecar comes back after the repository got a remote', async () => {
  execFileSync('git', ['init', '-q', mesh.cwd])
  const one = raw('settled', { MESH_PROJECT: '' })
  await one.initialize()
  const [dir] = await eventually(() => {
    const all = readdirSync(join(mesh.home, 'run')).filter((key) => key.startsWith('mcp-'))
    return all.length > 0 && all
  }, 'its directory')
  const record = () => JSON.parse(readFileSync(join(mesh.home, 'run', dir!, 'sidecar.json'), 'utf8'))
  const before = await eventually(() => {
    try {
      return record()
    } catch {
      return null
    }
  }, 'its record')
  execFileSync('git', ['-C', mesh.cwd, 'remote', 'add', 'origin', 'https://example.org/elsewhere.git'])
  process.kill(before.sidecar.pid, 'SIGKILL')
  one.send(7, 'tools/call', { name: 'mesh_whoami', arguments: {} })
  await one.answer(7)
  expect(record()).toMatchObject({ name: 'settled', epoch: 1, project: before.project })
  expect(record().sidecar.pid).not.toBe(before.sidecar.pid)
})

test('--as with the name of a living session reads what that has, and changes nothing', async () => {
  const client = await McpClient.connect(mesh, 'taken')
  await client.call('mesh_state_change', { do: 'set', key: 'plan', value: 'parser first' })
  const refused = { code: 4, stdout: '', error: { code: 'conflict' } }
  expect(await mesh.run(['state', 'set', 'plan', '--json', '--as', 'taken', '--', 'x'])).toMatchObject(refused)
  expect(await mesh.run(['inbox', '--json', '--as', 'taken'])).toMatchObject(refused)
  expect(await mesh.json(['state', 'get', 'plan', '--as', 'taken'])).toBe('parser first')
  expect((await mesh.json(['ps'])).map(({ name }: { name: string }) => name)).not.toContain('taken-2')
  expect((await mesh.run(['whoami', '--as', 'free'])).stderr).toBe('')
  await client.close()
})

test('listings make no session where one runs already, under whatever name they are asked for', async () => {
  const client = await McpClient.connect(mesh, 'alone')
  await client.call('mesh_whoami')
  for (const words of [['ps'], ['tree'], ['events'], ['topic', 'list'], ['alive', 'alone']])
    expect((await mesh.run([...words, '--as', 'tpyo', '--json'])).code, words.join(' ')).toBe(0)
  const names = (await mesh.json(['ps', '--as', 'tpyo'])).map(({ name }: { name: string }) => name)
  expect(names).toContain('alone')
  expect(names).not.toContain('tpyo')
  await client.close()
})

test('a client that only asks what the server speaks is no session', async () => {
  await mesh.join('alice')
  const _meta = {
    'io.modelcontextprotocol/protocolVersion': '2026-07-28',
    'io.modelcontextprotocol/clientInfo': { name: 'probe', version: '1' },
    'io.modelcontextprotocol/clientCapabilities': {},
  }
  const one = raw('nobody')
  one.send(1, 'server/discover', { _meta })
  expect((await one.answer(1)).result).toMatchObject({ instructions: expect.stringContaining('mesh_whoami') })
  expect(await one.end()).toBe(0)
  expect(await ended('nobody')).toBeUndefined()
})

test('another client that inherited a session’s environment is not taken for that session', async () => {
  const one = raw('inner', { CLAUDECODE: '1', CLAUDE_CODE_MESSAGING_SOCKET: '/tmp/cc-socks/1.sock' })
  await one.initialize()
  one.send(1, 'tools/call', { name: 'mesh_whoami', arguments: {} })
  expect((await one.answer(1)).result).toMatchObject({ structuredContent: { name: 'inner', harness: 'mcp' } })
})

test('two servers of one client are two sessions; afterwards nothing of them is left', async () => {
  await mesh.join('alice')
  const [one, two] = await Promise.all([McpClient.connect(mesh, 'twin'), McpClient.connect(mesh, 'twin')])
  const names = [await one.call('mesh_whoami'), await two.call('mesh_whoami')].map(({ data }) => data.name)
  expect(names.sort()).toEqual(['twin', 'twin-2'])
  await Promise.all([one.close(), two.close()])
  await eventually(async () => (await ended('twin'))?.status === 'gone', 'twin to be gone')
  await eventually(async () => (await ended('twin-2'))?.status === 'gone', 'twin-2 to be gone')
  const ours = () => mesh.leftovers().filter(({ command }) => /(sidecar|mesh)\.js mcp/.test(command))
  await eventually(() => ours().length === 0, 'no process of ours')
})

test('on a machine without an engine the first session fetches one itself', async () => {
  const one = raw('first', { MESH_ENGINE: '' })
  await one.initialize()
  let id = 0
  const joined = async () => {
    one.send(++id, 'tools/call', { name: 'mesh_whoami', arguments: {} })
    const { result } = await one.answer(id)
    return (result as { structuredContent?: { connected: boolean } }).structuredContent?.connected
  }
  // The call does not wait for as long as a fetch may take.
  await eventually(joined, 'the first session to join')
  expect(existsSync(join(mesh.home, 'engine', 'bin', 'nats-server'))).toBe(true)
  expect(await one.end()).toBe(0)
})
