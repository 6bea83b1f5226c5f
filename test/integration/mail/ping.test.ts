/** Reaching a session: its sidecar answers, or its model reads through a door; and the doors that ps shows. */
import { expect } from 'vitest'
import { newId } from '../../../src/wire/names.ts'
import { FakeDoor, type Node, test, until } from '../../support/node.ts'

function ping(from: Node, name: string, more: { wake?: boolean; timeoutMs?: number } = {}) {
  return from.call('ping', { id: newId('m'), name, timeoutMs: 20_000, ...more }, { timeoutMs: 0 })
}

async function doorsOf(onlooker: Node, name: string) {
  const session = (await onlooker.call('ps', {})).find((one) => one.name === name)!
  return { wake: session.wake, doors: session.doors.map((door) => [door.name, door.state]) }
}

test('without wake the sidecar answers: nothing is unread, and no door is used', async ({ project }) => {
  const door = new FakeDoor()
  const api = await project.node('api')
  const web = await project.node('web', { doors: [door] })
  const pinged = await ping(api, 'web')
  expect(pinged).toMatchObject({ name: 'web', status: 'idle', door: null, state: 'delivered' })
  expect(pinged.problem).toBeUndefined()
  expect(pinged.ms).toBeGreaterThan(0)
  expect(web.sidecar.unread).toBe(0)
  expect(door.offers).toEqual([])
  // A door that does not lead to the model now leaves what comes next to who asks.
  web.status('busy')
  await web.nothingElse()
})

test('a ping that its sidecar journalled and did not answer is answered by the next, and never shown', async ({
  project,
}) => {
  const web = await project.node('web')
  const { mailbox } = web.sidecar
  const envelope = { ...(await project.attacker()).envelope('api', 'web'), intent: 'ping', body: { text: '' } }
  mailbox.arrive({ seq: 1, envelope, verified: true }, Date.now())
  await web.crash()
  const next = await project.node('web', { process: web.process, session: 'session-web' })
  await until(() => next.sidecar.registry.claimed && next.sidecar.unread === 0, 'the ping settled')
  expect(await next.take()).toEqual([])
})

test('a text under the intent of a ping is mail; no call may send one', async ({ project }) => {
  const web = await project.node('web')
  await (await project.attacker()).say('web', 'not empty', 'crowd', { intent: 'ping' })
  expect(await web.texts(1)).toEqual(['not empty'])
  await expect(web.send('web', 'x', { intent: 'ping' })).rejects.toMatchObject({ code: 'bad_request' })
})

test('ping - a gone session is reported as gone, and nothing is sent', async ({ project }) => {
  const { api, web } = await project.nodes('api', 'web')
  await web.stop()
  const pinged = await ping(api, 'web')
  expect(pinged).toMatchObject({ status: 'gone', state: null, problem: { code: 'not_alive' } })
  await expect(ping(api, 'nobody')).rejects.toMatchObject({ code: 'not_found' })
})

test('ping - a sidecar that does not answer in time is reported with its last state', async ({ project }) => {
  const { api, web } = await project.nodes('api', 'web')
  await web.sidecar.link.stop()
  const pinged = await ping(api, 'web', { timeoutMs: 50 })
  expect(pinged).toMatchObject({ state: 'stored', problem: { code: 'timeout' } })
})

test('with wake it proves a door, and ps shows it', async ({ project }) => {
  const door = new FakeDoor()
  const api = await project.node('api')
  const web = await project.node('web', { doors: [door] })
  expect(await doorsOf(api, 'web')).toEqual({ wake: ['inbox-socket'], doors: [['inbox-socket', 'available']] })
  const pinged = ping(api, 'web', { wake: true })
  await until(() => door.offers.length > 0, 'an offer')
  const [{ text, token } = { text: '', token: '' }] = door.offers
  expect(text).toContain('mesh ping from api, no answer needed')
  web.harness.events.evidence(token, 'surfaced', 'seen by the model')
  expect(await pinged).toMatchObject({ door: 'inbox-socket', state: 'surfaced', evidence: 'seen by the model' })
  await until(async () => (await doorsOf(api, 'web')).doors[0]?.[1] === 'proven', 'proven in ps')
})

test('doctor wakes a session by its own sidecar: its model reads neither a peer nor its own name', async ({
  project,
}) => {
  const door = new FakeDoor()
  const web = await project.node('web', { doors: [door] })
  const pinged = ping(web, 'web', { wake: true })
  await until(() => door.offers.length > 0, 'an offer')
  const [{ text, token } = { text: '', token: '' }] = door.offers
  expect(text).toMatch(/^\[m_\w+ from yourself\]\nmesh doctor tests this door, no answer needed$/m)
  web.harness.events.evidence(token, 'surfaced', 'seen by the model')
  expect(await pinged).toMatchObject({ state: 'surfaced' })
})

test('ping --wake - through a blocked door it reports how far it got and why', async ({ project }) => {
  const api = await project.node('api')
  const web = await project.node('web', { doors: [new FakeDoor()] })
  web.status('busy')
  const pinged = await ping(api, 'web', { wake: true, timeoutMs: 300 })
  expect(pinged).toMatchObject({ status: 'busy', state: 'delivered', door: null, problem: { code: 'timeout' } })
  expect(pinged.problem?.message).toContain('busy')
})

test('a session without a door is not sent a ping to wake it; a waiting call is a door', async ({ project }) => {
  const { api, web } = await project.nodes('api', 'web')
  expect(await doorsOf(api, 'web')).toEqual({ wake: [], doors: [] })
  expect(await ping(api, 'web', { wake: true })).toMatchObject({ state: null, problem: { code: 'conflict' } })
  const waiting = web.call('wait', { targets: [] }, { timeoutMs: 0 })
  await until(async () => (await doorsOf(api, 'web')).wake[0] === 'waiting-call', 'the waiting call in ps')
  const pinged = ping(api, 'web', { wake: true })
  const { handover } = await waiting
  await web.call('taken', { handover: handover! })
  expect(await pinged).toMatchObject({ door: 'waiting-call', state: 'surfaced' })
  await until(async () => (await doorsOf(api, 'web')).wake.length === 0, 'no door any more')
})

test('a shut door is shown as none', async ({ project }) => {
  const door = new FakeDoor()
  door.available = () => false
  const api = await project.node('api')
  await project.node('web', { doors: [door] })
  expect(await doorsOf(api, 'web')).toEqual({ wake: [], doors: [['inbox-socket', 'none']] })
  expect((await ping(api, 'web', { wake: true })).problem?.message).toContain('inbox-socket shut')
})

test('ping - a timeout that is over before the ping is sent is answered', async ({ project }) => {
  const { api, web } = await project.nodes('api', 'web')
  await web.crash()
  for (const timeoutMs of [0, 1]) expect((await ping(api, 'web', { timeoutMs })).problem).toBeDefined()
})
