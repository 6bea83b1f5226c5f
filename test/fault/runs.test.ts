/**
 * Whatever is killed or frozen, each run has exactly one end: commands, spawned sessions and sessions. Judged by the
 * stream itself, read without mesh, and then by what mesh says of it: tree, wait and the mail that wakes the owner.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { call } from '../../src/client/client.ts'
import {
  chooseSeed,
  FaultHome,
  FULL,
  figures,
  percentile,
  type Random,
  random,
  untilAsync,
} from '../support/fault/home.ts'
import {
  type FaultRun,
  isEnd,
  makeClient,
  readStream,
  setDuplicateWindow,
  signal,
  startRun,
  type Told,
} from '../support/fault/runs.ts'

const RUNS = FULL ? 300 : 24
/** At once. */
const BATCH = 6
const PATIENCE_MS = 90_000
const WITNESSES = ['ann', 'ben']
/** Two minutes unless set: what is asleep for longer publishes again what the engine has forgotten. */
const WINDOW_MS = 300
const NAP_MS = { least: 500, more: 2500 }
const DEATHS = FULL ? 20 : 2
const LOST_ROUNDS = FULL ? 12 : 1
const BUDGET = { announcedMs: 1000, nextStartMs: 5000 }

type Part = 'teller' | 'subject' | 'engine' | 'sidecar'
type Strike = `${'kill' | 'freeze'} ${Part}`
const PARTS: readonly Part[] = ['teller', 'subject', 'engine', 'sidecar']
const SINGLE: readonly Strike[] = PARTS.flatMap((part) => [`kill ${part}`, `freeze ${part}`] as const)
const STRIKES: readonly (readonly Strike[])[] = [
  [],
  ...SINGLE.map((one) => [one]),
  ...SINGLE.flatMap((one, i) =>
    SINGLE.slice(i + 1).flatMap((two) => (partOf(one) === partOf(two) ? [] : [[one, two]])),
  ),
]
const KINDS: readonly FaultRun['kind'][] = ['process', 'process', 'spawned', 'session']

interface Struck {
  run: FaultRun
  strikes: readonly Strike[]
  at: number
}

/** Of what does not end by itself meanwhile. */
const LONG: Random = {
  seed: 0,
  next: Math.random,
  below: (n) => (n === 100 ? 9900 : Math.floor(Math.random() * n)),
  pick: (from) => from[0]!,
}

let home: FaultHome
let chance: Random
let bin: string
const started: FaultRun[] = []
beforeAll(async () => {
  home = await FaultHome.make()
  chance = random(chooseSeed('runs'))
  bin = makeClient(home)
  await home.json('up')
  for (const name of WITNESSES) await home.runIn({ MESH_NAME: name }, 'whoami')
  await setDuplicateWindow(home, WINDOW_MS)
})
afterAll(async () => {
  for (const { kind, subject } of started) {
    const pid = subject()
    signal(kind === 'session' ? pid : pid && -pid, 'SIGKILL')
  }
  await home.close()
})

function partOf(strike: Strike): string {
  return strike.split(' ')[1]!
}

function pidOf(run: FaultRun, part: string): number | undefined {
  if (part === 'engine') return home.enginePid() ?? undefined
  if (part === 'sidecar') return home.sidecars().get(chance.pick(WITNESSES))?.sidecar.pid
  if (part === 'teller') return run.teller()
  const pid = run.subject()
  // A command has a group of its own.
  return run.kind === 'session' ? pid : pid && -pid
}

function strike(run: FaultRun, strikes: readonly Strike[]): void {
  for (const one of strikes) {
    const pid = pidOf(run, partOf(one))
    if (one.startsWith('kill')) signal(pid, 'SIGKILL')
    else {
      signal(pid, 'SIGSTOP')
      setTimeout(() => signal(pid, 'SIGCONT'), NAP_MS.least + chance.below(NAP_MS.more))
    }
  }
}

