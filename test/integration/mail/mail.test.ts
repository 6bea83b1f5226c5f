/** Who reads which message, how it is handed over, and what happens when the reader does not say that it read. */
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { connect } from 'node:net'
import { expect } from 'vitest'
import { newId } from '../../../src/wire/names.ts'
import { FakeDoor, Node, test, until, WAIT } from '../../support/node.ts'

/** What the sidecar waits for `taken`, and then some. */
const UNCONFIRMED = { timeout: 120_000, interval: 100 }

test('messages of one sender arrive in their order', async ({ project }) => {
  const { alice, bob } = await project.nodes('alice', 'bob')
  const texts = Array.from({ length: 50 }, (_, i) => `number ${i}`)
  for (const text of texts) void alice.send('bob', text)
  expect(await bob.texts(texts.length)).toEqual(texts)
  await bob.nothingElse()
})

test('a topic is read from joining on, by everybody else who joined', async ({ project }) => {
  const { alice, bob, carol } = await project.nodes('alice', 'bob', 'carol')
  await alice.send('topic:build', 'before anybody joined')
  await bob.call('topic_join', { topic: 'build' })
  expect(await alice.call('topic_join', { topic: 'build' })).toEqual({ name: 'build', members: ['alice', 'bob'] })
  await alice.send('topic:build', 'red')
  await bob.send('topic:build', 'green again')
  expect(await bob.messages(1)).toMatchObject([{ from: 'alice', to: 'topic:build', text: 'red', verified: true }])
  expect(await alice.texts(1)).toEqual(['green again'])
  for (const node of [alice, bob, carol]) await node.nothingElse()
})

test('a topic that was left is not read, and read again only from the return on', async ({ project }) => {
  const { alice, bob } = await project.nodes('alice', 'bob')
  await bob.call('topic_join', { topic: 'build' })
  await alice.send('topic:build', 'one')
  expect(await bob.texts(1)).toEqual(['one'])
  expect(await bob.call('topic_leave', { topic: 'build' })).toEqual({ name: 'build', members: [] })
  await alice.send('topic:build', 'two')
  await bob.nothingElse()
  await bob.call('topic_join', { topic: 'build' })
  await alice.send('topic:build', 'three')
  expect(await bob.texts(1)).toEqual(['three'])
  await bob.nothingElse()
  await expect(alice.call('topic_leave', { topic: 'build' })).rejects.toMatchObject({ code: 'not_found' })
})

test('a topic’s mail waits for a member that is away', async ({ project }) => {
  const { alice, bob } = await project.nodes('alice', 'bob')
  await bob.call('topic_join', { topic: 'build' })
  await bob.stop()
  await alice.send('topic:build', 'while bob was away')
  const again = await project.node('bob')
  expect(await again.texts(1)).toEqual(['while bob was away'])
})

test('the first look into the inbox shows all that came while the session was away', async ({ project }) => {
  const { alice, bob } = await project.nodes('alice', 'bob')
  await bob.stop()
  const texts = Array.from({ length: 100 }, (_, i) => `number ${i} ${'x'.repeat(8000)}`)
  await Promise.all(texts.map((text) => alice.send('bob', text)))
  const again = new Node(project, 'bob', {})
  const started = again.start()
  await until(() => existsSync(again.socket), 'its socket')
  expect((await again.take()).map(({ text }) => text).sort()).toEqual(texts.sort())
  await started
  await again.stop()
})

test('an answer is the first thing that a session says which was away when the question came', async ({ project }) => {
  const { alice, bob } = await project.nodes('alice', 'bob')
  await bob.stop()
  const { id: question } = await alice.send('bob', 'which port?')
  const again = new Node(project, 'bob', {})
  const started = again.start()
  await until(() => existsSync(again.socket), 'its socket')
  const answer = { replyTo: question, text: '8080' }
  expect(await again.call('reply', { id: newId('m'), ...answer })).toMatchObject({ to: 'alice' })
  expect(await alice.texts(1)).toEqual(['8080'])
  await started
  await again.stop()
})

