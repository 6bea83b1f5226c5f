/** The task board: its operations against raw KV updates, a long list as a whole command, and changes that are pushed. */
import { copyFileSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { call } from '../../../src/client/client.ts'
import { newOperation } from '../../../src/wire/names.ts'
import type { Lab } from '../lab/lab.ts'
import { cpuOf, finished, kill, memoryOf, nodeFlags, timeProcess } from '../lab/process.ts'
import { ms, type Row, type Summary, spread, summarize } from '../lab/row.ts'

const ROUNDS = 200
const BUDGET = 3
const TASKS = 10_000
const LISTS = 5
const LIST_BUDGET_MS = 1000
const PUSHES = 300
const PUSH_PACE_MS = 15
const PUSH_BUDGET_MS = 100
/** Beside the project of the other measurements: sessions there would read the long board too. */
const LONG = 'bench-board'

type Op = 'add' | 'claim' | 'comment' | 'done' | 'told'

async function inside<T>(lab: Lab, args: string[], env: Record<string, string> = {}): Promise<T> {
  const flags = nodeFlags(await lab.join('api'))
  const program = join(lab.root, 'bench', 'board-inside.mjs')
  const { code, stdout, stderr } = await finished(lab.start(process.execPath, [...flags, program, ...args], { env }))
  if (code !== 0) throw new Error(`board-inside.mjs: exit ${code}: ${stderr}`)
  return JSON.parse(stdout) as T
}

export async function measureBoard(lab: Lab): Promise<Row> {
  await lab.join('web')
  const args = ['ops', String(ROUNDS), lab.target('web').socket]
  const { raw, told, ...ops } = await inside<Record<Op | 'raw', Summary>>(lab, args)
  const all = Object.entries(ops)
  const slowest = Math.max(...all.map(([, { p50 }]) => p50))
  return {
    what: 'board operations: add, claim, comment, done',
    measured: all.map(([, { p50 }]) => ms(p50)).join(', '),
    anchor: `raw KV update ${ms(raw.p50)}`,
    ratio: slowest / raw.p50,
    budget: `≤ ${BUDGET} ×, each`,
    ok: slowest <= BUDGET * raw.p50,
    details: [
      `raw ${spread(raw)}`,
      ...all.map(([name, summary]) => `${name} ${spread(summary)}`),
      `a done of which another session is told, two writes: ${spread(told)}, ${(told.p50 / raw.p50).toFixed(1)} × a raw one`,
    ],
    figures: { raw, told, ...ops },
  }
}

/** The sidecar reads the board with the first command; later ones find it read. */
export async function measureBoardList(lab: Lab): Promise<Row> {
  await inside(lab, ['fill', String(TASKS)], { MESH_PROJECT: LONG })
  const list = (as: string, ...args: string[]) => {
    const env = { ...lab.env, MESH_NAME: as, MESH_PROJECT: LONG }
    return timeProcess(process.execPath, [lab.bin, 'task', 'list', ...args], env)
  }
  const node = timeProcess(process.execPath, ['-e', '0'], lab.env)
  const samples = { first: [] as number[], later: [] as number[], json: [] as number[], cpu: [] as number[] }
  for (let i = 0; i < LISTS; i++) {
    const as = `lister-${i}`
    const pid = await lab.pidOf(as, LONG)
    const cpu = cpuOf(pid)
    samples.first.push(list(as))
    samples.cpu.push((cpuOf(pid) - cpu) * 1000)
    samples.later.push(list(as))
    samples.json.push(list(as, '--json'))
  }
  const [first, later, json] = [summarize(samples.first), summarize(samples.later), summarize(samples.json)]
  const cpu = summarize(samples.cpu)
  const { rss } = memoryOf(await lab.pidOf('lister-0', LONG))
  return {
    what: `mesh task list of ${TASKS} tasks, the whole command`,
    measured: `${ms(first.p50)} when the sidecar reads the board, ${ms(later.p50)} then`,
    anchor: `node -e 0 ${ms(node)}`,
    ratio: first.p50 / node,
    budget: `≤ ${LIST_BUDGET_MS} ms`,
    ok: first.most <= LIST_BUDGET_MS,
    details: [
      `first ${spread(first)}; later ${spread(later)}; --json ${spread(json)}`,
      `of the first, the sidecar’s own CPU: ${spread(cpu)}`,
      `a sidecar that has that board in memory: ${rss.toFixed(0)} MB resident`,
    ],
    figures: { first, later, json, rss },
  }
}

/** Two mesh homes on one engine, as two machines have it: one changes, in the other a watch prints. */
export async function measureBoardPush(lab: Lab): Promise<Row> {
  const home = join(lab.root, 'far')
  mkdirSync(join(home, 'engine'), { recursive: true, mode: 0o700 })
  for (const file of ['member.key', 'engine/engine.json', 'engine/user.key'])
    copyFileSync(join(lab.home.root, file), join(home, file))
  const env = { MESH_HOME: home, MESH_NAME: 'far', MESH_PROJECT: lab.project }
  const watch = lab.start(process.execPath, [lab.bin, 'task', 'list', '--watch', '--label', 'push', '--json'], { env })
  let seen = (_line: string) => {}
  let rest = ''
  watch.stdout!.setEncoding('utf8').on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop()!
    for (const line of lines) seen(line)
  })
  const sees = (text: string) =>
    new Promise<number>((resolve) => {
      seen = (line) => line.includes(text) && resolve(performance.now())
    })
  await sees('[')
  const { socket } = lab.target('api')
  const { id } = await call(socket, 'task_add', { op: newOperation(), title: 'watched', labels: ['push'] })
  const latencies: number[] = []
  for (let i = -20; i < PUSHES; i++) {
    const title = `title number ${i}.`
    const arrived = sees(title)
    const startedAt = performance.now()
    await call(socket, 'task_change', { op: newOperation(), id, do: 'edit', title })
    const at = await arrived
    if (i >= 0) latencies.push(at - startedAt)
    await sleep(PUSH_PACE_MS)
  }
  watch.kill()
  // Not by mesh down, which would end the engine of both.
  const { pid } = JSON.parse(await lab.mesh(['whoami', '--json'], 'far', env)) as { pid: number }
  kill(pid, 'SIGTERM')
  const push = summarize(latencies)
  return {
    what: 'a change of the board → printed by mesh task list --watch of another mesh home, p99',
    measured: ms(push.p99),
    anchor: '-',
    ratio: null,
    budget: `≤ ${PUSH_BUDGET_MS} ms`,
    ok: push.p99 <= PUSH_BUDGET_MS,
    details: [spread(push)],
    figures: { push },
  }
}
