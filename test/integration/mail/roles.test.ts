/** Messages to a role: one taker each, who was free, and another one only when the taker is gone and had not read. */
import { expect } from 'vitest'
import { FakeDoor, type Node, test, until, WAIT } from '../../support/node.ts'

/** Longer than a free member takes to pull a message. */
const PULL_MS = 300

async function join(role: string, ...nodes: Node[]): Promise<void> {
  for (const node of nodes) await node.call('role_add', { role })
}

/** Who has an unread message. */
function takers(...nodes: Node[]): string[] {
  return nodes.filter((node) => node.sidecar.unread > 0).map((node) => node.name)
}

async function takenBy(...nodes: Node[]): Promise<Node> {
  await until(() => takers(...nodes).length > 0, 'a taker')
  return nodes.find((node) => node.sidecar.unread > 0)!
}

test('a message to a role goes to one of its members', async ({ project }) => {
  const { alice, bob, carol, dave } = await project.nodes('alice', 'bob', 'carol', 'dave')
  await join('review', bob, carol, dave)
  expect(await alice.send('role:review', 'look at this')).toMatchObject({ state: 'stored', to: 'role:review' })
  const taker = await takenBy(bob, carol, dave)
  await new Promise((resolve) => setTimeout(resolve, PULL_MS))
  expect(takers(alice, bob, carol, dave)).toEqual([taker.name])
  expect(await taker.messages(1)).toMatchObject([{ text: 'look at this', to: 'role:review', repeat: false }])
})

test('thirty messages to a role are each taken once', async ({ project }) => {
  const { alice, bob, carol, dave } = await project.nodes('alice', 'bob', 'carol', 'dave')
  await join('review', bob, carol, dave)
  const texts = Array.from({ length: 30 }, (_, i) => `number ${i}`)
  await Promise.all(texts.map((text) => alice.send('role:review', text)))
  const taken: string[] = []
  const read = async (node: Node) => taken.push(...(await node.take()).map(({ text }) => text))
  await until(async () => {
    await Promise.all([bob, carol, dave].map(read))
    return taken.length >= texts.length
  }, 'all taken')
  expect(taken.sort()).toEqual(texts.sort())
})

test('a busy member pulls nothing, and takes it once it is idle', async ({ project }) => {
  const { alice, bob } = await project.nodes('alice', 'bob')
  await join('review', bob)
  bob.status('busy')
  // What it may have begun to pull goes back.
  await alice.send('role:review', 'when you have time')
  await alice.send('bob', 'something else')
  expect(await bob.texts(1)).toEqual(['something else'])
  await new Promise((resolve) => setTimeout(resolve, PULL_MS))
  expect(bob.sidecar.unread).toBe(0)
  bob.status('idle')
  expect(await bob.texts(1)).toEqual(['when you have time'])
})

test('a member with unread mail leaves the message to another', async ({ project }) => {
  const { alice, carol } = await project.nodes('alice', 'carol')
  const door = new FakeDoor()
  const bob = await project.node('bob', { doors: [door] })
  await alice.send('bob', 'unread')
  await until(() => door.offers.length === 1, 'the offer')
  await join('review', bob, carol)
  await alice.send('role:review', 'for the free one')
  expect(await carol.texts(1)).toEqual(['for the free one'])
  expect([bob.sidecar.unread, door.offers.length]).toEqual([1, 1])
})

test('a member that is read on demand takes what there is, and shows it at once', async ({ project }) => {
  const { alice, bob } = await project.nodes('alice', 'bob')
  await join('review', bob)
  for (const text of ['one', 'two', 'three']) await alice.send('role:review', text)
  await until(() => bob.sidecar.unread === 3, 'all three')
  expect((await bob.take()).map(({ text }) => text)).toEqual(['one', 'two', 'three'])
})

test('the sender of a role’s message never takes it: another member does, or it waits for one', async ({ project }) => {
  const { alice, bob } = await project.nodes('alice', 'bob')
  await join('review', alice)
  const note = 'nobody else has the role review now; the message waits for one who does'
  expect(await alice.send('role:review', 'alone')).toMatchObject({ state: 'stored', note })
  await new Promise((resolve) => setTimeout(resolve, PULL_MS))
  expect(alice.sidecar.unread).toBe(0)
  await join('review', bob)
  expect(await bob.texts(1)).toEqual(['alone'])
  const texts = Array.from({ length: 10 }, (_, i) => `number ${i}`)
  for (const text of texts) expect(await alice.send('role:review', text)).not.toHaveProperty('note')
  expect((await bob.texts(texts.length)).sort()).toEqual(texts.sort())
  await alice.nothingElse()
})

test('what a taker that is gone had not read does not come back to its sender', async ({ project }) => {
  const { alice, bob } = await project.nodes('alice', 'bob')
  await join('review', alice, bob)
  await alice.send('role:review', 'look at this')
  expect((await takenBy(alice, bob)).name).toBe('bob')
  await bob.stop()
  const carol = await project.node('carol')
  await join('review', carol)
  expect(await carol.texts(1)).toEqual(['look at this'])
  await alice.nothingElse()
})

