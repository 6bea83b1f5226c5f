/**
 * A week of life in an hour: one session and one person exchange 50,000 messages, while the session has 10,000 runs, 200 /clear
 * and 50 compactions. Afterwards its sidecar is within its memory budget and 10 MB, its journals are bounded, and `ps`, `inbox`
 * and `doctor` answer within half a second. All of it only with `MESH_WEEK=1`; `MESH_WEEK=0.02` makes it shorter. Without, a short
 * morning shows that all mail arrives and every command answers: memory and time are of no meaning after so little.
 */
import { randomUUID } from 'node:crypto'
import { readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { call } from '../../src/client/client.ts'
import { sessionDir, socketPath } from '../../src/host/home.ts'
import { plainFlags } from '../../src/host/process/node-flags.ts'
import { newId } from '../../src/wire/names.ts'
import { FaultHome, figures, untilAsync } from '../support/fault/home.ts'
import { type FaultSession, startSession } from '../support/fault/session.ts'

const IS_MEASURED = process.env.MESH_WEEK !== undefined
const LENGTH = Number(process.env.MESH_WEEK ?? 0.008)
const MESSAGES = 50_000 * LENGTH
const RUNS = Number(process.env.MESH_WEEK_RUNS ?? (IS_MEASURED ? 10_000 * LENGTH : 6))
const CLEARS = Math.ceil(200 * LENGTH)
const COMPACTIONS = Math.ceil(50 * LENGTH)
const SENDERS = 4
const RUNNERS = 3
const QUIET_MS = IS_MEASURED ? 10_000 : 0
/** The budget of an idle session's sidecar on Node 20 is 52 MB, on later ones 61. */
const MEMORY_MB = (process.versions.node.startsWith('20.') ? 52 : 61) + 10
const JOURNAL_BYTES = 64 * 1024 * 1024
const ANSWER_MS = 500

let mesh: FaultHome
let session: FaultSession
let spooled = 0

beforeAll(async () => {
  mesh = await FaultHome.make()
  await mesh.json('whoami', '--as', 'ann')
  session = await startSession(mesh, 'web', plainFlags)
})
afterAll(async () => {
  session?.client.kill('SIGKILL')
  await mesh?.close()
}, 120_000)

/** Drops an event as the session's hook does. */
function hook(name: string, fields: object): void {
  const spool = join(sessionDir(mesh.home, session.key), 'spool')
  const path = join(spool, `${name}-${++spooled}`)
  writeFileSync(`${path}.t`, JSON.stringify({ hook_event_name: name, cwd: mesh.work, ...fields }))
  renameSync(`${path}.t`, `${path}.json`)
}

/** Sends a share of the messages to `to` and takes what comes meanwhile. */
async function talk(socket: string, to: string, count: number): Promise<void> {
  for (let n = 0; n < count; n++) {
    await call(socket, 'send', { id: newId('m'), to, text: `message ${n} ${'x'.repeat(500)}` })
    if (n % 20 === 0) await take(socket)
  }
}

async function take(socket: string): Promise<number> {
  const { messages, handover } = await call(socket, 'inbox', {})
  if (handover !== undefined) await call(socket, 'taken', { handover })
  return messages.length
}

/** Another conversation begins in the session's process, or its context is made shorter. */
async function live(): Promise<void> {
  let id = randomUUID() as string
  for (let n = 1; n <= CLEARS; n++) {
    hook('SessionEnd', { session_id: id, reason: 'clear' })
    id = randomUUID()
    hook('SessionStart', { session_id: id, source: 'clear' })
    if (n % Math.max(1, Math.round(CLEARS / COMPACTIONS)) === 0) {
      hook('PreCompact', { session_id: id, trigger: 'auto' })
      hook('SessionStart', { session_id: id, source: 'compact' })
    }
    await sleep(200)
  }
}

async function runAll(): Promise<void> {
  let left = RUNS
  const runner = async () => {
    while (left-- > 0) await mesh.run('run', '--as', 'ann', '--name', 'job', '--', 'true')
  }
  await Promise.all(Array.from({ length: RUNNERS }, runner))
}

function residentMb(pid: number): number {
  return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1024
}

/** The largest file that a name of the project keeps here. */
function largestJournal(): { path: string; bytes: number } {
  const root = join(mesh.home.projects, 'fault', 'names')
  const paths = readdirSync(root, { recursive: true }).map((path) => join(root, String(path)))
  const sizes = paths.map((path) => ({ path, bytes: statSync(path).size }))
  return sizes.sort((a, b) => b.bytes - a.bytes)[0]!
}

/** Runs a command of the person's that has to succeed. */
async function timed(...command: string[]): Promise<number> {
  const { code, stderr, ms } = await mesh.run(...command, '--json', '--as', 'ann')
  expect(stderr).toBe('')
  expect(code).toBe(0)
  return ms
}

test('a week of life in an hour', { timeout: 2 * 3_600_000 }, async () => {
  const sockets = { ann: mesh.socketOf('ann'), web: socketPath(sessionDir(mesh.home, session.key)) }
  const share = MESSAGES / 2 / SENDERS
  await Promise.all([
    ...Array.from({ length: SENDERS }, () => talk(sockets.ann, 'web', share)),
    ...Array.from({ length: SENDERS }, () => talk(sockets.web, 'ann', share)),
    live(),
    runAll(),
  ])
  for (const socket of Object.values(sockets))
    await untilAsync(async () => (await take(socket)) === 0, 120_000, 'all mail to be read')
  await sleep(QUIET_MS)
  const memory = { web: residentMb(session.sidecarPid), ann: residentMb(mesh.sidecars().get('ann')!.sidecar.pid) }
  const journal = largestJournal()
  const times: Record<string, number[]> = {}
  for (const command of [['ps'], ['inbox', '--peek'], ['doctor']]) {
    times[command[0]!] = []
    for (let n = 0; n < (IS_MEASURED ? 5 : 1); n++) times[command[0]!]!.push(await timed(...command))
  }
  const asked = Object.entries(times).map(([name, all]) => `${name} ${figures(all)}`)
  console.log(
    `week: ${MESSAGES} messages, ${RUNS} runs, ${CLEARS} clears, ${COMPACTIONS} compactions\n  resident MB ${JSON.stringify(memory)}\n  largest journal ${journal.path} ${journal.bytes}\n  ${asked.join('\n  ')}`,
  )
  expect(journal.bytes).toBeLessThan(JOURNAL_BYTES)
  if (!IS_MEASURED) return
  expect(Math.max(...Object.values(memory))).toBeLessThan(MEMORY_MB)
  for (const all of Object.values(times)) expect(Math.min(...all)).toBeLessThan(ANSWER_MS)
})