async function oneStruck(): Promise<Struck> {
  const strikes = chance.pick(STRIKES)
  const run = await startRun(home, chance.pick(KINDS), chance, bin)
  started.push(run)
  await sleep(chance.below(1200))
  strike(run, strikes)
  return { run, strikes, at: Date.now() }
}

/** Everybody comes once more: what nobody is there for any more is told by the next that comes. */
async function untilToldWhole(runs: readonly FaultRun[]): Promise<Map<string, Told[]>> {
  const isWhole = (lines: Map<string, Told[]>, { id }: FaultRun) => lines.get(id)?.some(({ type }) => isEnd(type))
  return untilAsync(
    async () => {
      for (const name of WITNESSES) await home.runIn({ MESH_NAME: name }, 'whoami')
      const now = await readStream(home).catch(() => null)
      return now && runs.every((run) => isWhole(now, run)) && now
    },
    PATIENCE_MS,
    'an end of every run',
  ).catch(async (error) => {
    const now = await readStream(home)
    const open = runs.filter((run) => !isWhole(now, run)).map(({ id, kind }) => `${kind} ${id}`)
    throw new Error(`${error.message}: ${open}\n${home.logs()}`)
  })
}

function checkLine({ run, strikes }: Struck, line: readonly Told[]): void {
  const about = `${run.kind} ${run.id} ${strikes} ${JSON.stringify(line)}`
  expect(
    line.map(({ seq }) => seq),
    about,
  ).toEqual(line.map((_, i) => i + 1))
  expect(
    line.filter(({ type }) => isEnd(type)),
    about,
  ).toEqual([line.at(-1)])
  const end = line.at(-1)!
  const isTouched = strikes.some((one) => one === 'kill teller' || one === 'kill subject')
  if (run.code === null) expect(end.reason, about).toMatch(/^(killed|supervisor lost)/)
  else if (!isTouched) expect(end.exitCode, about).toBe(run.code)
  // A code is the command's own, or not there.
  if (end.exitCode !== undefined) expect(end.exitCode, about).toBe(run.code)
  else if (run.kind === 'process') expect(end.reason, about).toMatch(/^(supervisor lost|signal SIGKILL)$/)
}

/** Each end came into its owner's mailbox once, with the words of the stream. */
async function checkMail(struck: readonly Struck[], lines: Map<string, Told[]>): Promise<void> {
  const owned = struck.filter(({ run }) => run.kind !== 'session').map(({ run }) => lines.get(run.id)!.at(-1)!)
  const mails = new Map<string, string[]>()
  await untilAsync(
    async () => {
      const { messages, handover } = await call(home.socketOf('ann'), 'inbox', {})
      for (const { to, text } of messages) {
        const isOfEnd = owned.some((end) => to === `run:${end.run}` && text.includes(end.reason!))
        if (isOfEnd) mails.set(to.slice(4), [...(mails.get(to.slice(4)) ?? []), text])
      }
      if (handover) await call(home.socketOf('ann'), 'taken', { handover })
      return mails.size === owned.length
    },
    PATIENCE_MS,
    'a mail for every end',
  )
  for (const end of owned) {
    expect(mails.get(end.run), end.run).toHaveLength(1)
    expect(mails.get(end.run)![0]).toContain(`${end.type.slice('run_'.length)}: ${end.reason}`)
  }
}

async function checkMesh(struck: readonly Struck[], lines: Map<string, Told[]>): Promise<void> {
  const ids = struck.map(({ run }) => run.id)
  const tree = JSON.parse((await home.runIn({ MESH_NAME: 'ben' }, 'tree', '--json')).stdout)
  const waited = await Promise.all(
    ids.map((run) => call(home.socketOf('ben'), 'run_wait', { runs: [run], timeoutMs: PATIENCE_MS })),
  )
  for (const [i, id] of ids.entries()) {
    const { type, reason, at } = lines.get(id)!.at(-1)!
    const state = type.slice('run_'.length)
    expect(tree.find(({ runId }: { runId: string }) => runId === id)).toMatchObject({ state, reason })
    expect(waited[i]!.events).toMatchObject([{ runId: id, type, reason, at }])
  }
}

