/** The engine goes away, comes back, or comes back with less than it had. */
import { cpSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { engineStatus, startEngine, stopEngine } from '../../../src/engine/engine.ts'
import { type Damage, readDamage } from '../../../src/host/damage.ts'
import { storeNames } from '../../../src/wire/subjects.ts'
import { type Node, type Project, test, until, WAIT } from '../../support/node.ts'

const quiet = () => {}

async function untilReported({ world, name }: Project): Promise<Damage> {
  const isReported = () => readDamage(world.home, name).losses.some((loss) => loss.isReported)
  await until(isReported, 'the people are notified of the damage')
  return readDamage(world.home, name)
}

async function statuses(node: Node): Promise<string[]> {
  return (await node.call('ps', {})).map(({ name, status }) => `${name} ${status}`)
}

/** Where the engine keeps the project's messages. */
function storeDir({ world, name }: Project): string {
  const accounts = join(engineStatus(world.home).dataDir, 'jetstream')
  const account = readdirSync(accounts).find((entry) => readdirSync(join(accounts, entry)).includes('streams'))
  return join(accounts, account!, 'streams', storeNames(name).messages)
}

/** Keeps a copy of the messages as they are now. Nobody may be on the mesh. */
async function keepCopy(project: Project): Promise<string> {
  const { home, env } = project.world
  await stopEngine(home)
  const copy = project.world.directory()
  cpSync(storeDir(project), copy, { recursive: true })
  await startEngine(home, env, quiet)
  return copy
}

/** What came after the copy is lost. */
async function loseTail(project: Project, copy: string): Promise<void> {
  const { home, env } = project.world
  await stopEngine(home)
  rmSync(storeDir(project), { recursive: true })
  cpSync(copy, storeDir(project), { recursive: true })
  await startEngine(home, env, quiet)
}

test('without an engine a list is refused with a rejection, beside which nothing else goes unheard', async ({
  project,
}) => {
  const { alice } = await project.nodes('alice')
  await stopEngine(project.world.home)
  await until(() => !alice.sidecar.link.up, 'the engine is gone')
  for (const list of [alice.sidecar.names, alice.sidecar.currentRuns, () => alice.sidecar.sessions()]) {
    const refused = list()
    await expect(refused).rejects.toMatchObject({ code: 'mesh_down' })
  }
})

test('after the engine was killed it and all sessions are back', async ({ project }) => {
  const { alice, bob, carol } = await project.nodes('alice', 'bob', 'carol')
  await carol.stop()
  await alice.send('bob', 'before')
  const { store } = await project.attacker()
  const before = (await store.presence.all()).map(({ key }) => key)
  expect(before.sort()).toEqual(['alice', 'bob'])
  project.world.killEngine()
  await until(() => !alice.sidecar.link.up && !bob.sidecar.link.up, 'the kill is noticed')
  const queued = alice.send('bob', 'meanwhile', { wait: 'delivered' })
  // From the first answer on nobody is called lost, who has just not beaten yet.
  const seen = new Set<string>()
  await until(async () => {
    for (const status of await statuses(alice).catch(() => [])) seen.add(status)
    return seen.has('bob idle') && seen.has('alice idle')
  }, 'everybody')
  expect([...seen].filter((status) => /(alice|bob) (lost|gone|unreachable)/.test(status))).toEqual([])
  expect(await statuses(bob)).toContain('carol gone')
  expect(await queued).toMatchObject({ state: 'delivered' })
  expect(await bob.texts(2)).toEqual(['before', 'meanwhile'])
  await bob.nothingElse()
})

test('what is sent while the engine is down waits, and arrives in order', async ({ project }) => {
  const { home, env } = project.world
  const { alice, bob } = await project.nodes('alice', 'bob')
  await stopEngine(home)
  await until(() => !alice.sidecar.link.up, 'the end is noticed')
  for (const text of ['one', 'two', 'three']) expect(await alice.send('bob', text)).toMatchObject({ state: 'queued' })
  await expect(alice.call('ps', {})).rejects.toMatchObject({ code: 'mesh_down' })
  expect(engineStatus(home).running).toBe(false)
  await startEngine(home, env, quiet)
  expect(await bob.texts(3)).toEqual(['one', 'two', 'three'])
  await bob.nothingElse()
})

test('a reader whose consumer was removed reads on', async ({ project }) => {
  const { alice, bob } = await project.nodes('alice', 'bob')
  const { jsm } = await project.attacker()
  await alice.send('bob', 'one')
  await until(() => bob.sidecar.unread === 1, 'the first')
  await jsm.consumers.delete(storeNames(project.name).messages, 'bob-1')
  await alice.send('bob', 'two')
  expect(await bob.texts(2)).toEqual(['one', 'two'])
  await bob.nothingElse()
})

test('what a damaged store lost is sent again by its senders and shown once', async ({ project }) => {
  const { alice, bob, carol } = await project.nodes('alice', 'bob', 'carol')
  await alice.send('bob', 'kept')
  await bob.texts(1)
  for (const node of [alice, bob, carol]) await node.crash()
  const copy = await keepCopy(project)
  const [second, reader] = [await back(alice), await back(bob)]
  await second.send('bob', 'read and lost')
  expect(await reader.texts(1)).toEqual(['read and lost'])
  await second.send('bob', 'unread and lost')
  await until(() => reader.sidecar.unread === 1, 'the second')
  await second.send('carol', 'lost before carol had it')
  await second.crash()
  await reader.crash()
  await loseTail(project, copy)
  const third = await back(alice)
  await until(() => third.logged('lost messages').length > 0, 'the loss is noticed')
  expect(third.logged('lost messages')).toMatchObject([{ lost: 3 }])
  const last = await back(bob)
  expect(await last.texts(1)).toEqual(['unread and lost'])
  await last.nothingElse()
  expect(await (await back(carol)).texts(1)).toEqual(['lost before carol had it'])
})

/** The session's sidecar comes back. */
function back(node: Node): Promise<Node> {
  return node.project.node(node.asked, { process: node.process })
}

test('what a damaged store lost is sent again although others have its positions by then', async ({ project }) => {
  const { alice, bob, carol } = await project.nodes('alice', 'bob', 'carol')
  await carol.send('bob', 'kept')
  for (const node of [alice, bob, carol]) await node.crash()
  const copy = await keepCopy(project)
  const sender = await back(alice)
  for (const text of ['lost one', 'lost two']) await sender.send('bob', text)
  await sender.crash()
  await loseTail(project, copy)
  const other = await back(carol)
  for (const text of ['new one', 'new two', 'new three']) await other.send('bob', text)
  const again = await back(alice)
  expect(again.logged('lost messages')).toMatchObject([{ lost: 2 }])
  const texts = await (await back(bob)).texts(6)
  expect(texts).toEqual(['kept', 'new one', 'new two', 'new three', 'lost one', 'lost two'])
})

test('a reader reads on where a damaged store gave its positions to other messages', async ({ project }) => {
  const { alice, bob } = await project.nodes('alice', 'bob')
  const carol = await project.node('carol')
  await alice.send('bob', 'kept')
  await bob.texts(1)
  for (const node of [alice, bob, carol]) await node.crash()
  const copy = await keepCopy(project)
  const [sender, reader] = [await back(alice), await back(bob)]
  for (const text of ['lost one', 'lost two', 'lost three']) await sender.send('bob', text)
  expect(await reader.texts(3)).toHaveLength(3)
  await sender.crash()
  await reader.crash()
  await loseTail(project, copy)
  const other = await back(carol)
  const { losses } = await untilReported(project)
  expect(losses[0]!.what).toBe('the last 3 messages (positions 2 to 4)')
  for (const text of ['new one', 'new two', 'new three', 'new four']) await other.send('bob', text)
  const last = await back(bob)
  const messages = await last.messages(4)
  expect(messages.map(({ text }) => text)).toEqual(['new one', 'new two', 'new three', 'new four'])
  // By their positions somebody may have read the first three, of which one is the news of the damage.
  expect(messages.map(({ repeat }) => repeat)).toEqual([true, true, false, false])
  await back(alice)
  await last.nothingElse()
})

test('sessions go on when the stream of messages is made anew', async ({ project }) => {
  const { alice, bob, carol } = await project.nodes('alice', 'bob', 'carol')
  const attacker = await project.attacker()
  for (let i = 0; i < 10; i++) await attacker.say('nobody', `filler ${i}`)
  await bob.call('topic_join', { topic: 'build' })
  await alice.send('bob', 'read')
  await bob.texts(1)
  await alice.send('bob', 'unread')
  await until(() => bob.sidecar.unread === 1, 'the second')
  const dave = await project.node('dave')
  await carol.stop()
  await alice.send('carol', 'carol was away')
  const { config } = await attacker.jsm.streams.info(storeNames(project.name).messages)
  await attacker.jsm.streams.delete(config.name)
  await attacker.jsm.streams.add(config)
  project.world.killEngine()
  await until(() => alice.logged('lost messages').length > 0, 'the loss is noticed')
  await Promise.all([alice, bob, dave].map((node) => node.joined()))
  await alice.send('topic:build', 'to the topic')
  await alice.send('@all', 'to all')
  await alice.send('dave', 'to dave')
  // What is sent again has no order with what is new and goes elsewhere.
  expect((await bob.texts(3)).sort()).toEqual(['to all', 'to the topic', 'unread'])
  expect((await dave.texts(2)).sort()).toEqual(['to all', 'to dave'])
  const again = await project.node('carol')
  expect(await again.texts(2)).toContain('carol was away')
  for (const node of [bob, dave]) await node.nothingElse()
})

test('mail reaches a session that had read nothing, in a stream that was made anew', async ({ project }) => {
  const { alice } = await project.nodes('alice')
  const attacker = await project.attacker()
  for (let i = 0; i < 10; i++) await attacker.say('nobody', `filler ${i}`)
  const bob = await project.node('bob')
  expect(bob.sidecar.record.since).toBe(10)
  await bob.crash()
  const { config } = await attacker.jsm.streams.info(storeNames(project.name).messages)
  await attacker.jsm.streams.delete(config.name)
  await attacker.jsm.streams.add(config)
  await alice.send('bob', 'the first of a new age')
  const again = await back(bob)
  expect(again.sidecar.record.since).toBeLessThan(2)
  expect(await again.texts(1)).toEqual(['the first of a new age'])
  await expect.poll(() => again.sidecar.unread, WAIT).toBe(0)
})
