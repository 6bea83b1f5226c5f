/** What one sidecar costs in memory after ten quiet seconds, against a bare Node process. */
import { setTimeout as sleep } from 'node:timers/promises'
import { call } from '../../src/client/client.ts'
import { newId } from '../../src/wire/names.ts'
import { type Lab, type Memory, memoryOf } from './lab.ts'
import type { Row } from './row.ts'
import { startSession } from './start.ts'

const QUIET_MS = 10_000
const BUDGET = { rss: 55, anonymous: 15 }
const MESSAGES = 1000

export async function measureMemory(lab: Lab): Promise<Row> {
  const [operator, busy] = await Promise.all([lab.join('api'), lab.join('busy')])
  const session = await startSession(lab)
  const bare = lab.start(process.execPath, ['-e', 'setInterval(() => {}, 1e6)'])
  await flood(lab, 'busy')
  await sleep(QUIET_MS)
  const [mine, sh, node] = [memoryOf(session.sidecarPid()), memoryOf(session.loopPid), memoryOf(bare.pid!)]
  const [shell, worked] = [memoryOf(operator), memoryOf(busy)]
  bare.kill('SIGKILL')
  await session.end()
  return {
    what: 'one sidecar, 10 s idle: resident / private (anonymous)',
    measured: show(mine),
    anchor: `node, idle ${show(node)}`,
    ratio: mine.rss / node.rss,
    budget: `≤ ${BUDGET.rss} / ≤ ${BUDGET.anonymous} MB`,
    ok: mine.rss <= BUDGET.rss && (mine.anonymous ?? 0) <= BUDGET.anonymous,
    details: [
      `of a session with its hooks; its sh loop ${show(sh)} more; an operator’s sidecar ${show(shell)}`,
      `an operator’s that took and gave back ${MESSAGES} messages before the pause ${show(worked)}`,
    ],
    figures: { session: mine, sh, operator: shell, busy: worked, node },
  }
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
