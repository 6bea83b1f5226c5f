/** `mesh mcp` in a session of a client that looks like Claude Code (this process): who starts its one sidecar. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { RawMcp } from '../../support/mcp.ts'
import { eventually, TestMesh } from '../../support/mesh.ts'

let mesh: TestMesh
let env: Record<string, string>
const servers: RawMcp[] = []
beforeEach(async () => {
  mesh = new TestMesh('mcps')
  const config = join(mesh.root, 'config')
  env = { CLAUDECODE: '1', CLAUDE_CONFIG_DIR: config, CLAUDE_CODE_ENTRYPOINT: 'cli' }
  const entry = { pid: process.pid, sessionId: 'first', cwd: mesh.cwd, status: 'idle', statusUpdatedAt: Date.now() }
  mkdirSync(join(config, 'sessions'), { recursive: true })
  writeFileSync(join(config, 'sessions', `${process.pid}.json`), JSON.stringify(entry))
  await mesh.join('alice')
})
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.end()))
  // This process lives on, and so does its session.
  for (const { pid } of sidecars()) process.kill(pid, 'SIGKILL')
  await mesh.dispose()
})

const sidecars = () => mesh.leftovers().filter(({ command }) => command.includes('sidecar.js claude-code'))
const recordPath = () => join(mesh.home, 'run', `cc-${process.pid}`, 'sidecar.json')
const record = () => JSON.parse(readFileSync(recordPath(), 'utf8'))

async function startServer(): Promise<RawMcp> {
  const server = new RawMcp(mesh, 'cc', env)
  servers.push(server)
  await server.initialize()
  server.send(1, 'tools/call', { name: 'mesh_whoami', arguments: {} })
  const { result } = await server.answer(1)
  expect(result).toMatchObject({ structuredContent: { name: 'cc', harness: 'claude-code', pid: process.pid } })
  return server
}

test('two servers of one session share its sidecar', async () => {
  await Promise.all([startServer(), startServer()])
  expect(sidecars()).toHaveLength(1)
})

test('a sidecar that outlived its MCP server goes on, and makes way for the next server’s', async () => {
  const first = await startServer()
  const { pid } = record()
  first.child.kill('SIGKILL')
  await eventually(() => first.child.signalCode !== null, 'the end of the server')
  const { id } = await mesh.json(['send', 'cc', '--', 'in between'], { as: 'alice' })
  await eventually(async () => {
    const { steps } = await mesh.json(['trace', id], { as: 'alice' })
    return steps.some(({ state }: { state: string }) => state === 'delivered')
  }, 'delivered meanwhile')
  expect(record().pid).toBe(pid)
  const next = await startServer()
  await eventually(() => record().pid !== pid, 'a sidecar of the next server')
  expect(sidecars()).toHaveLength(1)
  next.send(2, 'tools/call', { name: 'mesh_inbox', arguments: {} })
  expect(JSON.stringify((await next.answer(2)).result)).toContain('in between')
})

test('a hook’s sidecar is used, not replaced', async () => {
  await mesh.json(['install'], { env })
  const { hooks } = JSON.parse(readFileSync(join(env.CLAUDE_CONFIG_DIR!, 'settings.json'), 'utf8'))
  expect(Object.keys(hooks)).toContain('SessionStart')
  const hook = mesh.startHook('sidecar', process.pid, { as: 'cc', env })
  await eventually(() => existsSync(recordPath()), 'the hook’s sidecar')
  const { pid } = record()
  await startServer()
  expect(record().pid).toBe(pid)
  expect(sidecars()).toHaveLength(1)
  process.kill(hook.pid!, 'SIGTERM')
})