test('exactly one end per run, in order, and mesh says what the stream says', async () => {
  const struck: Struck[] = []
  for (let done = 0; done < RUNS; done += BATCH)
    struck.push(...(await Promise.all(Array.from({ length: Math.min(BATCH, RUNS - done) }, oneStruck))))
  // Those that do not end by themselves.
  await sleep(NAP_MS.least + NAP_MS.more)
  for (const run of started) if (run.kind === 'session') signal(run.subject(), 'SIGKILL')
  const lines = await untilToldWhole(started)
  for (const one of struck) checkLine(one, lines.get(one.run.id)!)
  await checkMesh(struck, lines)
  await checkMail(struck, lines)
  // Nothing is added later.
  await sleep(1000)
  const again = await readStream(home)
  for (const { run } of struck) expect(again.get(run.id)).toEqual(lines.get(run.id))
})

test('a death is reported at once: by the supervisor, or by the witness where that died as well', async () => {
  const late: Record<string, number[]> = {}
  for (const kind of ['process', 'spawned', 'session'] as const) {
    for (const parts of [['subject'], ['teller', 'subject']] as const) {
      const about = `${kind}, killed ${parts.join(' and ')}`
      for (let round = 0; round < DEATHS; round++) {
        const run = await startRun(home, kind, LONG, bin)
        started.push(run)
        // It is known by then to whoever will witness its end.
        await untilAsync(async () => (await readStream(home)).has(run.id), PATIENCE_MS, `${kind} to be told`)
        for (const part of parts) signal(pidOf(run, part), 'SIGKILL')
        const at = Date.now()
        const end = await untilAsync(
          async () => (await readStream(home)).get(run.id)!.find(({ type }) => isEnd(type)),
          PATIENCE_MS,
          about,
        )
        late[about] = [...(late[about] ?? []), Math.max(0, end.storedAt - at)]
      }
      console.log(`${about} → its end stored: ${figures(late[about]!)}`)
    }
  }
  if (FULL) expect(percentile(Object.values(late).flat(), 0.99)).toBeLessThan(BUDGET.announcedMs)
})

test('when supervisor, command and all sidecars die at once, the end is reported soon after the next sidecar starts', async () => {
  const late: number[] = []
  for (let round = 0; round < LOST_ROUNDS; round++) {
    const runs = await Promise.all(Array.from({ length: 3 }, () => startRun(home, 'process', LONG, bin)))
    started.push(...runs)
    for (const name of WITNESSES) home.killSidecar(name)
    for (const run of runs) for (const part of ['teller', 'subject']) signal(pidOf(run, part), 'SIGKILL')
    await sleep(chance.below(1500))
    expect((await readStream(home)).get(runs[0]!.id)?.some(({ type }) => isEnd(type)) ?? false).toBe(false)
    const startedAt = Date.now()
    await home.runIn({ MESH_NAME: chance.pick(WITNESSES) }, 'whoami')
    const lines = await untilToldWhole(runs)
    late.push(...runs.map(({ id }) => lines.get(id)!.at(-1)!.storedAt - startedAt))
    for (const { id } of runs) expect(lines.get(id)!.at(-1)).toMatchObject({ reason: 'supervisor lost' })
  }
  console.log(`next sidecar started → the ends of what was lost stored: ${figures(late)}`)
  if (FULL) expect(Math.max(...late)).toBeLessThan(BUDGET.nextStartMs)
})

test.runIf(FULL)('a supervisor suspended for longer than the engine remembers ids reports its end once', async () => {
  await setDuplicateWindow(home, 120_000)
  const runs = await Promise.all(Array.from({ length: 4 }, () => startRun(home, 'process', chance, bin)))
  started.push(...runs)
  for (const run of runs) {
    await sleep(chance.below(400))
    signal(run.teller(), 'SIGSTOP')
  }
  await sleep(130_000)
  for (const run of runs) signal(run.teller(), 'SIGCONT')
  const lines = await untilToldWhole(runs)
  for (const run of runs) checkLine({ run, strikes: ['freeze teller'], at: 0 }, lines.get(run.id)!)
})
