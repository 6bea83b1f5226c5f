/**
 * Whatever is killed or frozen, each run has exactly one end. Judged by the stream itself, read without mesh, and then
 * by what mesh says of it.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { jetstreamManager } from '@nats-io/jetstream'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readSteps } from '../../src/daemon/run-files.ts'
import { engineStatus } from '../../src/engine/engine.ts'
import { engineUser } from '../../src/engine/nkey.ts'
import { runDir } from '../../src/host/home.ts'
import { connectEngine } from '../../src/nats/connect.ts'
import { readFrom } from '../../src/nats/direct.ts'
import { eventFilter, storeNames } from '../../src/wire/subjects.ts'
import { chooseSeed, FaultHome, FULL, figures, type Random, random, untilAsync } from '../support/fault-home.ts'

const RUNS = FULL ? 300 : 24
/** At once. */
const BATCH = 6
const PATIENCE_MS = 60_000
const WITNESSES = ['ann', 'ben']

type Victim = 'supervisor' | 'command' | 'engine' | 'sidecar' | 'sleep'
const VICTIMS: readonly (readonly Victim[])[] = [
  [],
  ['supervisor'],
  ['command'],
  ['engine'],
  ['sidecar'],
  ['sleep'],
  ['supervisor', 'command'],
  ['supervisor', 'engine'],
  ['supervisor', 'sidecar'],
  ['command', 'engine'],
  ['command', 'sidecar'],
  ['engine', 'sidecar'],
  ['sleep', 'engine'],
  ['sleep', 'command'],
]

interface Told {
  type: string
  seq: number
  reason?: string
  exitCode?: number
  at: string
}

let home: FaultHome
let chance: Random
const orphans = new Set<number>()
beforeAll(async () => {
  home = await FaultHome.make()
  chance = random(chooseSeed('runs'))
  await home.json('up')
  for (const name of WITNESSES) await home.runIn({ MESH_NAME: name }, 'whoami')
})
afterAll(async () => {
  for (const pid of orphans) kill(-pid)
  await home.close()
})

function kill(pid: number | undefined, signal: NodeJS.Signals = 'SIGKILL'): void {
  try {
    if (pid) process.kill(pid, signal)
  } catch {
    // It is gone already.
  }
}

/** Every event of the project, per run, as the stream has them. */
async function readStream(): Promise<Map<string, Told[]>> {
  const { url } = engineStatus(home.home)
  const nc = await connectEngine({ url: url!, user: engineUser(home.home), name: 'onlooker' }, () => {})
  try {
    const jsm = await jetstreamManager(nc, { checkAPI: false })
    const stored = await readFrom({ nc, jsm }, storeNames('fault').events, eventFilter('fault'))
    const lines = new Map<string, Told[]>()
    for (const { data } of stored) {
      const event = JSON.parse(Buffer.from(data).toString())
      lines.set(event.run, [...(lines.get(event.run) ?? []), event])
    }
    return lines
  } finally {
    await nc.close()
  }
}

async function strike(run: string, victims: readonly Victim[]): Promise<void> {
  const started = readSteps(runDir(home.home, run)).find((step) => step.t === 'started')
  for (const victim of victims) {
    if (victim === 'supervisor') kill(started?.supervisor.pid)
    else if (victim === 'command') kill(started && -started.child.pid)
    else if (victim === 'engine') home.killEngine()
    else if (victim === 'sidecar') home.killSidecar(chance.pick(WITNESSES))
    else {
      kill(started?.supervisor.pid, 'SIGSTOP')
      setTimeout(() => kill(started?.supervisor.pid, 'SIGCONT'), 200 + chance.below(2500))
    }
  }
}

async function start(code: number, seconds: number): Promise<string> {
  const { stdout, stderr } = await home.runIn(
    { MESH_NAME: 'ann' },
    ...['run', '--json', '--detach', '--', 'sh', '-c', `sleep ${seconds}; echo boom >&2; exit ${code}`],
  )
  const { runId, pid } = JSON.parse(stdout || `{"error":${JSON.stringify(stderr)}}`)
  orphans.add(pid)
  return runId
}

