/** Large texts, which travel through the object store, and many messages for one who does not read. */
import { randomBytes } from 'node:crypto'
import { expect } from 'vitest'
import { limits } from '../../../src/wire/limits.ts'
import { newId } from '../../../src/wire/names.ts'
import { storeNames } from '../../../src/wire/subjects.ts'
import { type Node, test, WAIT } from '../../support/node.ts'

const KIB = 1024

/** Waits until so many messages are unread, without taking any. */
async function arrived(node: Node, count: number): Promise<void> {
  await expect.poll(() => node.sidecar.mailbox.inbox.size, WAIT).toBe(count)
}

/** The texts of a project's messages as the engine has them. */
async function storedTexts(project: Node['project']): Promise<string[]> {
  const { store } = await project.attacker()
  const { lastSeq } = await store.messagesState()
  const all = Array.from({ length: lastSeq }, (_, i) => store.messageAt(i + 1))
  return (await Promise.all(all)).map((stored) => JSON.parse(Buffer.from(stored!.data).toString()).body.text)
}

test.for([300 * KIB, limits.bodyBytes])('a text of %i bytes arrives whole', async (size, { project }) => {
  const { alice, bob } = await project.nodes('alice', 'bob')
  const text = randomBytes(size / 2).toString('hex')
  const { id } = await alice.send('bob', text)
  const [message] = await bob.messages(1)
  expect(message!.text === text).toBe(true)
  const again = await bob.call('inbox', { id })
  expect(again.messages[0]!.text === text).toBe(true)
  const { jsm } = await project.attacker()
  const { state } = await jsm.streams.info(`OBJ_${storeNames(project.name).objects}`)
  expect(state.consumer_count).toBe(0)
})

test('a text of many-byte characters at the limit of one message arrives whole', async ({ project }) => {
  const { alice, bob } = await project.nodes('alice', 'bob')
  const text = `${'\u0001'.repeat(limits.inlineBodyBytes - 4)}💬`
  await alice.send('bob', text)
  expect((await bob.texts(1))[0] === text).toBe(true)
})

test('a large text whose store lost it shows its beginning, and what comes behind it', async ({ project }) => {
  const { alice, bob } = await project.nodes('alice', 'bob')
  const attacker = await project.attacker()
  await alice.send('bob', `the beginning ${'x'.repeat(300 * KIB)}`)
  await arrived(bob, 1)
  await attacker.jsm.streams.purge(`OBJ_${storeNames(project.name).objects}`)
  const body = { object: 'a'.repeat(64), size: 1_000_000, preview: 'hand-made' }
  await attacker.say('bob', '', 'alice', { body })
  await alice.send('bob', 'behind it')
  await arrived(bob, 3)
  const texts = await bob.texts(3)
  expect(texts).toEqual([
    expect.stringMatching(/^the beginning x+\n.*no longer stored/),
    expect.stringMatching(/^hand-made\n.*no longer stored/),
    'behind it',
  ])
})

test('many large texts come in answers of bounded size', async ({ project }) => {
  const { alice, bob } = await project.nodes('alice', 'bob')
  for (let i = 0; i < 5; i++) await alice.send('bob', `${i}`.padEnd(limits.bodyBytes, 'x'))
  await arrived(bob, 5)
  const { messages, more, handover } = await bob.call('inbox', {})
  expect([messages.length, more]).toEqual([4, 1])
  await bob.call('taken', { handover: handover! })
  expect((await bob.messages(1)).map(({ text }) => text[0])).toEqual(['4'])
})

test('1,500 messages for a session that reads nothing are held within bounds and come in order', async ({
  project,
}) => {
  const { bob } = await project.nodes('bob')
  const attacker = await project.attacker()
  const texts = Array.from({ length: 1500 }, (_, i) => `number ${i}`)
  const say = (text: string) => attacker.say('bob', text, 'alice')
  for (let i = 0; i < texts.length; i += 100) await Promise.all(texts.slice(i, i + 100).map(say))
  await expect.poll(() => bob.sidecar.mailbox.inbox.size, WAIT).toBe(limits.unread)
  const order = (await storedTexts(project)).filter((text) => text.startsWith('number'))
  const read = await bob.texts(texts.length)
  expect(read).toEqual(order)
  expect(bob.sidecar.mailbox.inbox.size).toBe(0)
  await bob.nothingElse()
  expect((await bob.consumer()).num_redelivered).toBe(0)
})

test('an answer that is awaited is found behind more unread messages than are held otherwise', async ({ project }) => {
  const { alice, bob } = await project.nodes('alice', 'bob')
  const attacker = await project.attacker()
  const texts = Array.from({ length: 1200 }, (_, i) => `number ${i}`)
  const say = (text: string) => attacker.say('bob', text, 'carol')
  for (let i = 0; i < texts.length; i += 100) await Promise.all(texts.slice(i, i + 100).map(say))
  await expect.poll(() => bob.sidecar.mailbox.inbox.size, WAIT).toBe(limits.unread)
  const asked = bob.send('alice', 'still there?', { wait: 'reply', timeoutMs: WAIT.timeout })
  const [question] = await alice.messages(1)
  await alice.call('reply', { id: newId('m'), replyTo: question!.id, text: 'yes' })
  const { reply, handover } = await asked
  expect(reply?.text).toBe('yes')
  await bob.call('taken', { handover: handover! })
  expect(await bob.texts(texts.length)).toEqual(expect.arrayContaining(['number 0', 'number 1199']))
  expect(bob.sidecar.unread).toBe(0)
})
