/** Many sessions on one engine: its CPU while they are idle, and whether anybody is falsely given up under full load. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Lab } from '../lab/lab.ts'
import { cpuOf, kill, memoryOf } from '../lab/process.ts'
import type { Row } from '../lab/row.ts'

/** Sessions beat every 10 s: two beats each. */
const IDLE_MS = 20_000
const ALONE_MS = 10_000
const SETTLE_MS = 4000
const BUDGET_PERCENT = 10
const BUDGET_SESSIONS = 1000

export interface Scale {
  sessions: number
  loadMs: number
  /** Messages a second under load. */
  rate: number
}

export const small: Scale = { sessions: 100, loadMs: 15_000, rate: 50 }
/** Long enough to become `lost` (45 s). */
export const full: Scale = { sessions: 1000, loadMs: 90_000, rate: 50 }

export async function measureScale(lab: Lab, { sessions, loadMs, rate }: Scale): Promise<Row> {
  await lab.join('observer')
  const engine = lab.enginePid()
  const alone = await cpuShare(engine, ALONE_MS)
  const startedAt = performance.now()
  const crowd = new Crowd(lab, sessions)
  await crowd.says('ready')
  const joinedMs = performance.now() - startedAt
  await sleep(SETTLE_MS)
  const idle = await cpuShare(engine, IDLE_MS)
  const memory = memoryOf(engine)
  const load = await underLoad(lab, crowd, engine, { sessions, loadMs, rate })
  const healedMs = await timeHeal(lab, engine)
  crowd.end()
  const allowed = (BUDGET_PERCENT * sessions) / BUDGET_SESSIONS
  return {
    what: `${sessions} sessions on one engine: its CPU when idle; falsely gone under load`,
    measured: `${idle.toFixed(1)} % of a core; ${load.gone} gone`,
    anchor: `engine with one session ${alone.toFixed(1)} %`,
    ratio: alone > 0 ? idle / alone : null,
    budget: `≤ ${BUDGET_PERCENT} % at ${BUDGET_SESSIONS}${sessions < BUDGET_SESSIONS ? `, so ≤ ${allowed} % + the engine’s own` : ''}; 0`,
    ok: idle <= (sessions < BUDGET_SESSIONS ? allowed + alone : allowed) && load.gone === 0 && load.missing === 0,
    details: [
      `joined in ${(joinedMs / 1000).toFixed(1)} s; engine ${memory.rss.toFixed(0)} MB resident`,
      `load: ${((load.sent * 1000) / loadMs).toFixed(0)} messages/s and ${availableParallelism()} busy loops for ${loadMs / 1000} s: engine ${load.cpu.toFixed(0)} % of a core, ${load.arrived} of ${load.sent} messages arrived`,
      `engine killed with all of them connected → serving again ${healedMs.toFixed(0)} ms`,
      `mesh ps meanwhile, ${load.looks} looks: ${load.gone} gone, ${load.lost} lost, ${load.unreachable} unreachable`,
    ],
    figures: { sessions, alone, idle, joinedMs, engineRss: memory.rss, load, healedMs },
  }
}

async function timeHeal(lab: Lab, engine: number): Promise<number> {
  const killedAt = performance.now()
  kill(engine, 'SIGKILL')
  return (await lab.untilServing(engine)) - killedAt
}

interface Seen {
  gone: number
  lost: number
  unreachable: number
  looks: number
}

/** Every core burns meanwhile. The sums are over all looks; each should be 0. */
async function underLoad(lab: Lab, crowd: Crowd, engine: number, { sessions, loadMs, rate }: Scale) {
  const burners = Array.from({ length: availableParallelism() }, () =>
    spawn(process.execPath, ['-e', 'for (;;);', lab.root], { stdio: 'ignore' }),
  )
  try {
    crowd.tell(`load ${rate}`)
    const watching = watch(lab, sessions, loadMs)
    const cpu = await cpuShare(engine, loadMs)
    const seen = await watching
    crowd.tell('load 0')
    for (const burner of burners) burner.kill('SIGKILL')
    const { sent, arrived } = await crowd.settle()
    return { ...seen, cpu, sent, arrived, missing: sent - arrived }
  } finally {
    for (const burner of burners) burner.kill('SIGKILL')
  }
}

async function watch(lab: Lab, sessions: number, forMs: number): Promise<Seen> {
  const seen: Seen = { gone: 0, lost: 0, unreachable: 0, looks: 0 }
  const until = performance.now() + forMs
  while (performance.now() < until) {
    const all = await lab.json<{ name: string; status: string }[]>(['ps'], 'observer')
    const crowd = all.filter(({ name }) => /^s\d+$/.test(name))
    if (crowd.length !== sessions) throw new Error(`mesh ps shows ${crowd.length} of ${sessions} sessions`)
    for (const { status } of crowd) if (status in seen) seen[status as 'gone']++
    seen.looks++
    await sleep(500)
  }
  return seen
}

async function cpuShare(pid: number, forMs: number): Promise<number> {
  const [before, startedAt] = [cpuOf(pid), performance.now()]
  await sleep(forMs)
  return ((cpuOf(pid) - before) / (performance.now() - startedAt)) * 100_000
}

class Crowd {
  readonly #child: ChildProcess
  readonly #lines: AsyncIterator<string>

  constructor(lab: Lab, count: number) {
    const args = [join(lab.root, 'bench', 'crowd.mjs'), String(count)]
    this.#child = lab.start(process.execPath, args, { input: true })
    this.#child.stderr!.pipe(process.stderr)
    this.#lines = createInterface({ input: this.#child.stdout! })[Symbol.asyncIterator]()
  }

  tell(line: string): void {
    this.#child.stdin!.write(`${line}\n`)
  }

  async says(expected?: string): Promise<string> {
    const ended = once(this.#child, 'close').then(([code]) => {
      throw new Error(`the crowd ended with ${code}`)
    })
    ended.catch(() => {})
    const { value } = (await Promise.race([this.#lines.next(), ended])) as { value: string }
    if (expected !== undefined && value !== expected) throw new Error(`the crowd said ${value}`)
    return value
  }

  /** Asks until everything has arrived that was sent, or for ten seconds. */
  async settle(): Promise<{ sent: number; arrived: number }> {
    for (let i = 0; ; i++) {
      this.tell('count')
      const counts = JSON.parse(await this.says()) as { sent: number; arrived: number }
      if (counts.arrived >= counts.sent || i === 20) return counts
      await sleep(500)
    }
  }

  /** Not by a farewell of each: their mesh ends with them. */
  end(): void {
    kill(this.#child.pid!, 'SIGKILL')
  }
}
