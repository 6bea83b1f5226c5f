/** Names of sessions: given, kept, resumed, lost and forgotten. */
import { expect } from 'vitest'
import { storeNames } from '../../../src/wire/subjects.ts'
import { test, until, WAIT } from '../../support/node.ts'
import { arrived, recordOf, WORKTREE } from './records.ts'

test('a name that a living session owns goes to no other', async ({ project }) => {
  const first = await project.node('api', { worktree: WORKTREE })
  const second = await project.node('api', { worktree: WORKTREE, session: 's2' })
  const third = await project.node('api', { worktree: '/elsewhere', session: 's3', explicit: true })
  expect([first.name, second.name, third.name]).toEqual(['api', 'api-2', 'api-3'])
  expect(second.harness.startText).toContain('api-2')
  expect(first.harness.startText).not.toContain('api-2')
  const { alice } = await project.nodes('alice')
  await alice.send('api-2', 'for the second')
  expect(await second.texts(1)).toEqual(['for the second'])
  await first.nothingElse()
})

test('ten sessions that start at once have ten names', async ({ project }) => {
  const nodes = await Promise.all(Array.from({ length: 10 }, (_, i) => project.node('api', { session: `s${i}` })))
  expect(new Set(nodes.map((node) => node.name)).size).toBe(10)
  expect(nodes.map((node) => node.sidecar.record.epoch)).toEqual(Array(10).fill(1))
})

test.for(['ends', 'dies'])(
  'when a session %s, the next of its worktree has its name, its unread mail and its topics',
  async (how, { project }) => {
    const alice = await project.node('alice')
    const api = await project.node('api', { worktree: WORKTREE })
    await api.call('topic_join', { topic: 'build' })
    await alice.send('api', 'read')
    await api.texts(1)
    for (const to of ['api', 'topic:build']) await alice.send(to, 'unread')
    await arrived(api, 2)
    await (how === 'ends' ? api.stop() : api.die())
    await alice.send('api', 'later')
    const next = await project.node('api', { worktree: WORKTREE, session: 'another' })
    expect(next.sidecar.record).toMatchObject({
      name: 'api',
      epoch: 2,
      session: 'another',
      previous: { session: 'session-api' },
      topics: [{ name: 'build' }],
    })
    expect(next.harness.startText).toContain('Its unread mail (3) is now yours')
    expect(await next.texts(3)).toEqual(['unread', 'unread', 'later'])
    await next.nothingElse()
  },
)

test('a name is not taken over from another worktree, unless it is asked for', async ({ project }) => {
  const api = await project.node('api', { worktree: WORKTREE })
  await api.die()
  const stranger = await project.node('api', { worktree: '/elsewhere', session: 's2' })
  expect(stranger.name).toBe('api-2')
  const asked = await project.node('api', { worktree: '/elsewhere', session: 's3', explicit: true })
  expect([asked.name, asked.sidecar.record.epoch]).toEqual(['api', 2])
})

test('a resumed conversation has its name again, whatever its branch is now', async ({ project }) => {
  const alice = await project.node('alice')
  const api = await project.node('api', { worktree: WORKTREE, session: 'talk' })
  await api.stop()
  await alice.send('api', 'while away')
  const back = await project.node('feature', { worktree: '/moved', session: 'talk' })
  expect(back.sidecar.record).toMatchObject({ name: 'api', epoch: 2, state: 'held', worktree: '/moved' })
  expect(back.sidecar.record).not.toHaveProperty('endedAt')
  expect(await back.texts(1)).toEqual(['while away'])
})

test('of two processes on one conversation the second gets another name, and is told so', async ({ project }) => {
  const first = await project.node('api', { session: 'talk' })
  const second = await project.node('api', { session: 'talk' })
  expect([first.name, second.name]).toEqual(['api', 'api-2'])
  expect(second.harness.startText).toContain('api-2')
  await first.send('api-2', 'to you')
  await second.send('api', 'to me')
  expect(await second.texts(1)).toEqual(['to you'])
  expect(await first.texts(1)).toEqual(['to me'])
})

test('a cleared conversation keeps name and mail, with and without its sidecar', async ({ project }) => {
  const alice = await project.node('alice')
  const api = await project.node('api', { session: 'talk' })
  await alice.send('api', 'unread')
  await arrived(api, 1)
  await api.harness.events.conversation({ sessionId: 'cleared', source: 'clear', cwd: '/home/dev/api' })
  expect(await recordOf(project, 'api')).toMatchObject({ session: 'cleared', epoch: 1 })
  await api.crash()
  const again = await project.node('api', { session: 'cleared again', process: api.process })
  expect(again.sidecar.record).toMatchObject({ name: 'api', session: 'cleared again', epoch: 1 })
  expect(await again.texts(1)).toEqual(['unread'])
})

test('mail to a name that is gone is kept, and the sender is told so', async ({ project }) => {
  const { alice, bob } = await project.nodes('alice', 'bob')
  await bob.stop()
  const sent = await alice.send('bob', 'when you are back')
  expect(sent).toMatchObject({
    state: 'stored',
    to: 'bob',
    note: expect.stringMatching(/bob is gone \(ended\).*waits/),
  })
  const again = await project.node('bob')
  expect(await again.texts(1)).toEqual(['when you are back'])
  await expect(alice.send('nobody', 'x')).rejects.toMatchObject({ code: 'not_found' })
})

