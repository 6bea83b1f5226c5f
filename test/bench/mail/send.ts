/** A send accepted by one sidecar until it is in the other's callback, against a raw publish → consume of the same run. */
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { call } from '../../../src/client/client.ts'
import { newId } from '../../../src/wire/names.ts'
import type { Lab } from '../lab/lab.ts'
import { finished, nodeFlags } from '../lab/process.ts'
import { ms, type Row, type Summary, spread, summarize } from '../lab/row.ts'

const ROUNDS = 250
const SOCKET_ROUNDS = 150
const PACE_MS = 10
const BUDGET = 2

type Inside = Record<'raw' | 'rawStored' | 'sent' | 'sentStored' | 'nameLookup' | 'seal' | 'open' | 'journal', Summary>

export async function measureSend(lab: Lab): Promise<Row> {
  const pid = await lab.join('api')
  const flags = nodeFlags(pid)
  const plain = await measureInside(lab, [])
  const product = flags.length > 0 ? await measureInside(lab, flags) : plain
  const sockets = await measureSockets(lab)
  // Of one process, sample by sample in turn: load from elsewhere meets both alike.
  const { sent, raw } = product
  return {
    what: 'send accepted by one sidecar → in the other’s callback',
    measured: ms(sent.p50),
    anchor: `raw publish → consume ${ms(raw.p50)}`,
    ratio: sent.p50 / raw.p50,
    budget: `≤ ${BUDGET} ×`,
    ok: sent.p50 <= BUDGET * raw.p50,
    details: [
      `in one process, as the sidecars run (${flags.join(' ') || 'no flags'}): send ${spread(sent)}; raw ${spread(raw)}`,
      `without flags: send ${spread(plain.sent)} (${(plain.sent.p50 / plain.raw.p50).toFixed(1)} ×); raw ${spread(plain.raw)}`,
      `parts: the recipient’s name looked up ${ms(product.nameLookup.p50)}, sealed and signed ${ms(product.seal.p50)}, opened and verified ${ms(product.open.p50)}, a journal line ${ms(product.journal.p50)} (three on the way)`,
      `raw publish → stored ${ms(product.rawStored.p50)}, send → stored ${ms(product.sentStored.p50)}`,
      `two real sidecars, client’s POST → the other’s waiting call answered: ${spread(sockets.arrived)}; one call there and back ${ms(sockets.hop.p50)}`,
    ],
    figures: { product, plain, sockets, flags },
  }
}

async function measureInside(lab: Lab, flags: string[]): Promise<Inside> {
  const program = join(lab.root, 'bench', 'latency.mjs')
  const { code, stdout, stderr } = await finished(lab.start(process.execPath, [...flags, program, String(ROUNDS)]))
  if (code !== 0) throw new Error(`latency.mjs: exit ${code}: ${stderr}`)
  return JSON.parse(stdout) as Inside
}

/** Two socket hops more, and three processes that wake each other. */
async function measureSockets(lab: Lab): Promise<{ arrived: Summary; hop: Summary }> {
  await lab.join('web')
  const [api, web] = [lab.target('api').socket, lab.target('web').socket]
  const samples = { arrived: [] as number[], hop: [] as number[] }
  for (let i = -20; i < SOCKET_ROUNDS; i++) {
    const waiting = call(web, 'wait', { targets: [] }).then((result) => ({ result, at: performance.now() }))
    await sleep(PACE_MS)
    const startedAt = performance.now()
    await call(api, 'send', { id: newId('m'), to: 'web', text: 'x'.repeat(200) })
    const { result, at } = await waiting
    await call(web, 'taken', { handover: result.handover! })
    const hopAt = performance.now()
    await call(web, 'whoami', {})
    if (i < 0) continue
    samples.arrived.push(at - startedAt)
    samples.hop.push(performance.now() - hopAt)
  }
  return { arrived: summarize(samples.arrived), hop: summarize(samples.hop) }
}
