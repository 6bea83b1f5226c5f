/** Sessions are runs: of whoever started them, told to their end by themselves or by a witness. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { RawMcp } from '../support/mcp.ts'
import { eventually, TestMesh } from '../support/mesh.ts'

interface Shown {
  runId: string
  kind: string
  name: string
  owner: string
  parent: string | null
  lineage: string[]
  state: string
  reason?: string
}

let mesh: TestMesh
const servers: RawMcp[] = []
beforeEach(async () => {
  mesh = new TestMesh('kin')
  await mesh.json(['up'])
  await mesh.join('onlooker')
})
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.end()))
  await mesh.dispose()
})

const tree = (): Promise<Shown[]> => mesh.json(['tree'], { as: 'onlooker' })

async function reached(name: string, state: string): Promise<Shown> {
  return eventually(async () => {
    const found = (await tree()).find((run) => run.name === name)
    return found?.state === state && found
  }, `${name} ${state}`)
}

interface Session {
  name: string
  server: RawMcp
  run: string
  /** For what it starts. */
  env: Record<string, string>
}

async function session(name: string, above: Record<string, string> = {}): Promise<Session> {
  const server = new RawMcp(mesh, name, above)
  servers.push(server)
  await server.initialize()
  server.send(1, 'tools/call', { name: 'mesh_whoami', arguments: {} })
  const { result } = await server.answer(1)
  const { run, lineage } = result!.structuredContent as { run: string; lineage: string[] }
  return { name, server, run, env: { MESH_RUN_ID: run, MESH_LINEAGE: [...lineage, run].join(',') } }
}

/** The session and its sidecar at once: nobody is left to say so. */
function killWhole({ name, server }: Session): void {
  const { pid } = JSON.parse(readFileSync(join(mesh.runDir(name), 'sidecar.json'), 'utf8'))
  server.child.kill('SIGSTOP')
  process.kill(pid, 'SIGKILL')
  server.child.kill('SIGKILL')
}

test('a session is a run without a parent, and ends with its session', async () => {
  const { server, run } = await session('root')
  expect(await reached('root', 'running')).toMatchObject({ runId: run, kind: 'session', owner: 'root', parent: null })
  await server.end()
  expect(await reached('root', 'completed')).toMatchObject({ runId: run, reason: 'its user left' })
})

test('a session that another started is its run; one that is killed with its sidecar is ended by the witness', async () => {
  const parent = await session('parent')
  const child = await session('child', parent.env)
  const shown = { runId: child.run, kind: 'session', owner: 'parent', parent: parent.run, lineage: [parent.run] }
  expect(await reached('child', 'running')).toMatchObject(shown)
  killWhole(child)
  expect(await reached('child', 'terminated')).toMatchObject({ ...shown, reason: 'killed' })
  const events = (await mesh.run(['events', '--run', child.run, '--json'], { as: 'onlooker' })).stdout
    .trim()
    .split('\n')
  expect(events.map((line) => JSON.parse(line).type)).toEqual(['run_spawned', 'run_terminated'])
})
