/** What arrives on a session's subject without having been sent by a sidecar of ours. */
import { generateKeyPairSync } from 'node:crypto'
import { expect } from 'vitest'
import { encodeEnvelope } from '../../../src/wire/codec.ts'
import { newId } from '../../../src/wire/names.ts'
import { storeNames } from '../../../src/wire/subjects.ts'
import type { Attacker } from '../../support/lab/attacker.ts'
import { test as base, type Node, Project, until, WAIT } from '../../support/node.ts'

/** One session for all the bytes that are passed over: what comes next must find it unharmed. */
const test = base.extend('bob', { scope: 'file' }, async ({ world }, { onCleanup }) => {
  const project = new Project(world)
  onCleanup(() => project.close())
  return project.node('bob')
})

const stranger = generateKeyPairSync('ed25519').privateKey
const json = (value: unknown) => JSON.stringify(value)
const deep = (n: number) => '['.repeat(n) + ']'.repeat(n)
const bytesOf = (attacker: Attacker) => attacker.signed('alice', 'bob')

/** The next good message arrives, nothing was delivered twice, and the log tells of what was passed over. */
async function expectPassedOver(bob: Node, count = 1): Promise<void> {
  await bob.nothingElse()
  expect((await bob.consumer()).num_redelivered).toBe(0)
  expect(bob.logged('not a message')).toHaveLength(count)
  bob.log.length = 0
}

test.for<[string, (attacker: Attacker) => Uint8Array | string]>([
  ['nothing', () => ''],
  ['bytes that are no text', () => Buffer.from([0, 0xff, 0xfe, 0x80, 0xc0])],
  ['a text that is no JSON', () => '{"v":1,'],
  ['JSON that is no object', () => '[1]'],
  ['null', () => 'null'],
  ['a number beyond all numbers', () => '1e999'],
  ['an empty object', () => '{}'],
  ['an unknown version', (a) => json({ ...a.envelope('alice', 'bob'), v: 2 })],
  ['an unknown kind', (a) => json({ ...a.envelope('alice', 'bob'), kind: 'constructor' })],
  ['a missing field', (a) => json({ ...a.envelope('alice', 'bob'), id: undefined })],
  ['a wrong type', (a) => json({ ...a.envelope('alice', 'bob'), hops: '0' })],
  ['a name that is none', (a) => json({ ...a.envelope('alice', 'bob'), to: '__proto__' })],
  ['a prototype', () => '{"__proto__":{"v":1,"kind":"message"},"constructor":1}'],
  ['invalid UTF-8 in a text', (a) => replaceByte(bytesOf(a), 'hand-made', 0xff)],
  ['depth 100,000', () => `{"v":1,"kind":"message","id":${deep(100_000)}}`],
  ['100,000 keys', () => json(Object.fromEntries(Array.from({ length: 100_000 }, (_, i) => [`k${i}`, i])))],
  ['more than an envelope may have', () => 'x'.repeat(1900 * 1024)],
])('a message that is %s is passed over', async ([, make], { bob }) => {
  const attacker = await bob.project.attacker()
  await attacker.publish(attacker.subject('alice', 'bob'), make(attacker))
  await expectPassedOver(bob)
})

function replaceByte(bytes: Uint8Array, at: string, by: number): Uint8Array {
  const copy = Buffer.from(bytes)
  copy[copy.indexOf(at)] = by
  return copy
}

test.for(['bob.local', 'bob.local.alice.more', 'bob.LOCAL.alice', 'bob.local.*', 'bob.local.m_x', 'bob.local.all'])(
  'a message on the subject %s is passed over',
  async (end, { bob }) => {
    const attacker = await bob.project.attacker()
    await attacker.publish(`mesh.v1.${bob.project.name}.msg.${end}`, bytesOf(attacker))
    await expectPassedOver(bob)
  },
)

test('a true message replayed on another subject is passed over', async ({ bob }) => {
  const attacker = await bob.project.attacker()
  await attacker.publish(attacker.subject('carol', 'bob'), bytesOf(attacker))
  await attacker.publish(attacker.subject('alice', 'bob'), attacker.signed('alice', 'carol'))
  await attacker.publish(attacker.subject('alice', 'bob'), attacker.signed('alice', '@all'))
  await attacker.publish(attacker.subject('alice', '@all'), bytesOf(attacker))
  await expectPassedOver(bob, 4)
})

test('a true message replayed from another project is passed over', async ({ bob }) => {
  const attacker = await bob.project.attacker()
  const elsewhere = attacker.signed('alice', 'bob', { project: 'elsewhere' })
  await attacker.publish(attacker.subject('alice', 'bob'), elsewhere)
  await expectPassedOver(bob)
})

test.for<[string, (attacker: Attacker) => Uint8Array | string]>([
  ['unsigned', (a) => json(a.envelope('alice', 'bob'))],
  ['signed by another key', (a) => encodeEnvelope(a.envelope('alice', 'bob'), stranger)],
  ['signed and then altered', (a) => replaceByte(bytesOf(a), 'hand-made', 'H'.charCodeAt(0))],
  ['signed with somebody else’s signature', (a) => withSignatureOf(bytesOf(a), a.signed('alice', 'bob'))],
  ['signed with nonsense', (a) => json({ ...a.envelope('alice', 'bob'), sig: '!'.repeat(86) })],
])('a message in a session’s name that is %s is shown as not verified', async ([, make], { project }) => {
  const { bob } = await project.nodes('alice', 'bob')
  const attacker = await project.attacker()
  await attacker.publish(attacker.subject('alice', 'bob'), make(attacker))
  expect(await bob.messages(1)).toMatchObject([{ from: 'alice', verified: false }])
  await bob.nothingElse()
})

