/** What one sidecar costs in memory after ten quiet seconds, against a bare Node process. */
import { setTimeout as sleep } from 'node:timers/promises'
import { majors, nodeOf } from '../../../scripts/node-versions.js'
import { call } from '../../../src/client/client.ts'
import { newId } from '../../../src/wire/names.ts'
import type { Lab } from '../lab/lab.ts'
import { type Memory, memoryOf } from '../lab/process.ts'
import type { Row } from '../lab/row.ts'
import { startSession } from './start.ts'

const QUIET_MS = 10_000
/** Of an idle session's sidecar, by Node's major version. */
const BUDGETS: Record<string, { rss: number; anonymous: number }> = {
  20: { rss: 52, anonymous: 14 },
  22: { rss: 60, anonymous: 19 },
  24: { rss: 61, anonymous: 19 },
  26: { rss: 61, anonymous: 19 },
}
const NEWEST = BUDGETS['26']!
/** Its first sidecar leaves a code cache after three seconds. */
const WARM_MS = 4000
const MESSAGES = 1000

export async function measureMemory(lab: Lab): Promise<Row> {
  const [operator, busy] = await Promise.all([lab.join('api'), lab.join('busy')])
  const session = await startSession(lab)
  const bare = lab.start(process.execPath, ['-e', 'setInterval(() => {}, 1e6)'])
  await flood(lab, 'busy')
  await sleep(QUIET_MS)
  const [mine, sh, node] = [memoryOf(session.sidecarPid()), memoryOf(session.loopPid), memoryOf(bare.pid!)]
  const budget = BUDGETS[process.versions.node.split('.', 1)[0]!] ?? NEWEST
  const [shell, worked] = [memoryOf(operator), memoryOf(busy)]
  bare.kill('SIGKILL')
  await session.end()
  return {
    what: 'one sidecar, 10 s idle: resident / private (anonymous)',
    measured: show(mine),
    anchor: `node, idle ${show(node)}`,
    ratio: mine.rss / node.rss,
    budget: `≤ ${budget.rss} / ≤ ${budget.anonymous} MB`,
    ok: isWithin(mine, budget),
    details: [
      `of a session with its hooks; its sh loop ${show(sh)} more; an operator’s sidecar ${show(shell)}`,
      `an operator’s that took and gave back ${MESSAGES} messages before the pause ${show(worked)}`,
    ],
    figures: { session: mine, sh, operator: shell, busy: worked, node },
  }
}

/** The same of a session whose sidecar another Node runs: the one that `mesh install` was run by. */
export async function measureNodes(lab: Lab): Promise<Row> {
  const seen: Record<string, Memory> = {}
  for (const major of majors) {
    const node = nodeOf(major)
    await lab.mesh(['install'], 'bench', {}, node)
    const first = await startSession(lab)
    await sleep(WARM_MS)
    await first.end()
    const session = await startSession(lab)
    await sleep(QUIET_MS)
    seen[major] = memoryOf(session.sidecarPid())
    await session.end()
  }
  await lab.mesh(['install'])
  const all = Object.entries(seen)
  return {
    what: 'one sidecar, 10 s idle, by Node: resident / private',
    measured: all.map(([major, memory]) => `${major}: ${show(memory)}`).join(', '),
    anchor: '-',
    ratio: null,
    budget: Object.entries(BUDGETS)
      .map(([major, { rss, anonymous }]) => `${major}: ${rss} / ${anonymous}`)
      .join(', '),
    ok: all.every(([major, memory]) => isWithin(memory, BUDGETS[major]!)),
    figures: seen,
  }
}

function isWithin({ rss, anonymous }: Memory, budget: { rss: number; anonymous: number }): boolean {
  return rss <= budget.rss && (anonymous ?? 0) <= budget.anonymous
}

function show({ rss, anonymous }: Memory): string {
  return `${rss.toFixed(0)} / ${anonymous === null ? '?' : anonymous.toFixed(0)} MB`
}

/** Messages to oneself: sent, received and read by one sidecar. */
async function flood(lab: Lab, name: string): Promise<void> {
  const { socket } = lab.target(name)
  for (let i = 0; i < MESSAGES; i++) {
    await call(socket, 'send', { id: newId('m'), to: name, text: `message ${i} ${'x'.repeat(200)}` })
    if (i % 50 === 49) {
      const { handover } = await call(socket, 'inbox', {})
      if (handover) await call(socket, 'taken', { handover })
    }
  }
}
