/** Sessions are runs: of whoever started them, told to their end by themselves or by a witness. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { RawMcp } from '../../support/mcp.ts'
import { eventually, TestMesh } from '../../support/mesh.ts'

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

function sidecarOf({ name }: Pick<Session, 'name'>): number {
  return JSON.parse(readFileSync(join(mesh.runDir(name), 'sidecar.json'), 'utf8')).pid
}

/** The session and its sidecar at once: nobody is left to say so. */
function killWhole({ name, server }: Session): void {
  const pid = sidecarOf({ name })
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

test('a session says how far it is, and is stopped by its people', async () => {
  const { run, env } = await session('root')
  await reached('root', 'running')
  await mesh.json(['progress', 'half of it', '--percent', '50'], { as: 'root', env })
  await eventually(async () => (await tree()).some((shown) => 'percent' in shown && shown.percent === 50), 'progress')
  // Nobody can be asked here.
  const refused = await mesh.run(['stop', run, '--json'], { as: 'onlooker' })
  expect(refused).toMatchObject({ code: 4, error: { code: 'conflict', hint: expect.stringContaining('--yes') } })
  expect(await reached('root', 'running')).toMatchObject({ runId: run })
  const ended = await mesh.json(['stop', run, '--yes'], { as: 'onlooker' })
  expect(ended).toMatchObject({ type: 'run_cancelled', reason: 'cancelled by onlooker' })
})

test('a session that another started is its run; one that is killed with its sidecar is ended by the witness', async () => {
  const parent = await session('parent')
  const child = await session('child', parent.env)
  const shown = { runId: child.run, kind: 'session', owner: 'parent', parent: parent.run, lineage: [parent.run] }
  expect(await reached('child', 'running')).toMatchObject(shown)
  killWhole(child)
  expect(await reached('child', 'terminated')).toMatchObject({ ...shown, reason: 'killed' })
  const types = await eventually(async () => {
    const { jsonLines } = await mesh.run(['events', '--run', child.run, '--json'], { as: 'onlooker' })
    const seen = jsonLines.map(({ type }) => type)
    return seen.includes('run_terminated') && seen
  }, 'the end is published')
  expect(types).toEqual(['run_spawned', 'run_terminated'])
})

/** A run of a session that goes on until it is told to fail. */
async function failing(owner: Session): Promise<{ runId: string; fail(): void }> {
  const gate = join(mesh.root, `gate-${owner.name}`)
  const script = `until [ -e ${gate} ]; do sleep 0.05; done; echo boom >&2; exit 7`
  const command = ['run', '--detach', '--name', 'work', '--', 'sh', '-c', script]
  const { runId } = await mesh.json(command, { as: owner.name, env: owner.env })
  return { runId, fail: () => writeFileSync(gate, '') }
}

let calls = 10
async function inbox({ server }: Session): Promise<string[]> {
  const id = calls++
  server.send(id, 'tools/call', { name: 'mesh_inbox', arguments: {} })
  const { result } = await server.answer(id)
  const text = (result!.content as { text: string }[]).map((block) => block.text).join('\n')
  return text.split('[run ').slice(1)
}

async function news(session: Session, about: RegExp): Promise<string[]> {
  const seen: string[] = []
  await eventually(async () => {
    seen.push(...(await inbox(session)))
    return seen.some((text) => about.test(text))
  }, `${session.name} hears of ${about}`)
  return seen.filter((text) => about.test(text))
}

async function family(): Promise<{ root: Session; child: Session; grandchild: Session }> {
  const root = await session('root')
  const child = await session('child', root.env)
  const grandchild = await session('grandchild', child.env)
  await reached('grandchild', 'running')
  return { root, child, grandchild }
}

const owner = async (runId: string) => (await tree()).find((run) => run.runId === runId)?.owner

test.each([
  ['the nearest first', ['grandchild', 'child']],
  ['the farthest first', ['child', 'grandchild']],
] as const)(
  'a great-grandchild’s failure reaches the root when all sessions between have ended, %s',
  async (_, order) => {
    const all = await family()
    const run = await failing(all.grandchild)
    expect((await tree()).find(({ runId }) => runId === run.runId)?.lineage).toHaveLength(3)
    for (const name of order) {
      await all[name].server.end()
      await reached(name, 'completed')
    }
    await eventually(async () => (await owner(run.runId)) === 'root', 'the root has adopted it')
    run.fail()
    const told = await news(all.root, /work failed/)
    expect(told).toEqual([expect.stringMatching(/work failed: exit 7 after .*\nboom\n/)])
    // The news of a session between them, which the root has adopted too, may come last.
    expect((await inbox(all.root)).filter((text) => text.includes(' work '))).toEqual([])
  },
)

test('an adopter whose sidecar was down is notified when it is back; a returning owner is told who adopted', async () => {
  const all = await family()
  const run = await failing(all.grandchild)
  const second = await failing(all.child)
  process.kill(sidecarOf(all.root), 'SIGSTOP')
  for (const name of ['child', 'grandchild'] as const) killWhole(all[name])
  await reached('grandchild', 'terminated')
  process.kill(sidecarOf(all.root), 'SIGKILL')
  run.fail()
  await eventually(
    async () => (await tree()).some(({ name, state }) => name === 'work' && state === 'failed'),
    'the end',
  )
  expect(await news(all.root, /work failed/)).toHaveLength(1)

  await eventually(async () => (await owner(second.runId)) === 'root', 'the root has adopted it')
  const back = await session('child')
  expect(await news(back, /work: root took it over/)).toEqual([expect.stringContaining(second.runId.slice(0, 12))])
  second.fail()
  expect(await news(all.root, /work failed/)).toHaveLength(1)
  expect(await inbox(back)).toEqual([])
})

test('a run that ends with no living session above it is reported to the people, once', async () => {
  const root = await session('root')
  const run = await failing(root)
  await root.server.end()
  await reached('root', 'completed')
  run.fail()
  const told = async () => {
    const messages: { text: string }[] = await mesh.json(['inbox', '--peek'], { as: 'onlooker' })
    return messages.map(({ text }) => text).filter((text) => text.includes('work failed'))
  }
  await eventually(async () => (await told()).length > 0, 'the people are told')
  expect(await told()).toEqual([
    expect.stringMatching(/^A run of root, which has ended, .*: r_\w+ work failed: exit 7/),
  ])
  // Its owner is told when it comes back, and the people not again by the next witness.
  await mesh.signal('onlooker', 'SIGKILL')
  const back = await session('root')
  expect(await news(back, /work failed/)).toHaveLength(1)
  expect(await told()).toHaveLength(1)
})