test('a message to a role without members waits for the first', async ({ project }) => {
  const { alice, bob } = await project.nodes('alice', 'bob')
  await alice.send('role:review', 'anybody?')
  await join('review', bob)
  expect(await bob.texts(1)).toEqual(['anybody?'])
})

test('a session that left a role takes none of its messages', async ({ project }) => {
  const { alice, bob, carol } = await project.nodes('alice', 'bob', 'carol')
  await join('review', bob, carol)
  expect(await bob.call('role_rm', { role: 'review' })).toEqual({ name: 'review', members: ['carol'] })
  for (const text of ['one', 'two', 'three']) {
    await alice.send('role:review', text)
    expect(await carol.texts(1)).toEqual([text])
  }
  await bob.nothingElse()
  await expect(bob.call('role_rm', { role: 'review' })).rejects.toMatchObject({ code: 'not_found' })
  expect(await alice.call('role_list', {})).toEqual([{ name: 'review', members: ['carol'] }])
})

test.for(['ends', 'dies'])('when the taker %s without having read, another takes over', async (how, { project }) => {
  const { alice, bob, carol } = await project.nodes('alice', 'bob', 'carol')
  await join('review', bob, carol)
  const { id } = await alice.send('role:review', 'look at this')
  const first = await takenBy(bob, carol)
  const second = first === bob ? carol : bob
  await (how === 'ends' ? first.stop() : dieWitnessed(first))
  // It may have been shown there.
  expect(await second.messages(1)).toMatchObject([{ id, text: 'look at this', repeat: true }])
  const { store } = await project.attacker()
  await expect.poll(async () => (await store.takers.get(`review.${id}`))?.value.state, WAIT).toBe('surfaced')
})

/** Dies, and a witness tells: the witnesses of this file are in the same process, so the test is one. */
async function dieWitnessed(node: Node): Promise<void> {
  await node.die()
  const { store } = await node.project.attacker()
  const entry = await store.names.get(node.name)
  await store.names.update(node.name, { ...entry!.value, state: 'gone', reason: 'killed' }, entry!.revision)
}

test('what the taker read is not taken again when it ends', async ({ project }) => {
  const { alice, bob, carol } = await project.nodes('alice', 'bob', 'carol')
  await join('review', bob)
  const { id } = await alice.send('role:review', 'look at this')
  expect(await bob.texts(1)).toEqual(['look at this'])
  const { store } = await project.attacker()
  await expect.poll(async () => (await store.takers.get(`review.${id}`))?.value.state, WAIT).toBe('surfaced')
  await join('review', carol)
  await bob.stop()
  await alice.send('role:review', 'the next')
  expect(await carol.texts(1)).toEqual(['the next'])
  await carol.nothingElse()
})

test('a taker that comes back has it still', async ({ project }) => {
  const { alice, bob } = await project.nodes('alice', 'bob')
  await join('review', bob)
  await alice.send('role:review', 'look at this')
  await takenBy(bob)
  await bob.crash()
  const again = await project.node('bob', { process: bob.process })
  expect(await again.texts(1)).toEqual(['look at this'])
  await again.nothingElse()
})

test('a taker that ended and comes back does not read what another took over', async ({ project }) => {
  const { alice, bob } = await project.nodes('alice', 'bob')
  await join('review', bob)
  await alice.send('role:review', 'look at this')
  await takenBy(bob)
  await bob.stop()
  const carol = await project.node('carol')
  await join('review', carol)
  expect(await carol.texts(1)).toEqual(['look at this'])
  const again = await project.node('bob')
  await again.nothingElse()
})

test('a role’s message from before what a session has read is not lost on it', async ({ project }) => {
  const { alice, bob } = await project.nodes('alice', 'bob')
  await join('review', bob)
  bob.status('busy')
  await until(() => bob.sidecar.courier.status === 'busy', 'busy')
  await alice.send('role:review', 'older')
  await alice.send('bob', 'newer')
  expect(await bob.texts(1)).toEqual(['newer'])
  await bob.stop()
  const again = await project.node('bob')
  expect(await again.texts(1)).toEqual(['older'])
})

test('a message whose taker failed to note it comes to that taker', async ({ project }) => {
  const { alice, bob } = await project.nodes('alice', 'bob')
  await join('review', bob)
  bob.status('busy')
  const { id } = await alice.send('role:review', 'look at this')
  const { store } = await project.attacker()
  // As if it had taken the message and then died before its journal had it.
  const taker = { v: 1, kind: 'taker', name: 'bob', epoch: 1, seq: 1, state: 'taken' } as const
  expect(await store.takers.update(`review.${id}`, taker, 0)).not.toBe(null)
  bob.status('idle')
  expect(await bob.texts(1)).toEqual(['look at this'])
})

test('a session and a role of the same name do not interfere', async ({ project }) => {
  const alice = await project.node('alice')
  const bob = await project.node('role-review')
  await join('review-1', alice)
  await bob.send('role:review-1', 'to the role')
  await alice.send('role-review', 'to the session')
  expect(await alice.texts(1)).toEqual(['to the role'])
  expect(await bob.texts(1)).toEqual(['to the session'])
})
