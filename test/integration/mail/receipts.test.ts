/** What a sender is told of its message, when, and by whom. */
import { expect } from 'vitest'
import { newId } from '../../../src/wire/names.ts'
import { receiptSubject } from '../../../src/wire/subjects.ts'
import { FakeDoor, type Node, test, until, WAIT } from '../../support/node.ts'

type Steps = { state: string; by: string; evidence: string }[]

async function steps(node: Node, id: string): Promise<Steps> {
  const trace = await node.call('trace', { id })
  return trace.steps.map(({ state, by, evidence }) => ({ state, by, evidence }))
}

async function states(node: Node, id: string): Promise<string[]> {
  return (await steps(node, id)).map(({ state }) => state)
}

test('a sender may wait until its message is delivered, and until it was read', async ({ project }) => {
  const { alice, bob } = await project.nodes('alice', 'bob')
  expect(await alice.send('bob', 'one', { wait: 'stored' })).toMatchObject({ state: 'stored' })
  expect(await alice.send('bob', 'two', { wait: 'delivered' })).toMatchObject({ state: 'delivered' })
  let done = false
  const surfaced = alice.send('bob', 'three', { wait: 'surfaced' }).finally(() => {
    done = true
  })
  await until(() => bob.sidecar.unread === 3, 'all delivered')
  expect(done).toBe(false)
  expect(await bob.texts(3)).toEqual(['one', 'two', 'three'])
  expect(await surfaced).toMatchObject({ state: 'surfaced', to: 'bob' })
})

test('a trace shows each step in order, with its evidence', async ({ project }) => {
  const door = new FakeDoor()
  const alice = await project.node('alice')
  const bob = await project.node('bob', { doors: [door] })
  const { id } = await alice.send('bob', 'one')
  await until(() => door.offers.length === 1, 'the offer')
  bob.harness.events.evidence(door.offers[0]!.token, 'handed', 'the client enqueued it')
  bob.harness.events.evidence(door.offers[0]!.token, 'surfaced', 'the transcript has it')
  await bob.call('reply', { id: newId('m'), replyTo: id, text: 'thanks' })
  const expected = [
    { state: 'queued', by: 'alice', evidence: 'in the outbox of its sender' },
    { state: 'stored', by: 'engine', evidence: 'position 1 of the stream' },
    { state: 'delivered', by: 'bob', evidence: expect.stringContaining('journal') },
    { state: 'handed', by: 'bob', evidence: 'the client enqueued it' },
    { state: 'surfaced', by: 'bob', evidence: 'the transcript has it' },
    { state: 'replied', by: 'bob', evidence: expect.stringMatching(/^answered: m_[0-9a-f]{32}$/) },
  ]
  await expect.poll(() => steps(alice, id), WAIT).toEqual(expected)
  expect(await steps(alice, id.slice(0, 12))).toEqual(expected)
})

test('a message that a command printed was read when the command says so', async ({ project }) => {
  const { alice, bob } = await project.nodes('alice', 'bob')
  const { id } = await alice.send('bob', 'one', { wait: 'delivered' })
  const { handover } = await bob.call('inbox', {})
  expect(await states(alice, id)).toEqual(['queued', 'stored', 'delivered'])
  await bob.call('taken', { handover: handover! })
  await expect.poll(() => states(alice, id), WAIT).toEqual(['queued', 'stored', 'delivered', 'surfaced'])
})

test('a message to one who is away has its states when that one is back', async ({ project }) => {
  const { alice, bob } = await project.nodes('alice', 'bob')
  await bob.stop()
  const delivered = alice.send('bob', 'one', { wait: 'delivered' })
  const surfaced = alice.send('bob', 'two', { wait: 'surfaced' })
  const short = alice.send('bob', 'three', { wait: 'delivered', timeoutMs: 50 })
  await expect(short).rejects.toMatchObject({ code: 'timeout', message: expect.stringMatching(/is stored but not/) })
  const again = await project.node('bob')
  expect(await delivered).toMatchObject({ state: 'delivered' })
  expect(await again.texts(3)).toHaveLength(3)
  expect(await surfaced).toMatchObject({ state: 'surfaced' })
})

test('a sender that was away learns what became of its message', async ({ project }) => {
  const { alice, bob } = await project.nodes('alice', 'bob')
  const { id } = await alice.send('bob', 'one')
  await alice.crash()
  await bob.texts(1)
  const again = await project.node('alice', { process: alice.process })
  await expect.poll(() => states(again, id), WAIT).toEqual(['queued', 'stored', 'delivered', 'surfaced'])
})

