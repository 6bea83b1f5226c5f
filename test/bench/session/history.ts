/**
 * A project with a past: ended names and records of runs that a month leaves behind. What a start costs there, and a
 * session that does nothing.
 */
import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { engineStatus } from '../../../src/engine/engine.ts'
import { engineUser } from '../../../src/engine/nkey.ts'
import { connectEngine } from '../../../src/nats/connect.ts'
import { ProjectStore } from '../../../src/nats/project-store.ts'
import type { NameRecord } from '../../../src/wire/envelope.schema.ts'
import type { RunRecord } from '../../../src/wire/run.schema.ts'
import type { Lab } from '../lab/lab.ts'
import { cpuOf } from '../lab/process.ts'
import { ms, type Row, spread, summarize } from '../lab/row.ts'
import { type FakeSession, startSession } from './start.ts'

const PROJECT = 'with-a-past'
const NAMES = 1000
const RUNS = 12_000
const ROUNDS = 15
const AT_ONCE = 100
/** A session looks at what is owed to it every 30 s. */
const IDLE_MS = 60_000
const IDLE_SESSIONS = 3
const SETTLE_MS = 10_000
const BUDGET = { startMs: 170, idlePercent: 0.1 }

export async function measureHistory(lab: Lab): Promise<Row> {
  await fill(lab)
  const own = { MESH_PROJECT: PROJECT }
  const samples: number[] = []
  for (let i = -1; i < ROUNDS; i++) {
    const session = await startSession(lab, own)
    await session.end()
    if (i >= 0) samples.push(session.took)
  }
  const sessions: FakeSession[] = []
  for (let i = 0; i < IDLE_SESSIONS; i++) sessions.push(await startSession(lab, own))
  const idle = await idlePercent(sessions.map((session) => session.sidecarPid()))
  for (const session of sessions) await session.end()
  const start = summarize(samples)
  return {
    what: `a project with ${NAMES} ended names and ${RUNS} runs: SessionStart / an idle session`,
    measured: `${ms(start.p50)} / ${idle.toFixed(2)} % of a core`,
    anchor: '-',
    ratio: null,
    budget: `≤ ${BUDGET.startMs} ms / ≤ ${BUDGET.idlePercent} %`,
    ok: start.p50 <= BUDGET.startMs && idle <= BUDGET.idlePercent,
    details: [`start ${spread(start)}; idle: mean of ${IDLE_SESSIONS} sessions over ${IDLE_MS / 1000} s`],
    figures: { start, idle },
  }
}

async function idlePercent(pids: readonly number[]): Promise<number> {
  await sleep(SETTLE_MS)
  const used = () => pids.reduce((sum, pid) => sum + cpuOf(pid), 0)
  const [before, since] = [used(), performance.now()]
  await sleep(IDLE_MS)
  return (100_000 * (used() - before)) / (performance.now() - since) / pids.length
}

async function fill({ home }: Lab): Promise<void> {
  const { url } = engineStatus(home)
  const nc = await connectEngine({ url: url!, user: engineUser(home), name: 'bench' }, () => {})
  try {
    const store = await ProjectStore.open(nc, PROJECT)
    await inTurn(NAMES, (i) => store.names.put(`former-${i}`, formerName(`former-${i}`)))
    await inTurn(RUNS, (i) => {
      const record = endedRun(`r_${randomBytes(16).toString('hex')}`, `former-${i % NAMES}`)
      return store.runs.records.put(record.id, record)
    })
  } finally {
    await nc.close()
  }
}

async function inTurn(count: number, work: (index: number) => Promise<unknown>): Promise<void> {
  for (let first = 0; first < count; first += AT_ONCE) {
    const size = Math.min(AT_ONCE, count - first)
    await Promise.all(Array.from({ length: size }, (_, i) => work(first + i)))
  }
}

/** An hour ago: nothing is old enough to be removed. */
const then = new Date(Date.now() - 3_600_000).toISOString()
const elsewhere = { host: 'build-1', boot: 'b1', pid: 4242, start: '123456' }

function formerName(name: string): NameRecord {
  return {
    ...{ v: 1, kind: 'name', name, epoch: 1, member: 'local', session: `session-${name}`, process: elsewhere },
    ...{ harness: 'claude-code', cwd: '/repo/api', worktree: '/repo', state: 'gone', endedAt: then, reason: 'exit' },
    ...{ witness: 'web', lastActivityAt: then, topics: [], roles: [], since: 0 },
  }
}

function endedRun(id: string, owner: string): RunRecord {
  return {
    ...{ v: 1, kind: 'run', id, project: PROJECT, runKind: 'process', name: 'build', owner, lineage: [] },
    ...{ member: 'local', state: 'completed', seq: 3, startedAt: then, endedAt: then, reason: 'exit 0', exitCode: 0 },
    ...{ durationMs: 3012, host: 'build-1', pid: 4711, supervisor: elsewhere, cwd: '/repo' },
  }
}
