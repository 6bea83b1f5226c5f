/** The engine killed by kill -9: how long until it serves again, against the bare start of the same server. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { call } from '../../../src/client/client.ts'
import { newId } from '../../../src/wire/names.ts'
import type { Lab } from '../lab/lab.ts'
import { greets, kill } from '../lab/process.ts'
import { ms, type Row, spread, summarize } from '../lab/row.ts'

const ROUNDS = 10
const BUDGET_MS = 1000
const PORT = 19_377

export async function measureHeal(lab: Lab): Promise<Row> {
  await Promise.all([lab.join('api'), lab.join('web')])
  const { socket } = lab.target('api')
  const samples = { serving: [] as number[], stored: [] as number[], bare: [] as number[] }
  for (let i = 0; i < ROUNDS; i++) {
    samples.bare.push(await timeBareServer(lab, i))
    const pid = lab.enginePid()
    const killedAt = performance.now()
    kill(pid, 'SIGKILL')
    const id = newId('m')
    const stored = call(socket, 'send', { id, to: 'web', text: 'meanwhile', wait: 'stored', timeoutMs: 20_000 })
    samples.serving.push((await lab.untilServing(pid)) - killedAt)
    await stored
    samples.stored.push(performance.now() - killedAt)
    // Sidecars that are back from this one are ready for the next.
    await sleep(300)
  }
  const [serving, stored, bare] = [summarize(samples.serving), summarize(samples.stored), summarize(samples.bare)]
  return {
    what: 'engine found dead → serving again',
    measured: `${ms(serving.p50)} (most ${ms(serving.most)})`,
    anchor: `nats-server start → ready ${ms(bare.p50)}`,
    ratio: serving.p50 / bare.p50,
    budget: '≤ 1 s',
    ok: serving.most <= BUDGET_MS,
    details: [
      `kill -9 → another server greets: ${spread(serving)}; a message sent at once after the kill is stored: ${spread(stored)}`,
    ],
    figures: { serving, stored, bare },
  }
}

/** The same binary with an empty store and the engine's durability, by itself. */
async function timeBareServer(lab: Lab, round: number): Promise<number> {
  const dir = join(lab.root, `bare-${round}`)
  mkdirSync(dir)
  const conf = join(dir, 'server.conf')
  const port = PORT + round
  writeFileSync(conf, `listen: "127.0.0.1:${port}"\njetstream { store_dir: "${dir}", sync_interval: always }\n`)
  const startedAt = performance.now()
  const child = spawn(lab.env.MESH_ENGINE!, ['-c', conf], { stdio: 'ignore', cwd: dir })
  try {
    while (!(await greets(port))) {
      if (child.exitCode !== null) throw new Error(`the bare server ended with ${child.exitCode}`)
      await sleep(1)
    }
    return performance.now() - startedAt
  } finally {
    await end(child)
  }
}

async function end(child: ChildProcess): Promise<void> {
  const ended = new Promise((resolve) => child.once('close', resolve))
  child.kill('SIGKILL')
  await ended
}
