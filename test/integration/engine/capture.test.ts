/** A process that is not the engine, on the port where the engine is expected: it is told nothing, and relays nothing. */
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { expect, onTestFinished } from 'vitest'
import { engineStatus, startEngine, stopEngine } from '../../../src/engine/engine.ts'
import { engineUser, nameOf } from '../../../src/engine/nkey.ts'
import { choosePort } from '../../../src/engine/port.ts'
import { probeEngine } from '../../../src/engine/probe.ts'
import { connectEngine } from '../../../src/nats/connect.ts'
import { Foe, noForeignUser } from '../../support/lab/foe.ts'
import { Cable } from '../../support/lab/machine.ts'
import { test, until, type World } from '../../support/node.ts'

function portOf({ url }: World): number {
  return Number(new URL(url).port)
}

/** Lets the engine's record say that it listens on `port`, until the test is over. */
function record(world: World, port: number): void {
  const path = join(world.home.engine, 'engine.json')
  const text = readFileSync(path, 'utf8')
  writeFileSync(path, JSON.stringify({ ...JSON.parse(text), port }))
  onTestFinished(() => writeFileSync(path, text))
}

function connect(world: World) {
  return connectEngine({ url: world.url, user: engineUser(world.home), name: 'victim' }, () => {})
}

test('capture - a relay of our own user that is not the engine hears nothing', async ({ world }) => {
  const cable = await Cable.lay(portOf(world))
  onTestFinished(() => cable.close())
  record(world, cable.port)
  await expect(connect(world)).rejects.toMatchObject({ code: 'mesh_down' })
  const user = engineUser(world.home)
  expect(await probeEngine(cable.port, nameOf(user), user)).toBe('foreign')
  expect(cable.sent).toBe(0)
})

test('capture - a listener that is not of the engine’s kind hears nothing', async ({ world }) => {
  const heard: Buffer[] = []
  const server = createServer((socket) => socket.on('data', (chunk) => heard.push(chunk))).listen(0, '::')
  onTestFinished(() => void server.close())
  await once(server, 'listening')
  record(world, (server.address() as AddressInfo).port)
  await expect(connect(world)).rejects.toMatchObject({ code: 'mesh_down' })
  expect(heard).toEqual([])
})

test.skipIf(noForeignUser)('capture - another user’s relay hears nothing, and sessions go on', async ({ project }) => {
  const { world } = project
  const port = await choosePort(undefined)
  const foe = await Foe.start(port, portOf(world))
  onTestFinished(() => foe.end())
  await until(() => foe.has('captured'), 'the port is captured')
  const path = join(world.home.engine, 'engine.json')
  const text = readFileSync(path, 'utf8')
  writeFileSync(path, JSON.stringify({ ...JSON.parse(text), port }))
  const joining = project.node('victim')
  await until(() => foe.count('victim') > 2 && foe.has('relayed'), 'the sidecar comes to the other user')
  writeFileSync(path, text)
  const victim = await joining
  await until(async () => (await victim.call('whoami', {})).name === 'victim', 'the sidecar is at the engine')
  expect(foe.heard).toEqual([])
})

test.skipIf(noForeignUser)('capture - an engine whose port was taken starts on another', async ({ world }) => {
  const port = portOf(world)
  const foe = await Foe.start(port, port)
  onTestFinished(() => foe.end())
  await until(() => foe.has('ready'), 'the other user waits')
  await stopEngine(world.home)
  await until(() => foe.has('captured'), 'the port is captured')
  await startEngine(world.home, world.env, () => {})
  expect(portOf(world)).not.toBe(port)
  const nc = await connect(world)
  await nc.close()
  expect(engineStatus(world.home).running).toBe(true)
  expect(foe.heard).toEqual([])
})
