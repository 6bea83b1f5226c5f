/**
 * Sessions that sleep: stopped alone, and with everything else as when a laptop's lid is closed. Only at full length:
 * who is silent is given up after 45 seconds.
 */
import { describe, expect, test } from 'vitest'
import { kill, processesWith, runStreaming } from '../support/client.ts'
import { eventually } from '../support/eventually.ts'
import { Life } from '../support/life.ts'
import { missing, testNothingLeft, useSuite } from '../support/suite.ts'

const suite = useSuite()
const life = new Life(suite)
const skip = missing || process.env.MESH_CLAUDE_FULL !== '1'
const PATIENCE_MS = 120_000
/** Longer than times.lost and times.amnesty. */
const NIGHT_MS = 60_000

describe.skipIf(skip)('asleep', () => {
  test('a session that is stopped is given up, and when it goes on it has its name, and its mail', async () => {
    const { mesh, lab, claude } = suite
    const run = runStreaming(lab, claude)
    run.prompt('hello')
    const { name } = await mesh.reaches(run.pid, 'idle')
    const { epoch } = life.record(run.pid)
    const all = [run.pid, ...mesh.sidecarProcesses(run.pid)]
    for (const pid of all) kill(pid, 'SIGSTOP')
    await eventually('it is given up', async () => (await mesh.sessionOf(run.pid))?.status === 'lost', PATIENCE_MS)
    await mesh.send(name, `asleep ${run.pid}`)
    for (const pid of all.toReversed()) kill(pid, 'SIGCONT')
    await life.readBy(`asleep ${run.pid}`)
    await life.isRight(run.pid, { name, epoch })
    run.finish()
    await run.ended
    await mesh.reaches(run.pid, 'gone')
  })

  test('after a night nobody is given up, and mail goes on', async () => {
    const { mesh, lab, claude } = suite
    const runs = [runStreaming(lab, claude), runStreaming(lab, claude)]
    for (const run of runs) run.prompt('hello')
    const sessions = await Promise.all(runs.map((run) => mesh.reaches(run.pid, 'idle')))
    const all = processesWith(lab.root).map(({ pid }) => pid)
    for (const pid of all) kill(pid, 'SIGSTOP')
    await new Promise((resolve) => setTimeout(resolve, NIGHT_MS))
    for (const pid of all) kill(pid, 'SIGCONT')
    const statuses = (await mesh.ps())
      .filter(({ pid }) => runs.some((run) => run.pid === pid))
      .map(({ status }) => status)
    expect(statuses).toHaveLength(2)
    for (const status of statuses) expect(['idle', 'paused', 'unreachable', 'starting']).toContain(status)
    for (const [i, { pid, name }] of sessions.entries()) {
      await life.isRight(pid, { name, epoch: life.record(pid).epoch })
      runs[i]!.finish()
      await runs[i]!.ended
      await mesh.reaches(pid, 'gone')
    }
  })
})

if (!skip) testNothingLeft(suite)
