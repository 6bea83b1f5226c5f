/**
 * What a session coordinates is in its context again after a compaction, a clear and a resume, within its budget, by
 * nothing that the session did.
 */
import { afterEach, describe, expect, test } from 'vitest'
import { tokensOf } from '../../../src/core/state/render.ts'
import { type Interactive, kill, submit } from '../support/client.ts'
import { eventually } from '../support/eventually.ts'
import { Life } from '../support/life.ts'
import { meshBin } from '../support/mesh.ts'
import { bash, type ModelRequest } from '../support/mock-model.ts'
import { missing, testNothingLeft, useSuite } from '../support/suite.ts'

const suite = useSuite()
const life = new Life(suite)
const BUDGET_TOKENS = 600
/** Fills the context window of the model that the client picks. */
const FULL_TOKENS = 990_000

const living: Interactive[] = []
const runs: string[] = []
afterEach(async () => {
  for (const run of runs.splice(0)) await suite.mesh.run('stop', run, '--grace', '1s')
  for (const session of living.splice(0)) await life.end(session)
})

/** The elements of a request that hold a session's state. */
function statesIn({ text }: ModelRequest): string[] {
  return [...text.matchAll(/<(mesh-[0-9a-f]{8})>\nWhat you coordinate[\s\S]*?<\/\1>/g)].map(([state]) => state)
}

let sessions = 0
/** A session whose model waits for an answer and for a peer, started a run, claimed a task and keeps three things. */
async function coordinate() {
  const { model, mesh } = suite
  const session = await life.start({ bypass: true, env: { MESH_NAME: `coordinator-${++sessions}` } })
  living.push(session)
  const peer = `peer-${session.pid}`
  await mesh.run('whoami', '--as', peer)
  const { id: task } = await mesh.json<{ id: string }>('task', 'add', `port ${session.pid}`, '--json')
  const command = `node '${meshBin}'`
  const play = `begin-${session.pid}`
  model.script(play, [
    {
      call: [
        bash(`${command} ask ${peer} -- 'which port for ${session.pid}?' >/dev/null 2>&1 &
${command} wait ${peer} --until end >/dev/null 2>&1 &
${command} run --detach --name build-${session.pid} -- sleep 600
${command} task claim ${task}
${command} state set plan 'parser first ${session.pid}'
${command} state set next 'docs ${session.pid}'
${command} state set owner 'lead ${session.pid}'
sleep 1`),
      ],
    },
    { say: 'all is under way' },
  ])
  await submit(session, `play ${play}`)
  await eventually('it is under way', () =>
    model.requests.some(({ fresh, text }) => fresh.includes('owner set') && text.includes(play)),
  )
  await mesh.reaches(session.pid, 'idle')
  const parts = [
    `which port for ${session.pid}?`,
    `${peer}, until its end`,
    `build-${session.pid} `,
    `port ${session.pid}`,
    `plan: parser first ${session.pid}`,
    `next: docs ${session.pid}`,
    `owner: lead ${session.pid}`,
  ]
  const run = await eventually('its run is listed', async () =>
    (await mesh.json<{ runId: string; name: string }[]>('ps', '--runs', '--json')).find(
      ({ name }) => name === `build-${session.pid}`,
    ),
  )
  runs.push(run.runId)
  return { session, parts }
}

/** The first request of a prompt holds all of it, once, within the budget. */
function holdsAll(request: ModelRequest, parts: readonly string[], count = 1): string {
  const states = statesIn(request)
  expect(states, states.join('\n\n')).toHaveLength(count)
  const state = states.at(-1)!
  for (const part of parts) expect(state).toContain(part)
  expect(tokensOf(state)).toBeLessThanOrEqual(BUDGET_TOKENS)
  return state
}

async function compact(session: Interactive): Promise<void> {
  const before = suite.model.requests.length
  await submit(session, '/compact')
  await eventually('a summary', () => suite.model.requests.length > before)
  await eventually('it is compacted', () => /compacted/i.test(session.screen()))
}

describe.skipIf(missing)('what a session coordinates', () => {
  test('is in the context after /compact, after a second /compact, and after /clear, once each', async () => {
    const { model } = suite
    const { session, parts } = await coordinate()
    const { pid } = session
    await compact(session)
    await submit(session, `first ${pid}`)
    const first = await life.readBy(`first ${pid}`)
    const state = holdsAll(first, parts)
    console.log(`state after a compaction: ${tokensOf(state)} tokens\n${state}`)
    await suite.mesh.reaches(pid, 'idle')
    await compact(session)
    await submit(session, `second ${pid}`)
    holdsAll(await life.readBy(`second ${pid}`), parts)
    await suite.mesh.reaches(pid, 'idle')
    const { sessionId } = life.registry(pid)
    await submit(session, '/clear')
    await eventually('another conversation', () => life.registry(pid).sessionId !== sessionId)
    await submit(session, `third ${pid}`)
    const third = await life.readBy(`third ${pid}`)
    holdsAll(third, parts)
    await suite.mesh.reaches(pid, 'idle')
    // Full, the client compacts by itself before the next prompt is read.
    model.script(`fill-${pid}`, [{ say: 'filled', inputTokens: FULL_TOKENS }])
    await submit(session, `play fill-${pid}`)
    await life.readBy(`play fill-${pid}`)
    await suite.mesh.reaches(pid, 'idle')
    await submit(session, `full ${pid}`)
    const full = await eventually('the prompt is read', () => model.saw(`full ${pid}`).at(-1))
    expect(full.text).toContain('session is being continued')
    holdsAll(full, parts)
    await suite.mesh.reaches(pid, 'idle')
    // It was read: nothing is given again.
    await submit(session, `fourth ${pid}`)
    holdsAll(await life.readBy(`fourth ${pid}`), parts)
    expect(model.saw(`fourth ${pid}`)).toHaveLength(1)
  })

  test('is given by the next hook when SessionStart could not give it', async () => {
    const { model, mesh } = suite
    const { session, parts } = await coordinate()
    const { pid } = session
    const sidecar = mesh.sidecarPid(pid)
    // The hook waits for 3 s for an answer, and goes without.
    kill(sidecar, 'SIGSTOP')
    await compact(session)
    kill(sidecar, 'SIGCONT')
    const play = `late-${pid}`
    model.script(play, [{ call: [bash('sleep 6')] }, { say: 'done' }])
    await submit(session, `play ${play}`)
    expect(statesIn(await life.readBy(`play ${play}`))).toEqual([])
    const late = await eventually('the state is read', () =>
      model.requests.find((one) => one.text.includes(play) && statesIn(one).length > 0),
    )
    holdsAll(late, parts)
    await mesh.reaches(pid, 'idle')
    await submit(session, `then ${pid}`)
    holdsAll(await life.readBy(`then ${pid}`), parts)
  })

  test('is in the context after the session ended and was resumed', async () => {
    const { session, parts } = await coordinate()
    const { sessionId } = life.registry(session.pid)
    await life.isWritten(session.pid, sessionId)
    await life.end(session)
    const back = await life.start({ args: ['--resume', sessionId] })
    living.splice(0, 1, back)
    await submit(back, `back ${back.pid}`)
    const state = holdsAll(await life.readBy(`back ${back.pid}`), parts)
    expect(state).toContain('the call that waited is over')
    await suite.mesh.reaches(back.pid, 'idle')
    await submit(back, `again ${back.pid}`)
    holdsAll(await life.readBy(`again ${back.pid}`), parts)
  })
})

testNothingLeft(suite)