test('@all reaches every other session, and none that comes later', async ({ project }) => {
  const { alice, bob, carol } = await project.nodes('alice', 'bob', 'carol')
  await alice.send('@all', 'lunch')
  for (const node of [bob, carol]) expect(await node.texts(1)).toEqual(['lunch'])
  const dave = await project.node('dave')
  for (const node of [alice, bob, dave]) await node.nothingElse()
})

test.concurrent(
  'mail whose showing was not confirmed comes again, marked',
  UNCONFIRMED,
  async ({ project, expect }) => {
    const { alice, bob, carol } = await project.nodes('alice', 'bob', 'carol')
    for (const to of ['bob', 'carol']) await alice.send(to, 'read me')
    const [message] = await arrived(bob)
    const { messages } = await bob.call('inbox', {})
    expect(messages).toMatchObject([{ id: message!.id, repeat: false }])
    // One that says so has it once.
    expect(await carol.texts(1)).toEqual(['read me'])
    expect(await bob.call('inbox', {})).toEqual({ messages: [], more: 1 })
    expect(await carol.call('inbox', {})).toEqual({ messages: [], more: 0 })
    await expect.poll(() => bob.sidecar.mailbox.inbox.deliverable().length, UNCONFIRMED).toBe(1)
    expect(await bob.messages(1)).toMatchObject([{ id: message!.id, text: 'read me', repeat: true }])
    for (const node of [bob, carol]) await node.nothingElse()
  },
)

test.concurrent(
  'mail given to a waiting call that died comes again, marked',
  UNCONFIRMED,
  async ({ project, expect }) => {
    const { alice, bob } = await project.nodes('alice', 'bob')
    const waiter = connect(bob.socket)
    waiter.write('POST /v0/wait HTTP/1.1\r\nhost: x\r\ncontent-length: 14\r\n\r\n{"targets":[]}')
    await alice.send('bob', 'read me')
    expect(String((await once(waiter, 'data'))[0])).toContain('200 OK')
    waiter.destroy()
    await expect.poll(() => bob.sidecar.mailbox.inbox.deliverable().length, UNCONFIRMED).toBe(1)
    expect(await bob.messages(1)).toMatchObject([{ text: 'read me', repeat: true }])
    await bob.nothingElse()
  },
)

test('mail that was being shown when the sidecar died comes again, marked', async ({ project }) => {
  const { alice, bob } = await project.nodes('alice', 'bob')
  await alice.send('bob', 'shown?')
  await arrived(bob)
  await bob.call('inbox', {})
  await alice.send('bob', 'not shown')
  await arrived(bob, 2)
  await bob.crash()
  const again = await project.node('bob', { process: bob.process })
  expect(again.sidecar.record.epoch).toBe(1)
  expect(await again.messages(2)).toMatchObject([
    { text: 'shown?', repeat: true },
    { text: 'not shown', repeat: false },
  ])
})

test('what was read is not shown after a crash or a return', async ({ project }) => {
  const { alice, bob } = await project.nodes('alice', 'bob')
  await alice.send('bob', 'once')
  await bob.texts(1)
  await bob.crash()
  const second = await project.node('bob', { process: bob.process })
  await second.nothingElse()
  await second.stop()
  const third = await project.node('bob')
  expect(third.sidecar.record.epoch).toBe(2)
  await third.nothingElse()
})

test('peeking takes nothing', async ({ project }) => {
  const { alice, bob } = await project.nodes('alice', 'bob')
  await alice.send('bob', 'one')
  await alice.send('bob', 'two')
  await arrived(bob, 2)
  for (const limit of [1, 2, 100]) {
    const { messages, more, handover } = await bob.call('inbox', { peek: true, limit })
    expect([messages.length, more, handover]).toEqual([Math.min(limit, 2), Math.max(0, 2 - limit), undefined])
  }
  expect(await bob.texts(2)).toEqual(['one', 'two'])
})

test('a message can be read again by its id', async ({ project }) => {
  const { alice, bob } = await project.nodes('alice', 'bob')
  const { id } = await alice.send('bob', 'again and again')
  await bob.texts(1)
  for (const asked of [id, id.slice(0, 12)]) {
    const { messages, more } = await bob.call('inbox', { id: asked })
    expect([messages, more]).toMatchObject([[{ id, text: 'again and again', verified: true }], 0])
  }
  await bob.nothingElse()
  const unknown = { code: 'not_found' }
  await expect(bob.call('inbox', { id: `m_${'0'.repeat(32)}` })).rejects.toMatchObject(unknown)
  await expect(bob.call('inbox', { id: 'm_nothex' })).rejects.toMatchObject({ code: 'bad_request' })
})