function withSignatureOf(message: Uint8Array, other: Uint8Array): string {
  const { sig } = JSON.parse(Buffer.from(other).toString())
  return json({ ...JSON.parse(Buffer.from(message).toString()), sig })
}

test('a message of a member whose key nobody has seen is shown as not verified', async ({ project }) => {
  const { bob } = await project.nodes('bob')
  const attacker = await project.attacker()
  const from = { member: 'other', name: 'alice', epoch: 1 }
  const forged = encodeEnvelope(attacker.envelope('alice', 'bob', { from }), stranger)
  await attacker.publish(attacker.subject('alice', 'bob').replace('.local.', '.other.'), forged)
  expect(await bob.messages(1)).toMatchObject([{ from: 'alice', verified: false }])
})

test('what a sidecar sends is shown as verified', async ({ project }) => {
  const { alice, bob } = await project.nodes('alice', 'bob')
  await alice.send('bob', 'it is me')
  expect(await bob.messages(1)).toMatchObject([{ from: 'alice', verified: true, repeat: false, text: 'it is me' }])
})

test('a forged number does not hide that messages are missing, nor report any', async ({ project }) => {
  const { bob } = await project.nodes('bob')
  const attacker = await project.attacker()
  await attacker.say('bob', 'one', 'alice', { seq: 1 })
  const forged = json(attacker.envelope('alice', 'bob', { seq: 9_000_000 }))
  await attacker.publish(attacker.subject('alice', 'bob'), forged)
  await attacker.say('bob', 'two', 'alice', { seq: 2 })
  await bob.texts(3)
  expect(bob.logged('are missing')).toEqual([])
  await attacker.say('bob', 'four', 'alice', { seq: 4 })
  await bob.texts(1)
  expect(bob.logged('are missing')).toMatchObject([{ from: 'alice', missing: 1 }])
})

test('a server’s answers reflected into a session’s mail are passed over', async ({ bob }) => {
  const attacker = await bob.project.attacker()
  const reply = attacker.subject('dave', 'bob')
  const { messages, presence } = storeNames(bob.project.name)
  await attacker.publish(`$KV.${presence}.bait`, 'x', { reply })
  await attacker.publish(attacker.subject('dave', 'carol'), attacker.signed('dave', 'carol'), { reply })
  await attacker.publish(`$JS.API.STREAM.INFO.${messages}`, '', { reply })
  await attacker.publish(`$JS.API.CONSUMER.INFO.${messages}.bob-1`, '', { reply })
  await expect.poll(async () => bob.logged('not a message').length, WAIT).toBe(4)
  await expectPassedOver(bob, 4)
})

test('one id stored twice is shown once, unread, read, and after a return', async ({ project }) => {
  const bob = await project.node('bob')
  const attacker = await project.attacker()
  const [subject, bytes] = [attacker.subject('alice', 'bob'), bytesOf(attacker)]
  for (const msgId of ['a', 'a', 'b', 'c']) await attacker.publish(subject, bytes, { msgId })
  expect(await bob.texts(1)).toEqual(['hand-made'])
  await bob.nothingElse()
  await attacker.publish(subject, bytes, { msgId: 'd' })
  await bob.nothingElse()
  await bob.stop()
  await attacker.publish(subject, bytes, { msgId: 'e' })
  const again = await project.node('bob')
  await again.nothingElse()
})

test('a sender that retries sends one message', async ({ project }) => {
  const { alice, bob } = await project.nodes('alice', 'bob')
  const id = newId('m')
  const sent = await Promise.all([1, 2, 3].map(() => alice.send('bob', 'once', { id })))
  await alice.send('bob', 'once', { id })
  expect(sent.map((one) => one.id)).toEqual([id, id, id])
  expect(await bob.texts(1)).toEqual(['once'])
  await bob.nothingElse()
})

test.for(['names', 'presence', 'surfaced', 'members'] as const)(
  'garbage in the %s bucket ends nobody’s session',
  async (bucket, { project }) => {
    const { alice, bob } = await project.nodes('alice', 'bob')
    const attacker = await project.attacker()
    await alice.send('bob', 'before')
    await bob.texts(1)
    for (const key of ['bob', 'local', 'nobody']) {
      await attacker.publish(`$KV.${storeNames(project.name)[bucket]}.${key}`, '{"v":7}')
    }
    await alice.send(bob.name, 'unread').catch(() => {})
    await bob.crash()
    const again = await project.node('bob', { process: bob.process })
    await alice.send(again.name, 'after')
    const texts: string[] = []
    await until(async () => texts.push(...(await again.texts(1))) > 0 && texts.includes('after'), 'what came after')
    expect(await alice.call('ps', {})).toContainEqual(expect.objectContaining({ name: again.name, status: 'idle' }))
  },
)