test('a forgotten name is forgotten with its mail', async ({ project }) => {
  const { alice, bob } = await project.nodes('alice', 'bob')
  await alice.send('bob', 'read')
  await bob.texts(1)
  await alice.send('bob', 'unread')
  await arrived(bob, 1)
  await expect(alice.call('forget', { name: 'bob' })).rejects.toMatchObject({ code: 'conflict' })
  await bob.stop()
  await alice.send('bob', 'came later')
  expect(await alice.call('forget', { name: 'bob' })).toEqual({ name: 'bob', unread: 2 })
  await expect(alice.call('forget', { name: 'bob' })).rejects.toMatchObject({ code: 'not_found' })
  await expect(alice.call('alive', { name: 'bob' })).rejects.toMatchObject({ code: 'not_found' })
  const fresh = await project.node('bob', { session: 's2' })
  expect(fresh.sidecar.record).toMatchObject({ epoch: 1 })
  expect(fresh.sidecar.record).not.toHaveProperty('previous')
  await fresh.nothingElse()
})

test('the outbox of a forgotten session is sent', async ({ project }) => {
  const { alice, carol } = await project.nodes('alice', 'carol')
  const machine = await project.machine()
  const bob = await project.node('bob', { machine })
  machine.cable.cut()
  await until(() => !bob.sidecar.link.up, 'the cut is noticed')
  expect(await bob.send('alice', 'my last words')).toMatchObject({ state: 'queued' })
  await bob.die()
  const { store } = await project.attacker()
  const entry = await store.names.get('bob')
  await store.names.update('bob', { ...entry!.value, state: 'gone' }, entry!.revision)
  await carol.call('forget', { name: 'bob' })
  machine.cable.mend()
  await project.node('dave', { machine })
  expect(await alice.texts(1)).toEqual(['my last words'])
})

test('a session that lost its name while cut off takes another', async ({ project }) => {
  const alice = await project.node('alice')
  const machine = await project.machine()
  const late = await project.node('api', { machine, worktree: WORKTREE, session: 'late' })
  await alice.send('api', 'one')
  await late.texts(1)
  await alice.send('api', 'two')
  await arrived(late, 1)
  machine.cable.cut()
  await until(() => !late.sidecar.link.up, 'the cut is noticed')
  const { store } = await project.attacker()
  const entry = await store.names.get('api')
  await store.names.update('api', { ...entry!.value, state: 'gone' }, entry!.revision)
  const next = await project.node('api', { worktree: WORKTREE, session: 'next' })
  expect(next.sidecar.record).toMatchObject({ name: 'api', epoch: 2 })
  await arrived(next, 1)
  const before = await store.surfaced.get('api')
  // What it has it may show; that it did is nobody's word on the name any more.
  expect(await late.texts(1)).toEqual(['two'])
  await late.send('alice', 'who am I?')
  machine.cable.mend()
  await until(() => late.sidecar.link.up && late.name !== 'api', 'another name')
  expect(late.name).toBe('api-2')
  expect(await alice.messages(1)).toMatchObject([{ text: 'who am I?', from: 'api', verified: true }])
  expect(await store.surfaced.get('api')).toEqual(before)
  expect(await next.texts(1)).toEqual(['two'])
  await next.nothingElse()
  await arrived(late, 1)
  await alice.send('api-2', 'you are the second')
  const told = 'You are "api-2" on mesh now, no longer "api": mail sent to that name does not reach you any more.'
  expect(await late.texts(2)).toEqual([told, 'you are the second'])
})

test('a session that lost its name unnoticed does not write its successor’s surfaced record', async ({ project }) => {
  const alice = await project.node('alice')
  const machine = await project.machine()
  const late = await project.node('api', { machine, worktree: WORKTREE, session: 'late' })
  await alice.send('api', 'one')
  await arrived(late, 1)
  await late.process.kill()
  const next = await project.node('api', { worktree: WORKTREE, session: 'next' })
  await arrived(next, 1)
  expect(await late.texts(1)).toEqual(['one'])
  await until(() => late.logged('later owner').length > 0, 'the refusal')
  await next.crash()
  // Nobody's journal on this machine: what was read is what the engine says.
  const again = await project.node('api', { machine: await project.machine(), process: next.process, session: 'next' })
  expect(again.sidecar.record.epoch).toBe(2)
  expect(await again.texts(1)).toEqual(['one'])
})

test('read and unread mail are known on another machine', async ({ project }) => {
  const { alice, bob, carol } = await project.nodes('alice', 'bob', 'carol')
  await alice.send('bob', 'read')
  await bob.texts(1)
  await alice.send('bob', 'unread')
  await carol.send('bob', 'read before its turn')
  const waiting = bob.call('wait', { targets: ['carol'], until: 'message' })
  await bob.call('taken', { handover: (await waiting).handover! })
  await bob.stop()
  const elsewhere = await project.node('bob', { machine: await project.machine() })
  expect(elsewhere.sidecar.record.epoch).toBe(2)
  expect(await elsewhere.texts(1)).toEqual(['unread'])
  await elsewhere.nothingElse()
})

test('taking over a name leaves no consumer behind', async ({ project }) => {
  const machine = await project.machine()
  const late = await project.node('api', { machine, worktree: WORKTREE, session: 'late' })
  await late.process.kill()
  const next = await project.node('api', { worktree: WORKTREE, session: 'next' })
  await until(() => late.logged('mail not read').length > 0, 'its consumer is gone')
  machine.cable.cut()
  await until(() => !late.sidecar.link.up, 'the cut is noticed')
  machine.cable.mend()
  await until(() => late.sidecar.link.up && late.name !== 'api', 'another name')
  const { jsm } = await project.attacker()
  const consumers = () => jsm.consumers.list(storeNames(project.name).messages).next()
  const names = async () => (await consumers()).map((consumer) => consumer.name).sort()
  await expect.poll(names, WAIT).toEqual(['api-2', 'api-2-1'])
  expect([next.name, late.name]).toEqual(['api', 'api-2'])
})
