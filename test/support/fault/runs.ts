/** Runs for the fault suite: of every kind that a supervisor or a sidecar tells, what can befall them, and the stream itself. */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { jetstreamManager } from '@nats-io/jetstream'
import { engineStatus } from '../../../src/engine/engine.ts'
import { engineUser } from '../../../src/engine/nkey.ts'
import { runDir } from '../../../src/host/home.ts'
import { identifyProcess } from '../../../src/host/process/process.ts'
import { connectEngine } from '../../../src/nats/connect.ts'
import { readFrom } from '../../../src/nats/direct.ts'
import { readSpec, readSteps } from '../../../src/run/dir.ts'
import { sessionRunId } from '../../../src/wire/lineage.ts'
import { eventFilter, storeNames } from '../../../src/wire/subjects.ts'
import { type FaultHome, type Random, untilAsync } from './home.ts'
import { startSession } from './session.ts'

export const PROJECT = 'fault'
const RUN_MS = 30_000

/** An event as the stream has it. */
export interface Told {
  type: string
  seq: number
  run: string
  owner: string
  attended?: boolean
  reason?: string
  exitCode?: number
  at: string
  /** When the engine stored it, by its clock: this machine's. */
  storedAt: number
}

export interface FaultRun {
  id: string
  kind: 'process' | 'spawned' | 'session'
  /** What it exits with if nobody touches it; null: it does not end by itself. */
  code: number | null
  /** Who tells of it: a supervisor, or for a session its own sidecar. */
  teller(): number | undefined
  /** The process that it is. */
  subject(): number | undefined
}

export function signal(pid: number | undefined, name: NodeJS.Signals): void {
  try {
    if (pid) process.kill(pid, name)
  } catch {
    // It is gone already.
  }
}

export function isEnd(type: string): boolean {
  return ['run_completed', 'run_failed', 'run_cancelled', 'run_terminated'].includes(type)
}

/** A client that takes its prompt `SECONDS CODE` and does what that says. */
const CLIENT = `#!/bin/sh
read -r seconds code
sleep "$seconds"
[ "$code" = 0 ] && error=false || error=true
printf '{"type":"result","subtype":"success","is_error":%s,"stop_reason":"end_turn","result":"ready","usage":{"input_tokens":1,"output_tokens":1},"total_cost_usd":0}\\n' $error
exit "$code"
`

/** Directory of a stand-in for the agent's client, for the PATH. */
export function makeClient(home: FaultHome): string {
  const dir = join(home.work, 'bin')
  mkdirSync(dir)
  writeFileSync(join(dir, 'claude'), CLIENT)
  chmodSync(join(dir, 'claude'), 0o755)
  return dir
}

async function supervised(home: FaultHome, kind: 'process' | 'spawned', code: number, args: string[], bin: string) {
  const env = { MESH_NAME: 'ann', PATH: `${bin}${delimiter}${process.env.PATH}` }
  const { stdout, stderr } = await home.runIn(env, ...args)
  const { runId } = JSON.parse(stdout || '{}')
  if (!runId) throw new Error(`mesh ${args[0]}: ${stderr}`)
  const started = () => readSteps(runDir(home.home, runId)).find((step) => step.t === 'started')
  return { id: runId, kind, code, teller: () => started()?.supervisor.pid, subject: () => started()?.child.pid }
}

export async function startRun(
  home: FaultHome,
  kind: FaultRun['kind'],
  chance: Random,
  bin: string,
): Promise<FaultRun> {
  const seconds = (chance.below(100) / 100).toFixed(2)
  const code = chance.below(3) === 0 ? 0 : 1 + chance.below(100)
  if (kind === 'spawned') return supervised(home, kind, code, ['spawn', '--json', '--', `${seconds} ${code}`], bin)
  const script = `sleep ${seconds}; echo boom >&2; exit ${code}`
  if (kind === 'process')
    return supervised(home, kind, code, ['run', '--json', '--detach', '--', 'sh', '-c', script], bin)
  const session = await startSession(home, `s${chance.below(1e9)}`)
  const id = sessionRunId(PROJECT, identifyProcess(session.client.pid!)!)
  const { client } = session
  // What is gone with its sidecar before its run is on disk leaves none.
  await untilAsync(async () => readSpec(runDir(home.home, id)) !== null, RUN_MS, 'the run of a session')
  return {
    ...{ id, kind, code: null },
    teller: () => home.sidecars().get(session.name)?.sidecar.pid ?? session.sidecarPid,
    subject: () => (client.exitCode === null && client.signalCode === null ? client.pid : undefined),
  }
}

async function withStream<T>(home: FaultHome, use: (engine: Parameters<typeof readFrom>[0]) => Promise<T>): Promise<T> {
  const { url } = engineStatus(home.home)
  const nc = await connectEngine({ url: url!, user: engineUser(home.home), name: 'onlooker' }, () => {})
  try {
    return await use({ nc, jsm: await jetstreamManager(nc, { checkAPI: false }) })
  } finally {
    await nc.close()
  }
}

/** Every event of the project, per run, as the stream has them. */
export function readStream(home: FaultHome): Promise<Map<string, Told[]>> {
  return withStream(home, async (engine) => {
    const lines = new Map<string, Told[]>()
    for (const { data, time } of await readFrom(engine, storeNames(PROJECT).events, eventFilter(PROJECT))) {
      const event = { ...JSON.parse(Buffer.from(data).toString()), storedAt: time.getTime() }
      lines.set(event.run, [...(lines.get(event.run) ?? []), event])
    }
    return lines
  })
}

/** How long the engine remembers ids of what was published: shorter, so that a nap outlasts it. */
export function setDuplicateWindow(home: FaultHome, ms: number): Promise<void> {
  return withStream(home, async ({ jsm }) => {
    for (const name of [storeNames(PROJECT).events, `KV_${storeNames(PROJECT).runs}`])
      await jsm.streams.update(name, { duplicate_window: ms * 1e6 })
  })
}
