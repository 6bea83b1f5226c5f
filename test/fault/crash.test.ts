/**
 * Messages under `kill -9`: 4 senders, 4 recipients, a topic that all four read and a role that all four hold, while
 * the engine, sidecars of both sides and reading commands are killed at random steps.
 *
 * Black box: engine, sidecars and commands are the built ones. Readers are real commands (`mesh inbox --follow`, and
 * `mesh wait` and `mesh inbox` in turns), restarted when they end. Sends come from four programs that run the
 * command's own context, client and `transmit` in a loop, six lanes at a time; every 10th message of a lane goes by a real
 * `mesh send`. A step is an acknowledgement: kills are due after random ones, so that traffic flows when they come.
 *
 * Checked: nothing acknowledged is lost (every acknowledged message is printed by each of its readers); after the first
 * showing of a message each further one is marked `repeat`; first showings keep the order per sender and recipient
 * (roles have no one recipient); a role's message is shown unmarked by one taker only.
 */
import { readFileSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { nameDir } from '../../src/host/home.ts'
import { bundleProgram } from '../support/engine.ts'
import {
  chooseSeed,
  ended,
  FaultHome,
  FULL,
  figures,
  MESH_JS,
  random,
  SIDECAR_JS,
  until,
} from '../support/fault/home.ts'
import { Reader, type Shown } from '../support/fault/readers.ts'
import type { SenderJob, SendOutcome } from '../support/fault/sender.ts'

const MESSAGES = FULL ? 4000 : 400
const KILLS = FULL ? 60 : 8
const CLI_EVERY = 10
/** A role's message that was on its way to a killed sidecar comes again after the engine's 30 s. */
const SETTLE_MS = 120_000
const RUN_MS = FULL ? 900_000 : 240_000

const seed = chooseSeed('crash')
const dice = random(seed)
const senders = ['s0', 's1', 's2', 's3']
const recipients = ['r0', 'r1', 'r2', 'r3']
const targets = [...recipients, 'topic:news', 'role:work']

let mesh: FaultHome
let readers: Reader[] = []
const outcomes: SendOutcome[] = []
const kills: { at: number; what: string }[] = []

beforeAll(async () => {
  mesh = await FaultHome.make()
  for (const name of recipients) {
    await mesh.json('topic', 'join', 'news', '--as', name)
    await mesh.json('role', 'add', 'work', '--as', name)
  }
  for (const name of senders) await mesh.json('whoami', '--as', name)
  readers = recipients.map((name, i) => new Reader(mesh, name, i === 3 ? 'turns' : 'follow'))
}, 60_000)

afterAll(async () => {
  await Promise.all(readers.map((reader) => reader.stop()))
  await mesh?.close()
}, 60_000)

test(`${MESSAGES} messages, ${KILLS} kills`, { timeout: RUN_MS }, async () => {
  const startedAt = performance.now()
  const program = await buildSender()
  const sending = Promise.all(senders.map((name) => send(program, name)))
  await Promise.all([sending, killAtSteps()])
  const ms = performance.now() - startedAt
  await settle()
  report(ms)
  await restartAll()
  const violations = [...lost(), ...unmarked(), ...disordered(), ...takenTwice()]
  if (violations.length > 0) throw new Error(await explain(violations))
  const acked = outcomes.filter(({ state }) => state !== undefined)
  expect(acked.length).toBeGreaterThan(MESSAGES * 0.9)
  expect(shown().every(({ message }) => message.verified)).toBe(true)
  // A wait ends in time whatever happens meanwhile.
  const complaints = readers.flatMap(({ complaints }) => [...complaints.keys()])
  expect(complaints.filter((line) => line.includes('did not answer'))).toEqual([])
})

// --- traffic

async function buildSender(): Promise<string> {
  // The client starts the sidecar that lies beside it.
  symlinkSync(SIDECAR_JS, join(mesh.work, 'sidecar.js'))
  const contents = `import './fault/sender.ts'`
  return bundleProgram(contents, join(mesh.work, 'sender.js'))
}

async function send(program: string, name: string): Promise<void> {
  const lanes = targets.map((to) => ({ to, count: Math.ceil(MESSAGES / senders.length / targets.length) }))
  const job: SenderJob = { name, lanes, cliEvery: CLI_EVERY, meshJs: MESH_JS }
  const { version } = JSON.parse(readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8'))
  const child = mesh.start(program, [], { FAULT_JOB: JSON.stringify(job), FAULT_VERSION: version })
  let errors = ''
  child.stderr!.on('data', (chunk) => (errors += chunk))
  const lines = createInterface({ input: child.stdout! }).on('line', (line) => outcomes.push(JSON.parse(line)))
  await Promise.all([ended(child), new Promise((resolve) => lines.once('close', resolve))])
  if (child.exitCode !== 0) throw new Error(`sender ${name} ended with ${child.exitCode}: ${errors}`)
}

/** Kills something whenever a number of outcomes drawn beforehand is reached. */
async function killAtSteps(): Promise<void> {
  const last = Math.floor(MESSAGES * 0.95)
  const steps = Array.from({ length: KILLS }, () => dice.below(last)).sort((a, b) => a - b)
  for (const step of steps) {
    await until(() => outcomes.length >= step, RUN_MS, `step ${step}`)
    await sleep(dice.below(20))
    for (let killed = false; !killed; ) {
      for (const victim of chooseVictims()) killed = (await killSoon(victim)) || killed
    }
  }
}

/** Who is dead already is waited for a while: a kill counts when it killed. */
async function killSoon(victim: Victim): Promise<boolean> {
  const killed = await until(victim.kill, 3000).catch(() => false)
  if (killed) kills.push({ at: outcomes.length, what: victim.what })
  return killed
}

interface Victim {
  what: string
  kill(): boolean
}

function chooseVictims(): Victim[] {
  const engine = { what: 'engine', kill: () => mesh.killEngine() }
  const roll = dice.next()
  if (roll < 0.3) return [engine]
  if (roll < 0.6) return [sidecarOf(dice.pick(recipients))]
  if (roll < 0.8) return [sidecarOf(dice.pick(senders))]
  if (roll < 0.9) return [engine, sidecarOf(dice.pick([...senders, ...recipients]))]
  const reader = dice.pick(readers)
  return [{ what: `reader ${reader.name}`, kill: () => reader.kill() }]
}

function sidecarOf(name: string): Victim {
  return { what: `sidecar ${name}`, kill: () => mesh.killSidecar(name) }
}

// --- the end

/** Waits until everything acknowledged was shown; what is missing then is reported by the checks. */
async function settle(): Promise<void> {
  await until(() => lost().length === 0, SETTLE_MS).catch(() => {})
}

/** Everything is killed once more: what was read must not come again unmarked. A last message shows that all is read. */
async function restartAll(): Promise<void> {
  mesh.killEngine()
  for (const name of recipients) mesh.killSidecar(name)
  for (const to of recipients) {
    const { id } = await mesh.json<{ id: string }>('send', to, '--as', 's0', '--', `s0>${to} last`)
    await until(() => shown().some(({ message }) => message.id === id), 60_000, `the last message of ${to}`)
  }
}

function shown(): Shown[] {
  return readers.flatMap((reader) => reader.shown)
}

// --- invariants

interface Violation {
  what: string
  text: string
  id?: string
  from: string
  reader?: string
}

function lost(): Violation[] {
  const seen = new Set(shown().map(({ reader, message }) => `${reader} ${message.text}`))
  return outcomes.flatMap(({ text, from, to, id, state }) => {
    if (state === undefined) return []
    const missing = readersOf(to).filter((name) => !seen.has(`${name} ${text}`))
    const isLost = to.startsWith('role:') ? missing.length === recipients.length : missing.length > 0
    return isLost ? [{ what: `${state}, never shown by ${missing.join(' ')}`, text, id, from, reader: missing[0] }] : []
  })
}

function readersOf(to: string): string[] {
  return recipients.includes(to) ? [to] : recipients
}

function unmarked(): Violation[] {
  return readers.flatMap(({ name, shown }) => {
    const seen = new Set<string>()
    return shown.flatMap(({ message: { id, text, from, repeat } }) => {
      const again = seen.has(text)
      seen.add(text)
      return again && !repeat ? [{ what: `shown again by ${name} unmarked`, text, id, from, reader: name }] : []
    })
  })
}

function disordered(): Violation[] {
  return readers.flatMap(({ name, shown }) => {
    const last = new Map<string, number>()
    const seen = new Set<string>()
    return shown.flatMap(({ message: { id, text, from, to } }) => {
      const number = Number(text.split(' ')[1])
      if (to.startsWith('role:') || Number.isNaN(number) || seen.has(text)) return []
      seen.add(text)
      const before = last.get(`${from}>${to}`) ?? 0
      last.set(`${from}>${to}`, Math.max(before, number))
      return number < before
        ? [{ what: `first shown by ${name} after number ${before}`, text, id, from, reader: name }]
        : []
    })
  })
}

function takenTwice(): Violation[] {
  const takers = new Map<string, Shown[]>()
  for (const one of shown()) {
    const { text, to, repeat } = one.message
    if (to === 'role:work' && !repeat) takers.set(text, [...(takers.get(text) ?? []), one])
  }
  return [...takers.values()]
    .filter((showings) => showings.length > 1)
    .map((showings) => {
      const { id, text, from } = showings[0]!.message
      return { what: `taken unmarked by ${showings.map(({ reader }) => reader).join(' ')}`, text, id, from }
    })
}

// --- report

function report(ms: number): void {
  const acked = outcomes.filter(({ state }) => state !== undefined)
  const errors = outcomes.filter(({ state }) => state === undefined)
  const count = (state: string) => acked.filter((outcome) => outcome.state === state).length
  const repeats = shown().filter(({ message }) => message.repeat).length
  console.log(
    [
      `crash: seed ${seed}: ${outcomes.length} sent in ${Math.round(ms / 1000)} s, ${kills.length} kills`,
      `  acknowledged ${acked.length}: stored ${count('stored')}, queued ${count('queued')}; refused ${errors.length}`,
      `  by the command ${outcomes.filter(({ via }) => via === 'cli').length}; ${figures(acked.map(({ ms }) => ms))}`,
      `  shown ${shown().length}, of them marked as a repeat ${repeats}`,
      `  violations: lost ${lost().length}, unmarked ${unmarked().length}, order ${disordered().length}, takers ${takenTwice().length}`,
      `  kills: ${kills.map(({ at, what }) => `${at} ${what}`).join(', ')}`,
      ...[...new Set(errors.map(({ error }) => `  refused: ${error}`.replaceAll(/m_\w+/g, '…')))].slice(0, 10),
      ...readers.flatMap(({ name, complaints }) => [...complaints].map(([line, n]) => `  ${name} said ${n}×: ${line}`)),
    ].join('\n'),
  )
}

async function explain(violations: readonly Violation[]): Promise<string> {
  const parts = [`seed ${seed}: ${violations.length} violations`]
  for (const violation of violations.slice(0, 8)) parts.push(await facts(violation))
  return parts.join('\n\n')
}

/** What outbox, journals, readers and trace know of a message. */
async function facts({ what, text, id, from, reader }: Violation): Promise<string> {
  const mark = id ?? text
  const showings = shown().filter(({ message }) => message.text === text)
  const trace = id ? await mesh.run('trace', id, '--as', from) : null
  const files = [from, ...(reader ? [reader] : recipients)].flatMap((name) =>
    ['outbox.jsonl', 'journal.jsonl'].flatMap((file) => grep(join(nameDir(mesh.home, 'fault', name), file), mark)),
  )
  return [
    `${text}: ${what} (${id})`,
    ...showings.map(({ reader, at, message }) => `  shown by ${reader} at ${iso(at)} repeat ${message.repeat}`),
    ...files.map((line) => `  ${line}`),
    ...(trace?.stdout ?? '').split('\n').map((line) => `  trace: ${line}`),
  ].join('\n')
}

function grep(path: string, mark: string): string[] {
  const lines = readFileSync(path, 'utf8').split('\n')
  return lines
    .filter((line) => line.includes(mark))
    .map((line) => `${path.split('/').slice(-2).join('/')}: ${line.slice(0, 300)}`)
}

function iso(at: number): string {
  return new Date(at).toISOString()
}
