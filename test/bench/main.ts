/** The benchmark: runs each measurement on a mesh of its own and prints DESIGN's table of budgets. */
import { readFileSync } from 'node:fs'
import { availableParallelism, cpus, loadavg } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { measureBoard, measureBoardList, measureBoardPush } from './board/board.ts'
import { Lab } from './lab/lab.ts'
import { isLinux } from './lab/process.ts'
import { type Row, table } from './lab/row.ts'
import { measureDoors } from './mail/doors.ts'
import { measureHeal } from './mail/heal.ts'
import { measureSend } from './mail/send.ts'
import { measureStep } from './mail/step.ts'
import { measureModuleWake, measureWake, measureWatchWake } from './mail/wake.ts'
import { measureRuns } from './scale/runs.ts'
import { full, measureScale, small } from './scale/scale.ts'
import { measureCommand } from './session/command.ts'
import { measureContext } from './session/context.ts'
import { measureHistory } from './session/history.ts'
import { measureMemory, measureNodes } from './session/memory.ts'
import { measureStart } from './session/start.ts'

const WARM_MS = 4000

const args = process.argv.slice(2)
const only = args.includes('--only') ? args[args.indexOf('--only') + 1]!.split(',') : null
const json = args.includes('--json')

/** In this order: what needs quiet comes first, what fills the engine last. */
const measurements: Record<string, (lab: Lab) => Row | Promise<Row>> = {
  step: measureStep,
  send: measureSend,
  command: measureCommand,
  wake: measureWake,
  'wake-mod': measureModuleWake,
  'wake-watch': measureWatchWake,
  board: measureBoard,
  push: measureBoardPush,
  memory: measureMemory,
  nodes: measureNodes,
  start: measureStart,
  heal: measureHeal,
  context: measureContext,
  list: measureBoardList,
  runs: measureRuns,
  history: measureHistory,
  doors: measureDoors,
  scale: (lab) => measureScale(lab, args.includes('--full') ? full : small),
}

/** Only by name. */
const onRequest = ['doors']

async function measureAll(lab: Lab): Promise<Row[]> {
  await lab.mesh(['install'])
  await lab.mesh(['up'])
  await Promise.all([lab.join('api'), lab.join('web'), lab.join('observer')])
  await lab.mesh(['run', '--', 'true'])
  // The first of each program leaves a code cache after some seconds.
  await sleep(WARM_MS)
  const rows: Row[] = []
  for (const [name, measure] of Object.entries(measurements)) {
    if (only ? !only.includes(name) : onRequest.includes(name)) continue
    console.error(`measuring: ${name} (load ${loadavg()[0]!.toFixed(1)})`)
    try {
      rows.push(await measure(lab))
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      rows.push({ what: name, measured: `FAILED: ${why}`, anchor: '-', ratio: null, budget: '-', ok: false })
    }
  }
  return rows
}

function print(rows: readonly Row[]): void {
  const cells = rows.map(({ what, measured, anchor, ratio, budget, ok }) => {
    const verdict = ok === null ? 'skipped' : ok ? 'ok' : 'MISS'
    return [what, measured, anchor, ratio === null ? '-' : `${ratio.toFixed(1)} ×`, budget, verdict]
  })
  console.log(table([['WHAT', 'MEASURED', 'ANCHOR, SAME RUN', 'RATIO', 'BUDGET', ''], ...cells]).join('\n'))
  console.log('\nMore of the same run')
  for (const { what, details } of rows)
    for (const line of details ?? []) console.log(`- ${what.split(/[:,]/)[0]}: ${line}`)
}

function machine() {
  const os = isLinux ? (/^PRETTY_NAME="(.*)"$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'Linux') : 'macOS'
  return { cores: availableParallelism(), cpu: cpus()[0]?.model ?? '?', os, node: process.version }
}

/** Whatever happens, nothing of it stays. */
const lab = new Lab()
let closing: Promise<string[]> | null = null
function close(): Promise<string[]> {
  closing ??= lab.close()
  return closing
}
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.on(signal, () => void close().then(() => process.exit(130)))

const load = loadavg()[0]!
const startedAt = performance.now()
const rows = await measureAll(lab)
const left = await close()
const { cores, cpu, os, node } = machine()
const tookS = Math.round((performance.now() - startedAt) / 1000)
if (json) console.log(JSON.stringify({ machine: machine(), load, tookS, rows, left }))
else {
  console.log(`\n${cores} × ${cpu}, ${os}, Node ${node}; load at the start ${load.toFixed(1)}; ${tookS} s\n`)
  print(rows)
  if (load > cores / 2) console.log('\nOther work ran on this machine: times are longer than they need be.')
}
for (const line of left) console.error(`left running, now killed: ${line}`)
const missed = rows.filter(({ ok }) => ok === false).length
if (missed > 0) console.error(`${missed} of ${rows.length} budgets missed`)
process.exitCode = left.length > 0 || rows.some(({ measured }) => measured.startsWith('FAILED')) ? 1 : 0