test('mail read while the reader was cut off is reported when it is back', async ({ project }) => {
  const alice = await project.node('alice')
  const machine = await project.machine()
  const bob = await project.node('bob', { machine })
  const surfaced = alice.send('bob', 'one', { wait: 'surfaced' })
  await until(() => bob.sidecar.unread === 1, 'the message')
  machine.cable.cut()
  await until(() => !bob.sidecar.link.up, 'the cut is noticed')
  expect(await bob.texts(1)).toEqual(['one'])
  machine.cable.mend()
  expect(await surfaced).toMatchObject({ state: 'surfaced' })
})

test('a sender that was cut off while it waited hears what happened meanwhile', async ({ project }) => {
  const bob = await project.node('bob')
  const machine = await project.machine()
  const alice = await project.node('alice', { machine })
  const surfaced = alice.send('bob', 'one', { wait: 'surfaced' })
  await until(() => bob.sidecar.unread === 1, 'the message')
  machine.cable.cut()
  await until(() => !alice.sidecar.link.up, 'the cut is noticed')
  await bob.texts(1)
  machine.cable.mend()
  expect(await surfaced).toMatchObject({ state: 'surfaced' })
})

test('a message that was queued while the engine was away is stored later', async ({ project }) => {
  const bob = await project.node('bob')
  const machine = await project.machine()
  const alice = await project.node('alice', { machine })
  machine.cable.cut()
  await until(() => !alice.sidecar.link.up, 'the cut is noticed')
  const { id, state } = await alice.send('bob', 'one')
  expect(state).toBe('queued')
  const delivered = alice.send('bob', 'two', { wait: 'delivered' })
  machine.cable.mend()
  expect(await delivered).toMatchObject({ state: 'delivered' })
  expect(await bob.texts(2)).toEqual(['one', 'two'])
  await expect.poll(() => states(alice, id), WAIT).toEqual(['queued', 'stored', 'delivered', 'surfaced'])
})

test('a question has its answer, whoever else waits', async ({ project }) => {
  const { alice, bob } = await project.nodes('alice', 'bob')
  const other = alice.call('wait', { targets: [] })
  const asked = alice.send('bob', 'how far are you?', { wait: 'reply', thread: 'release' })
  const [question] = await bob.messages(1)
  expect(question).toMatchObject({ intent: 'request', thread: 'release' })
  await bob.call('reply', { id: newId('m'), replyTo: question!.id, text: 'half way' })
  const { state, reply, handover } = await asked
  expect([state, reply]).toMatchObject(['replied', { text: 'half way', replyTo: question!.id, thread: 'release' }])
  expect(await alice.call('taken', { handover: handover! })).toEqual({ surfaced: 1 })
  await bob.send('alice', 'by the way')
  expect((await other).results).toMatchObject([{ text: 'by the way' }])
})

test('the sender of a message to a topic or @all is told who read it', async ({ project }) => {
  const { alice, bob, carol } = await project.nodes('alice', 'bob', 'carol')
  for (const node of [bob, carol]) await node.call('topic_join', { topic: 'build' })
  for (const to of ['topic:build', '@all']) {
    const { id } = await alice.send(to, 'red')
    await bob.texts(1)
    await carol.texts(1)
    const readers = async () => (await steps(alice, id)).map(({ state, by }) => `${state} ${by}`).sort()
    await expect.poll(readers, WAIT).toEqual(['queued alice', 'stored engine', 'surfaced bob', 'surfaced carol'])
  }
})

test('a reader can trace what it was sent', async ({ project }) => {
  const { alice, bob } = await project.nodes('alice', 'bob')
  const { id } = await alice.send('bob', 'one', { wait: 'delivered' })
  expect(await states(bob, id)).toEqual(['stored', 'delivered'])
  await expect(bob.call('trace', { id: newId('m') })).rejects.toMatchObject({ code: 'not_found' })
})

test('a made-up receipt that contradicts itself is not believed', async ({ project }) => {
  const { alice, bob } = await project.nodes('alice', 'bob')
  const attacker = await project.attacker()
  const { id } = await alice.send('bob', 'one', { wait: 'delivered' })
  const by = { member: 'local', name: 'bob', epoch: 1 }
  const told = { v: 1, kind: 'receipt', id, state: 'surfaced', at: new Date().toISOString(), by, evidence: 'none' }
  const subject = (state: string, name = 'bob') => receiptSubject(project.name, 'alice', id, state, { ...by, name })
  await attacker.publish(subject('surfaced'), 'garbage')
  await attacker.publish(subject('surfaced'), JSON.stringify({ ...told, v: 2 }))
  await attacker.publish(subject('surfaced', 'carol'), JSON.stringify(told))
  await attacker.publish(subject('handed'), JSON.stringify(told))
  await attacker.publish(subject('surfaced'), JSON.stringify({ ...told, id: newId('m') }))
  expect(await states(alice, id)).toEqual(['queued', 'stored', 'delivered'])
  await bob.texts(1)
  await expect.poll(() => states(alice, id), WAIT).toEqual(['queued', 'stored', 'delivered', 'surfaced'])
})
