/** 200 messages at once reach a session in few hand-overs and few turns: each once, in order, none dropped. */
import { readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { call } from '../../../src/client/client.ts'
import { newId } from '../../../src/wire/names.ts'
import { type Interactive, kill, submit } from '../support/client.ts'
import { eventually } from '../support/eventually.ts'
import { bash } from '../support/mock-model.ts'
import { missing, testNothingLeft, useSuite } from '../support/suite.ts'

const suite = useSuite()
const MESSAGES = 200
/** Ten hand-overs of 20, and room for those that went off before all were there. */
const HANDOVERS = 14
const CEILING_MS = 120_000

let current: Interactive | undefined
afterEach(async () => {
  if (!current) return
  kill(current.pid, 'SIGKILL')
  await suite.mesh.reaches(current.pid, 'gone')
  current = undefined
})

async function startIdle(): Promise<{ session: Interactive; name: string; pid: number }> {
  const session = await suite.terminal.start()
  current = session
  const { name } = await suite.mesh.reaches(session.pid, 'idle')
  return { session, name, pid: session.pid }
}

/** Hands all of them to the operator's sidecar at once, as 200 commands would. */
async function sendAll(to: string, text: (n: number) => string): Promise<string[]> {
  const { lab, mesh } = suite
  await mesh.run('whoami')
  const run = join(lab.meshHome, 'run')
  const operator = readdirSync(run).find((entry) => entry.startsWith('op-'))!
  const ids = Array.from({ length: MESSAGES }, () => newId('m'))
  const socket = join(run, operator, 'sock')
  await Promise.all(ids.map((id, n) => call(socket, 'send', { id, to, text: text(n) }, { timeoutMs: CEILING_MS })))
  return ids
}

/** What the model was newly given of the burst, by request. */
function given(pid: number): { numbers: number[]; handovers: number; repeats: number }[] {
  return suite.model.requests
    .filter(({ auxiliary }) => !auxiliary)
    .map(({ fresh }) => ({
      numbers: [...fresh.matchAll(new RegExp(`burst-${pid}-(\\d+)$`, 'gm'))].map(([, n]) => Number(n)),
      handovers: fresh.split('</mesh-').length - 1,
      repeats: fresh.split('possible repeat').length - 1,
    }))
    .filter(({ numbers }) => numbers.length > 0)
}

async function expectAllOnce(pid: number, ids: string[], what: string): Promise<void> {
  const { mesh } = suite
  const began = Date.now()
  const numbers = () => given(pid).flatMap((request) => request.numbers)
  await eventually(
    () => `all are read, but ${numbers().length}`,
    () => numbers().length >= MESSAGES,
    CEILING_MS,
  )
  await mesh.traced(ids.at(-1)!, 'surfaced')
  await mesh.reaches(pid, 'idle')
  const requests = given(pid)
  const handovers = requests.reduce((sum, request) => sum + request.handovers, 0)
  const turns = suite.model.requests.filter(({ auxiliary }) => !auxiliary).length
  console.log(
    `${what}: ${MESSAGES} messages in ${handovers} hand-overs, ${requests.length} requests (${turns} in all), ${Date.now() - began} ms after they were sent`,
  )
  expect(numbers()).toEqual(Array.from({ length: MESSAGES }, (_, n) => n))
  expect(handovers).toBeLessThanOrEqual(HANDOVERS)
  expect(requests.length).toBeLessThanOrEqual(HANDOVERS)
  expect(Math.max(...requests.map((request) => request.numbers.length / request.handovers))).toBeLessThanOrEqual(20)
  expect(requests.reduce((sum, { repeats }) => sum + repeats, 0)).toBe(0)
  expect((await mesh.sessionOf(pid))!.unread).toBe(0)
}

describe.skipIf(missing)('a burst', () => {
  test('to an idle session', async () => {
    const { name, pid } = await startIdle()
    const ids = await sendAll(name, (n) => `burst-${pid}-${n}`)
    await expectAllOnce(pid, ids, 'idle')
  })

  test('to a busy session that calls tools, and then only talks', async () => {
    const { model, mesh, lab } = suite
    const { session, name, pid } = await startIdle()
    const go = join(lab.project, 'go')
    rmSync(go, { force: true })
    const held = { call: [bash('until [ -e go ]; do sleep 0.05; done')] }
    model.script(`work-${pid}`, [held, { call: [bash('echo one')] }, { call: [bash('echo two')] }, { say: 'done' }])
    await submit(session, `play work-${pid}`)
    await mesh.reaches(pid, 'busy')
    const ids = await sendAll(name, (n) => `burst-${pid}-${n}`)
    await mesh.traced(ids.at(-1)!, 'delivered')
    await mesh.waiting(pid, `burst-${pid}-0`)
    expect(given(pid)).toEqual([])
    writeFileSync(go, '')
    await expectAllOnce(pid, ids, 'busy')
  })
})

testNothingLeft(suite)
