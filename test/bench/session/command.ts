/** `mesh send` as a whole command against the bare start of Node, interleaved. */
import type { Lab } from '../lab/lab.ts'
import { timeProcess } from '../lab/process.ts'
import { ms, type Row, spread, summarize } from '../lab/row.ts'

const ROUNDS = 25
const BUDGET_MS = 15

export function measureCommand(lab: Lab): Row {
  const env = { ...lab.env, MESH_NAME: 'api', MESH_PROJECT: lab.project }
  const samples = { send: [] as number[], node: [] as number[], ps: [] as number[] }
  for (let i = -3; i < ROUNDS; i++) {
    const node = timeProcess(process.execPath, ['-e', '0'], env)
    const send = timeProcess(process.execPath, [lab.bin, 'send', 'web', '--', 'the schema landed'], env)
    const ps = timeProcess(process.execPath, [lab.bin, 'ps'], env)
    // The first ones warm the disk's cache.
    if (i < 0) continue
    samples.node.push(node)
    samples.send.push(send)
    samples.ps.push(ps)
  }
  const [send, node, ps] = [summarize(samples.send), summarize(samples.node), summarize(samples.ps)]
  return {
    what: 'mesh send, the whole command until stored',
    measured: ms(send.p50),
    anchor: `node -e 0 ${ms(node.p50)}`,
    ratio: send.p50 / node.p50,
    budget: `≤ node -e 0 + ${BUDGET_MS} ms`,
    ok: send.p50 <= node.p50 + BUDGET_MS,
    details: [`mesh send ${spread(send)}; node -e 0 ${spread(node)}; mesh ps ${spread(ps)}`],
    figures: { send, node, ps },
  }
}
