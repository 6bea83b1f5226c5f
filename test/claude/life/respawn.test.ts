/** A background child that is killed is started again by its client: that is another run, and nobody says otherwise. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { kill } from '../support/client.ts'
import { eventually } from '../support/eventually.ts'
import type { Session } from '../support/mesh.ts'
import { missing, testNothingLeft, useSuite } from '../support/suite.ts'

const suite = useSuite()
const CEILING_MS = 90_000

interface Run {
  runId: string
  kind: string
  name: string
  owner: string
  state: string
  pid: number
  lineage: string[]
  reason?: string
}

interface Event {
  type: string
  runId: string
  reason?: string
  evidence?: string
}

const isEnd = ({ type }: Event) => /^run_(completed|failed|cancelled|terminated)$/.test(type)

async function eventsOf(run: string): Promise<Event[]> {
  const text = await suite.mesh.run('events', '--run', run, '--json')
  return text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Event)
}

const runs = () => suite.mesh.json<Run[]>('tree', '--json')

/** Starts a child in the background that has ended its turn. */
async function inBackground(name: string): Promise<{ id: string; pid: number; supervisor: number }> {
  const { model, mesh, lab } = suite
  model.script(name, [{ say: 'I wait for more.' }])
  const { runId: id, pid } = await mesh.json<Run>('spawn', '--bg', '--name', name, '--json', '--', `play ${name}`)
  await eventually(
    'its turn ended',
    async () => (await eventsOf(id)).some(({ type }) => type === 'run_idle'),
    CEILING_MS,
  )
  const journal = readFileSync(join(lab.meshHome, 'runs', id, 'journal.jsonl'), 'utf8')
    .trim()
    .split('\n')
  const { supervisor } = journal.map((line) => JSON.parse(line)).find(({ t }) => t === 'started')
  return { id, pid, supervisor: supervisor.pid }
}

/** The client has started it again: as what? */
async function successorOf(
  name: string,
  old: { id: string; pid: number },
  ceilingMs = CEILING_MS,
): Promise<{ session: Session; run: Run }> {
  let seen: unknown
  return eventually(
    () => `${name} is there again, but: ${JSON.stringify(seen)}`,
    async () => {
      const [sessions, all] = [await suite.mesh.ps(), await runs()]
      seen = { sessions, all }
      const session = sessions.find((one) => one.name === name && one.pid !== old.pid && one.status !== 'gone')
      const run = all.find(({ runId, pid }) => runId !== old.id && pid === session?.pid)
      return session && run && { session, run }
    },
    ceilingMs,
  )
}

function clientStop(session: string): void {
  execFileSync(suite.claude, ['stop', session], { env: suite.lab.env, cwd: suite.lab.project, stdio: 'ignore' })
}

function jobs(): { id?: string; name?: string; pid?: number }[] {
  const { claude, lab } = suite
  return JSON.parse(execFileSync(claude, ['agents', '--json'], { env: lab.env, cwd: lab.project, encoding: 'utf8' }))
}

describe.skipIf(missing || process.env.MESH_CLAUDE_FULL !== '1')('a child in the background', () => {
  beforeAll(() => {
    const { lab, claude } = suite
    const bin = join(lab.root, 'bin')
    mkdirSync(bin)
    symlinkSync(claude, join(bin, 'claude'))
    lab.env.PATH = `${bin}:${lab.env.PATH}`
  })

  test.each(['its supervisor lives', 'its supervisor was killed before'])('is killed, while %s', async (how) => {
    const { mesh, lab } = suite
    const name = how.endsWith('lives') ? 'watched' : 'alone'
    // Whatever spawned it: it stays its parent.
    if (name === 'watched') lab.env.MESH_RUN_ID = `r_${'a'.repeat(32)}`
    const child = await inBackground(name)
    delete lab.env.MESH_RUN_ID
    if (name === 'alone') {
      kill(child.supervisor, 'SIGKILL')
      await eventually('nobody supervises', async () =>
        (await runs()).some((run) => run.runId === child.id && 'supervised' in run && run.supervised === false),
      )
    }
    kill(child.pid, 'SIGKILL')
    const end = await eventually('its end', async () => (await eventsOf(child.id)).find(isEnd), CEILING_MS)
    expect(end.type).toBe('run_terminated')
    const { session, run } = await successorOf(name, child)
    expect(session).toMatchObject({ harness: 'claude-code', pid: run.pid })
    expect(run).toMatchObject({ kind: 'session', owner: expect.any(String) })
    const old = (await runs()).find(({ runId }) => runId === child.id)
    expect(old).toMatchObject({ state: 'terminated', pid: child.pid })
    // The old run has one end, and nothing after it; it is not the new one's parent.
    const events = await eventsOf(child.id)
    expect(events.filter(isEnd)).toHaveLength(1)
    expect(isEnd(events.at(-1)!)).toBe(true)
    expect(run.lineage).toEqual(old!.lineage)
    expect(old!.lineage).toHaveLength(name === 'watched' ? 1 : 0)
    expect((await mesh.ps()).filter((one) => one.name === name)).toHaveLength(1)
    clientStop(jobs().find(({ pid }) => pid === run.pid)!.id!)
    await mesh.reaches(run.pid, 'gone')
    expect((await eventually('its own end', async () => (await eventsOf(run.runId)).find(isEnd))).runId).toBe(run.runId)
  })

  test('is stopped though its supervisor is dead: the client does not start it again', async () => {
    const { mesh } = suite
    const child = await inBackground('left')
    const { id } = jobs().find(({ pid }) => pid === child.pid)!
    kill(child.supervisor, 'SIGKILL')
    await eventually('nobody supervises', async () =>
      (await runs()).some((run) => run.runId === child.id && 'supervised' in run && run.supervised === false),
    )
    const ended = await mesh.json<Event>('stop', child.id, '--json')
    expect(ended).toMatchObject({ type: 'run_cancelled' })
    await mesh.reaches(child.pid, 'gone')
    expect(jobs().find((job) => job.id === id)?.pid).toBeUndefined()
    // It would be there again within this long, and is on record then.
    await expect(successorOf('left', child, 20_000)).rejects.toThrow('not within')
  })

  afterAll(() => {
    const { lab, claude } = suite
    execFileSync(claude, ['daemon', 'stop', '--any'], { env: lab.env, cwd: lab.project, stdio: 'ignore' })
  })
})

testNothingLeft(suite)
