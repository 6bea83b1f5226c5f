/**
 * Runs under one owner: how soon what happens to them is readable by a follower elsewhere, and what a supervisor costs.
 * Moderate: a few runs at a time, as a parent has them that sits in a tool call. Crowded: all runs end at the same moment.
 */
import { execFileSync } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { askRun } from '../../../src/client/runs.ts'
import type { Lab } from '../lab/lab.ts'
import { isLinux, type Memory, memoryOf } from '../lab/process.ts'
import { ms, type Row, type Summary, spread, summarize } from '../lab/row.ts'

const BUDGET = { p99: 100, privateMb: 15 }
const MODERATE = 40
const PACE_MS = 250
const CROWD = 200
const AT_ONCE = 8
const PATIENCE_MS = 60_000

interface Told {
  type: string
  runId: string
  seq: number
  /** Milliseconds from happening to readable. */
  late: number
}

export async function measureRuns(lab: Lab): Promise<Row> {
  await Promise.all([lab.join('parent'), lab.join('onlooker')])
  const follower = new Follower(lab)
  await sleep(500)
  const moderate = await measureModerate(lab, follower)
  const crowd = await measureCrowd(lab, follower)
  follower.stop()
  const worst = Math.max(...Object.values(moderate).map(({ p99 }) => p99))
  const most = Math.max(...crowd.memory.map(({ anonymous }) => anonymous ?? 0))
  const mean = crowd.memory.reduce((sum, { rss }) => sum + rss, 0) / crowd.memory.length
  return {
    what: 'a run’s event, from happening to readable by a follower, p99',
    measured: ms(worst),
    anchor: `${CROWD} ends at once ${ms(crowd.ends.p99)}`,
    ratio: null,
    budget: `≤ ${BUDGET.p99} ms; ≤ ${BUDGET.privateMb} MB private per run`,
    ok: worst <= BUDGET.p99 && most <= BUDGET.privateMb && crowd.lost + crowd.disordered === 0,
    details: [
      ...Object.entries(moderate).map(
        ([type, summary]) => `${MODERATE} runs, one each ${PACE_MS} ms: ${type} ${spread(summary)}`,
      ),
      `${CROWD} runs started ${AT_ONCE} at a time: run_spawned ${spread(crowd.spawned)}`,
      `${CROWD} runs that end at the same moment: ${spread(crowd.ends)}; all readable ${ms(crowd.tookMs)} after the first ended`,
      `${crowd.lost} of ${3 * CROWD} events lost, ${crowd.disordered} out of order`,
      `memory of ${crowd.memory.length} supervisors: resident ${mean.toFixed(0)} MB each, private at most ${most.toFixed(1)} MB`,
    ],
    figures: { moderate, crowd: { ...crowd, memory: undefined }, mean, most },
  }
}

async function measureModerate(lab: Lab, follower: Follower): Promise<Record<string, Summary>> {
  const runs: string[] = []
  for (let i = 0; i < MODERATE; i++) {
    const started = start(lab, `sleep 0.${3 + (i % 5)}`).then(async (run) => {
      runs.push(run)
      await askRun(lab.home, run, { op: 'progress', text: 'half of it', percent: 50 })
    })
    await Promise.all([started, sleep(PACE_MS)])
  }
  await follower.untilEnded(runs)
  const of = (type: string) =>
    summarize(follower.told.filter((told) => told.type === type && runs.includes(told.runId)).map(({ late }) => late))
  return { spawned: of('run_spawned'), progress: of('run_progress'), completed: of('run_completed') }
}

async function measureCrowd(lab: Lab, follower: Follower) {
  // Whoever opens it for reading waits until somebody opens it for writing: all at the same moment.
  const gate = join(lab.root, 'gate')
  execFileSync('mkfifo', [gate])
  const runs: string[] = []
  for (let left = CROWD; left > 0; left -= AT_ONCE) {
    const batch = Array.from({ length: Math.min(AT_ONCE, left) }, () => start(lab, `read -r go < ${gate}; exit 3`))
    runs.push(...(await Promise.all(batch)))
  }
  await Promise.all(runs.map((run) => askRun(lab.home, run, { op: 'progress', text: 'ready' })))
  await sleep(2000)
  const supervisors = pidsOf(lab, runs)
  const memory: Memory[] = supervisors.map(memoryOf)
  closeSync(openSync(gate, 'w'))
  const openedAt = performance.now()
  await follower.untilEnded(runs)
  const tookMs = performance.now() - openedAt
  const told = follower.told.filter(({ runId }) => runs.includes(runId))
  const late = (type: string) => summarize(told.filter((one) => one.type === type).map((one) => one.late))
  const lines = runs.map((run) => told.filter(({ runId }) => runId === run).map(({ seq }) => seq))
  return {
    spawned: late('run_spawned'),
    ends: late('run_failed'),
    tookMs,
    memory,
    lost: 3 * CROWD - new Set(told.map(({ runId, seq }) => `${runId} ${seq}`)).size,
    disordered: lines.filter((line) => line.join() !== '1,2,3').length,
  }
}

async function start(lab: Lab, script: string): Promise<string> {
  return (await lab.json<{ runId: string }>(['run', '--detach', '--', 'sh', '-c', script], 'parent')).runId
}

function pidsOf(lab: Lab, runs: readonly string[]): number[] {
  if (!isLinux) return []
  const lines = execFileSync('ps', ['-ww', '-eo', 'pid=,args=']).toString().split('\n')
  const pids = lines.filter((line) => line.includes('supervisor.js') && line.includes(lab.home.root))
  return pids.map((line) => Number.parseInt(line, 10)).slice(0, runs.length)
}

/** `mesh events --follow`, as somebody else has it. */
class Follower {
  readonly told: Told[] = []
  readonly #child

  constructor(lab: Lab) {
    this.#child = lab.start(process.execPath, [lab.bin, 'events', '--follow', '--json'], {
      env: { MESH_NAME: 'onlooker' },
    })
    createInterface({ input: this.#child.stdout! }).on('line', (line) => {
      const { type, runId, seq, at } = JSON.parse(line)
      this.told.push({ type, runId, seq, late: Date.now() - Date.parse(at) })
    })
  }

  async untilEnded(runs: readonly string[]): Promise<void> {
    const deadline = performance.now() + PATIENCE_MS
    for (;;) {
      const ended = new Set(this.told.filter(({ type }) => /completed|failed/.test(type)).map(({ runId }) => runId))
      if (runs.every((run) => ended.has(run)) || performance.now() > deadline) return
      await sleep(5)
    }
  }

  stop(): void {
    this.#child.kill('SIGKILL')
  }
}