test('a waiting call takes the message, and no other door shows it', async ({ project }) => {
  const door = new FakeDoor()
  const alice = await project.node('alice')
  const bob = await project.node('bob', { doors: [door] })
  const waiting = bob.call('wait', { targets: [] })
  await expect.poll(() => bob.sidecar.link.up, WAIT).toBe(true)
  await alice.send('bob', 'for the waiter')
  const { results, handover } = await waiting
  expect(results).toMatchObject([{ text: 'for the waiter', repeat: false }])
  expect(await bob.call('taken', { handover: handover! })).toEqual({ surfaced: 1 })
  expect(await bob.call('taken', { handover: handover! })).toEqual({ surfaced: 0 })
  expect(door.offers).toEqual([])
})

test('a cancelled wait takes no mail', async ({ project }) => {
  const { alice, bob } = await project.nodes('alice', 'bob')
  for (let round = 0; round < 5; round++) {
    const dropped = new AbortController()
    const waits = [1, 2, 3].map(() => bob.call('wait', { targets: [] }, { signal: dropped.signal }).catch(() => null))
    await bob.call('whoami', {})
    dropped.abort()
    await Promise.all([alice.send('bob', `round ${round}`), ...waits])
    expect(await bob.messages(1)).toMatchObject([{ text: `round ${round}`, repeat: false }])
  }
  await bob.nothingElse()
})

test('wait for one session’s mail leaves the others’', async ({ project }) => {
  const { alice, bob, carol } = await project.nodes('alice', 'bob', 'carol')
  const waiting = bob.call('wait', { targets: ['carol'], until: 'message' })
  await alice.send('bob', 'from alice')
  await arrived(bob)
  await carol.send('bob', 'from carol')
  expect((await waiting).results).toMatchObject([{ text: 'from carol' }])
  expect(await bob.texts(1)).toEqual(['from alice'])
})

test('a wait in which nothing came ends in time', async ({ project }) => {
  const { bob } = await project.nodes('bob')
  await expect(bob.call('wait', { targets: [], timeoutMs: 20 })).rejects.toMatchObject({ code: 'timeout' })
  await bob.nothingElse()
})

test('a door that is open gets what waits, and evidence settles it', async ({ project }) => {
  const door = new FakeDoor()
  const alice = await project.node('alice')
  const bob = await project.node('bob', { doors: [door] })
  await alice.send('bob', 'wake up')
  await expect.poll(() => door.offers.length, WAIT).toBe(1)
  const [{ text, token }] = door.offers as [{ text: string; token: string }]
  expect(text).toContain('wake up')
  expect(text).toContain(token.replace('mesh-', ''))
  expect(bob.sidecar.unread).toBe(1)
  bob.harness.events.evidence(token, 'surfaced', 'the transcript has it')
  expect(bob.sidecar.unread).toBe(0)
})

test('one hand-over is in flight; what comes meanwhile goes together in the next', async ({ project }) => {
  const door = new FakeDoor()
  const alice = await project.node('alice')
  const bob = await project.node('bob', { doors: [door] })
  await alice.send('bob', 'first')
  await expect.poll(() => door.offers.length, WAIT).toBe(1)
  bob.harness.events.evidence(door.offers[0]!.token, 'handed', 'enqueued')
  for (const text of ['second', 'third']) await alice.send('bob', text)
  await arrived(bob, 3)
  expect(door.offers).toHaveLength(1)
  bob.harness.events.evidence(door.offers[0]!.token, 'surfaced', 'shown')
  await expect.poll(() => door.offers.length, WAIT).toBe(2)
  expect(door.offers[1]!.text).toMatch(/second.*third/s)
})

/** Waits until so many messages are unread, without taking any. */
async function arrived(node: Node, count = 1) {
  await expect.poll(() => node.sidecar.mailbox.inbox.size, WAIT).toBe(count)
  return node.sidecar.mailbox.inbox.unread().map(({ envelope }) => envelope)
}