test('exactly one end per run, in order, and mesh says what the stream says', async () => {
  const expected = new Map<string, { code: number; victims: readonly Victim[]; killed: number | null }>()
  for (let done = 0; done < RUNS; done += BATCH) {
    const batch = Array.from({ length: Math.min(BATCH, RUNS - done) }, async () => {
      const code = chance.below(3) === 0 ? 0 : 1 + chance.below(100)
      const victims = chance.pick(VICTIMS)
      const [seconds, after] = [(chance.below(100) / 100).toFixed(2), chance.below(1200)]
      const run = await start(code, Number(seconds))
      expect(run).toMatch(/^r_/)
      await sleep(after)
      await strike(run, victims)
      expected.set(run, { code, victims, killed: victims.length > 0 ? Date.now() : null })
    })
    await Promise.all(batch)
  }
  // What nobody is there for any more is told by the next that comes.
  const left = () => [...expected.keys()]
  const lines = await untilAsync(
    async () => {
      for (const name of WITNESSES) await home.runIn({ MESH_NAME: name }, 'whoami')
      const now = await readStream().catch(() => null)
      return now && left().every((run) => now.get(run)?.some(({ type }) => isEnd(type))) && now
    },
    PATIENCE_MS,
    'an end of every run',
  ).catch(async (error) => {
    const now = await readStream()
    const open = left().filter((run) => !now.get(run)?.some(({ type }) => isEnd(type)))
    throw new Error(`${error.message}: ${open.map((run) => `${run} ${expected.get(run)!.victims}`)}\n${home.logs()}`)
  })
  const late: number[] = []
  for (const [run, { code, victims, killed }] of expected) {
    const line = lines.get(run)!
    const about = `${run} ${victims} ${JSON.stringify(line)}`
    expect(
      line.filter(({ type }) => isEnd(type)),
      about,
    ).toHaveLength(1)
    expect(
      line.map(({ seq }) => seq),
      about,
    ).toEqual(line.map((_, i) => i + 1))
    const end = line.at(-1)!
    expect(isEnd(end.type), about).toBe(true)
    const isTouched = victims.includes('supervisor') || victims.includes('command')
    if (!isTouched) expect(end, about).toMatchObject({ exitCode: code, reason: `exit ${code}` })
    // A code is the command's own, or not there.
    if (end.exitCode !== undefined) expect(end.exitCode, about).toBe(code)
    else expect(end.reason, about).toMatch(/^(supervisor lost|signal SIGKILL)$/)
    if (victims.join() === 'command' && end.reason === 'signal SIGKILL') late.push(Date.parse(end.at) - killed!)
  }
  console.log(`killed command → its end, as seen by its supervisor: ${figures(late)}`)
  // Nothing is added later.
  await sleep(1000)
  const again = await readStream()
  for (const run of expected.keys()) expect(again.get(run)).toEqual(lines.get(run))
  const tree = JSON.parse((await home.runIn({ MESH_NAME: 'ann' }, 'tree', '--json')).stdout)
  for (const run of expected.keys()) {
    const end = lines.get(run)!.at(-1)!
    expect(tree.find(({ runId }: { runId: string }) => runId === run)).toMatchObject({
      state: end.type.slice('run_'.length),
      reason: end.reason,
    })
  }
  const some = [...expected.keys()].slice(-5)
  for (const run of some) {
    const waited = await home.runIn({ MESH_NAME: 'ben' }, 'wait', run, '--json')
    expect(JSON.parse(waited.stdout)).toMatchObject({ runId: run, type: lines.get(run)!.at(-1)!.type })
  }
})

function isEnd(type: string): boolean {
  return ['run_completed', 'run_failed', 'run_cancelled', 'run_terminated'].includes(type)
}
