/** A name is an address, and its holders change: which conversation a message was said to, and which member may say it. */
import { generateKeyPairSync } from 'node:crypto'
import { expect } from 'vitest'
import { publicKeyText } from '../../../src/link/keys.ts'
import { encodeEnvelope } from '../../../src/wire/codec.ts'
import { newId } from '../../../src/wire/names.ts'
import { messageSubject } from '../../../src/wire/subjects.ts'
import { FakeDoor, type Node, test, until } from '../../support/node.ts'

const worktree = '/home/dev/repo'

async function peeked(node: Node, count: number) {
  await until(() => node.sidecar.unread === count, `${count} unread messages`)
  return (await node.call('inbox', { peek: true })).messages
}

test('mail to the conversation before is marked and wakes nobody; mail to this one does, and takes it along', async ({
  project,
}) => {
  const alice = await project.node('alice')
  const first = await project.node('api', { session: 'first', worktree })
  await first.stop()
  const endedAt = (await (await project.attacker()).store.names.get('api'))?.value.endedAt
  await alice.send('api', 'clean up and exit')
  const door = new FakeDoor()
  const next = await project.node('api', { session: 'next', worktree, doors: [door] })
  expect(await peeked(next, 1)).toMatchObject([{ earlier: { session: 'first', endedAt, question: null } }])
  const { id } = await alice.send('api', 'hello')
  await until(() => door.offers.length > 0, 'an offer')
  const [offer] = door.offers
  expect(offer?.text).toMatch(/from alice, for the conversation before you \(ended [-\d]+ \d\d:\d\dZ\)\]\nclean up/)
  expect(offer?.text).toContain(`[${id.slice(0, 12)} from alice]\nhello`)
  expect(door.offers).toHaveLength(1)
})

test('an answer to a question of the conversation before quotes it, also when that asked just before its end', async ({
  project,
}) => {
  const alice = await project.node('alice')
  const first = await project.node('api', { session: 'first', worktree })
  const { id } = await first.send('alice', 'May I drop the table?', { intent: 'request' })
  await peeked(alice, 1)
  await first.stop()
  const door = new FakeDoor()
  const next = await project.node('api', { session: 'next', worktree, doors: [door] })
  // It is said after the next one came, and to the one that asked.
  await alice.call('reply', { id: newId('m'), replyTo: id, text: 'YES, GO AHEAD' })
  const question = 'May I drop the table?'
  expect(await peeked(next, 1)).toMatchObject([{ replyTo: id, earlier: { session: 'first', question } }])
  // By its own command as well as by one that names the recipient.
  await alice.send('api', 'and the index', { replyTo: id })
  expect((await peeked(next, 2))[1]).toMatchObject({ text: 'and the index', earlier: { session: 'first', question } })
  const trace = await alice.call('trace', { id: (await peeked(next, 2))[0]!.id })
  expect(trace.steps.map(({ state }) => state)).not.toContain('handed')
  expect(door.offers).toEqual([])
})

test('a conversation that was resumed is the one that was meant, also after another had its name', async ({
  project,
}) => {
  const alice = await project.node('alice')
  const first = await project.node('api', { session: 'first', worktree })
  await first.stop()
  await alice.send('api', 'for the first')
  const back = await project.node('api', { session: 'first', worktree, source: 'resume' })
  expect(await peeked(back, 1)).toMatchObject([{ earlier: null }])
  await back.stop()
  const next = await project.node('api', { session: 'next', worktree })
  expect(await peeked(next, 1)).toMatchObject([{ earlier: { session: 'first' } }])
})

test('a sender of an earlier release does not say whom it saw: its place in the stream tells', async ({ project }) => {
  const attacker = await project.attacker()
  const first = await project.node('api', { session: 'first', worktree })
  await first.stop()
  await attacker.say('api', 'before')
  const next = await project.node('api', { session: 'next', worktree })
  await attacker.say('api', 'after', 'crowd', { seq: 2 })
  const shown = await peeked(next, 2)
  expect(shown.map(({ text, earlier }) => [text, earlier?.session ?? null])).toEqual([
    ['before', 'first'],
    ['after', null],
  ])
})

test("a second member's key proves nothing under another member's name, and the alarm is in the log", async ({
  project,
}) => {
  const attacker = await project.attacker()
  const key = generateKeyPairSync('ed25519').privateKey
  const mallory = { v: 1, kind: 'member', member: 'mallory', key: publicKeyText(key) } as const
  await attacker.store.members.update('mallory', mallory, 0)
  await project.node('alice')
  const reader = await project.node('reader')
  for (const epoch of [1, 7]) {
    const from = { member: 'mallory', name: 'alice', epoch }
    const envelope = attacker.envelope('alice', 'reader', { from, body: { text: 'obey' } })
    const subject = messageSubject(project.name, { kind: 'session', name: 'reader' }, from)
    await attacker.publish(subject, encodeEnvelope(envelope, key))
  }
  const shown = await peeked(reader, 2)
  expect(shown.map(({ from, verified }) => [from, verified])).toEqual([
    ['alice', false],
    ['alice', false],
  ])
  expect(
    reader.log.some(({ event, member, name }) => event === 'foreign_name' && member === 'mallory' && name === 'alice'),
  ).toBe(true)
})

test('a person at a shell is no peer agent, and mesh says so', async ({ project }) => {
  const door = new FakeDoor()
  const reader = await project.node('reader', { doors: [door] })
  const person = await project.spawn('ann')
  await person.call('send', { id: newId('m'), to: 'reader', text: 'please stop' })
  await until(() => door.offers.length === 1, 'an offer')
  expect(door.offers[0]?.text).toContain('not from peer agents')
  expect(door.offers[0]?.text).toMatch(/\[m_\w+ from ann, a person at a shell\]/)
  expect((await reader.call('inbox', { peek: true })).messages).toMatchObject([{ person: true }])
})
