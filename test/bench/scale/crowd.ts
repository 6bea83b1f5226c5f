/**
 * Many sessions in one process: whole sidecars but for their sockets, on homes of twenty each as on fifty machines.
 * `crowd.mjs COUNT`; prints `ready`, then obeys lines: `load N` sends N messages a second, `load 0` stops, `count` tells
 * how many were sent and arrived.
 */
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { ensurePrivateDir } from '../../../src/host/files.ts'
import { meshHome } from '../../../src/host/home.ts'
import { identifyProcess } from '../../../src/host/process/process.ts'
import { newId } from '../../../src/wire/names.ts'
import { caller, type Inside, openInside } from '../session/inside.ts'

const PER_HOME = 20
const AT_ONCE = 8
const TICK_MS = 50

const count = Number(process.argv[2])
const sessions: Inside[] = []
let [sent, arrived, rate] = [0, 0, 0]

/** The engine is shared; run directory, witness and journals are those of a machine. */
function homeOf(index: number) {
  const home = meshHome(process.env)
  const root = join(home.root, 'machines', String(Math.floor(index / PER_HOME)))
  for (const dir of [join(home.root, 'machines'), root]) ensurePrivateDir(dir)
  return { ...home, run: join(root, 'r'), projects: join(root, 'projects') }
}

async function openAll(): Promise<void> {
  let next = 0
  const worker = async () => {
    while (next < count) {
      const index = next++
      // Of a host of its own: nobody here can look whether it lives.
      const as = { ...identifyProcess(process.pid)!, host: `machine-${index}` }
      sessions[index] = await openInside(`s${index}`, as, homeOf(index))
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
}

/** Reads its mail as a session does: waits, takes, waits again. */
async function follow({ answer }: Inside): Promise<void> {
  for (;;) {
    const { results, handover } = await answer('wait', { targets: [] }, caller())
    arrived += results.length
    if (handover) await answer('taken', { handover }, caller())
  }
}

function send(): void {
  const [from, to] = [sessions[Math.floor(Math.random() * count)]!, Math.floor(Math.random() * count)]
  sent++
  const request = { id: newId('m'), to: `s${to}`, text: 'x'.repeat(200) }
  from.answer('send', request, caller()).catch((error) => {
    sent--
    process.stderr.write(`not sent: ${error}\n`)
  })
}

await openAll()
for (const session of sessions) void follow(session)
let owed = 0
setInterval(() => {
  owed += (rate * TICK_MS) / 1000
  for (; owed >= 1; owed--) send()
}, TICK_MS)
process.stdout.write('ready\n')
for await (const line of createInterface({ input: process.stdin })) {
  const [word, value] = line.split(' ')
  if (word === 'load') rate = Number(value)
  else if (word === 'count') process.stdout.write(`${JSON.stringify({ sent, arrived })}\n`)
}
process.exit(0)
