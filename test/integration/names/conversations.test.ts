/** What becomes of names and mail when conversations are cleared, resumed, forked and opened twice. */
import { expect } from 'vitest'
import type { NameRecord } from '../../../src/wire/envelope.schema.ts'
import { type Node, type Project, test, until } from '../../support/node.ts'

const WORKTREE = '/home/dev/repo'
const cwd = WORKTREE

async function recordOf(project: Project, name: string): Promise<NameRecord | undefined> {
  const { store } = await project.attacker()
  return (await store.names.get(name))?.value
}

async function arrived(node: Node, count: number): Promise<void> {
  await until(() => node.sidecar.unread === count, `${count} unread messages`)
}

test('a session that comes back has its name and mail, and reads so in its start text', async ({ project }) => {
  const alice = await project.node('alice')
  const api = await project.node('api', { session: 'talk', worktree: WORKTREE })
  await api.stop()
  await alice.send('api', 'while away')
  const back = await project.node('api', { session: 'talk', worktree: WORKTREE, source: 'resume' })
  expect(back.name).toBe('api')
  expect(back.harness.startText).toContain('Unread messages: 1. They waited for your return.')
  expect(await back.texts(1)).toEqual(['while away'])
})

test('a conversation whose name was taken over gets another, and is told who has it', async ({ project }) => {
  const alice = await project.node('alice')
  const first = await project.node('api', { session: 'first', worktree: WORKTREE })
  await first.stop()
  await alice.send('api', 'while away')
  const next = await project.node('api', { session: 'next', worktree: WORKTREE })
  expect(next.harness.startText).toContain('The name was that of session first, which has ended.')
  const back = await project.node('api', { session: 'first', worktree: WORKTREE, source: 'resume' })
  expect(back.name).toBe('api-2')
  expect(back.harness.startText).toContain('Your name before, "api", and mail sent to it are another session\'s now.')
  expect(await next.texts(1)).toEqual(['while away'])
  await back.nothingElse()
  // Which it has again once the other one has ended.
  await back.stop()
  await next.stop()
  const again = await project.node('api', { session: 'next', worktree: WORKTREE, source: 'resume' })
  expect(again.name).toBe('api')
})

test('of two processes on one conversation each keeps its own name and mail to the end', async ({ project }) => {
  const alice = await project.node('alice')
  const first = await project.node('api', { session: 'talk', worktree: WORKTREE })
  const second = await project.node('api', { session: 'talk', worktree: WORKTREE, source: 'resume' })
  expect(second.harness.startText).toContain('This conversation is open in another process too, as "api".')
  await first.stop()
  await alice.send('api', 'to the first')
  await second.crash()
  const restarted = await project.node('api', {
    session: 'talk',
    worktree: WORKTREE,
    source: 'resume',
    process: second.process,
  })
  expect([restarted.name, restarted.sidecar.record.epoch]).toEqual(['api-2', 1])
  await alice.send('api-2', 'to the second')
  expect(await restarted.texts(1)).toEqual(['to the second'])
  await restarted.stop()
  const back = await project.node('api', { session: 'talk', worktree: WORKTREE, source: 'resume' })
  expect(back.name).toBe('api')
  expect(await back.texts(1)).toEqual(['to the first'])
})

test('a conversation resumed in a process that had another has its own name and mail', async ({ project }) => {
  const alice = await project.node('alice')
  const web = await project.node('web', { session: 'there', worktree: WORKTREE })
  await web.call('topic_join', { topic: 'build' })
  await web.stop()
  const api = await project.node('api', { session: 'here', worktree: WORKTREE })
  for (const to of ['web', 'api', 'topic:build']) await alice.send(to, `to ${to}`)
  await arrived(api, 1)
  await api.harness.begins({ sessionId: 'there', source: 'resume', cwd })
  expect(api.harness.startText).toMatch(/You are "web".*\n.*Unread messages: 2\. They waited/)
  expect(await api.texts(2)).toEqual(['to web', 'to topic:build'])
  expect(await recordOf(project, 'web')).toMatchObject({ session: 'there', epoch: 2, state: 'held' })
  expect(await recordOf(project, 'api')).toMatchObject({ session: 'here', epoch: 1, state: 'gone' })
  expect((await alice.call('alive', { name: 'api' })).status).toBe('gone')
  expect((await api.call('whoami', {})).name).toBe('web')
  // What it left waits for it.
  await api.harness.begins({ sessionId: 'here', source: 'resume', cwd })
  expect(await api.texts(1)).toEqual(['to api'])
  expect(await recordOf(project, 'web')).toMatchObject({ state: 'gone' })
  await alice.send('api', 'still there?')
  expect(await api.texts(1)).toEqual(['still there?'])
})

test('a conversation without a name that is resumed goes on under that of the process', async ({ project }) => {
  const api = await project.node('api', { session: 'here', worktree: WORKTREE })
  await api.harness.begins({ sessionId: 'cleared', source: 'clear', cwd })
  await api.harness.begins({ sessionId: 'here', source: 'resume', cwd })
  expect(await recordOf(project, 'api')).toMatchObject({ session: 'here', epoch: 1, earlier: ['cleared'] })
  // The other one, opened by itself, learns who has its name.
  const cleared = await project.node('api', { session: 'cleared', worktree: WORKTREE, source: 'resume' })
  expect(cleared.name).toBe('api-2')
  expect(cleared.harness.startText).toContain('Your name before, "api"')
})

test('a conversation that is open in another process leaves that one its name', async ({ project }) => {
  const alice = await project.node('alice')
  const web = await project.node('web', { session: 'there', worktree: WORKTREE })
  const api = await project.node('api', { session: 'here', worktree: WORKTREE })
  await api.harness.begins({ sessionId: 'there', source: 'resume', cwd })
  expect(api.harness.startText).toContain('You are "api"')
  expect(api.harness.startText).toContain('open in another process too, as "web".')
  for (const to of ['web', 'api']) await alice.send(to, `to ${to}`)
  expect([await web.texts(1), await api.texts(1)]).toEqual([['to web'], ['to api']])
})

test('a switch of conversations while the engine was away is caught up', async ({ project }) => {
  const machine = await project.machine()
  const web = await project.node('web', { session: 'there', worktree: WORKTREE, machine })
  await web.stop()
  const api = await project.node('api', { session: 'here', worktree: WORKTREE, machine })
  machine.cable.cut()
  await until(() => !api.sidecar.link.up, 'the cut is noticed')
  await api.harness.begins({ sessionId: 'there', source: 'resume', cwd })
  expect(api.harness.startText).toContain('engine is not reachable')
  machine.cable.mend()
  await until(async () => (await recordOf(project, 'web'))?.state === 'held', 'the name is claimed')
  await until(async () => (await recordOf(project, 'api'))?.state === 'gone', 'the other is let go')
  const alice = await project.node('alice')
  await arrived(api, 1)
  await alice.send('web', 'hello')
  expect(await api.texts(2)).toEqual([expect.stringContaining('You are "web" on mesh now, no longer "api"'), 'hello'])
})

test('a sidecar that dies between two names gives up the first', async ({ project }) => {
  const api = await project.node('api', { session: 'here', worktree: WORKTREE })
  await api.crash()
  const { store } = await project.attacker()
  const { value } = (await store.names.get('api'))!
  await store.names.update('web', { ...value, name: 'web', session: 'there' }, 0)
  const again = await project.node('api', {
    session: 'there',
    worktree: WORKTREE,
    source: 'resume',
    process: api.process,
  })
  expect(again.name).toBe('web')
  expect(await recordOf(project, 'api')).toMatchObject({ state: 'gone', reason: 'resumed another conversation' })
})

test.for([
  ['lives', false],
  ['has ended', false],
  ['has ended', true],
] as const)('a fork has a name of its own while its parent %s (early: %s)', async ([how, early], { project }) => {
  const alice = await project.node('alice')
  const parent = await project.node('api', { session: 'parent', worktree: WORKTREE })
  await alice.send('api', 'to the parent')
  await arrived(parent, 1)
  if (how === 'has ended') await parent.stop()
  const fork = await project.node('api', { session: 'fork', worktree: WORKTREE, source: 'fork', early })
  expect(fork.name).toBe('api-2')
  await until(() => fork.harness.startText !== '', 'the start text')
  expect(fork.harness.startText).toContain('The name "api" is held by another session.')
  await fork.nothingElse()
  if (how === 'lives') await parent.stop()
  const back = await project.node('api', { session: 'parent', worktree: WORKTREE, source: 'resume' })
  expect(back.name).toBe('api')
  expect(await back.texts(1)).toEqual(['to the parent'])
})

test.for([0, 300])(
  'a session that moved to the background, and ends %d ms later, goes on there',
  async (ms, { project }) => {
    const alice = await project.node('alice')
    const api = await project.node('api', { session: 'here', worktree: WORKTREE })
    await api.call('rename', { name: 'backend' })
    const movedAt = new Date().toISOString()
    const ended = new Promise((resolve) => setTimeout(resolve, ms)).then(() => api.stop())
    if (ms === 0) await ended
    const back = await project.node('api', { session: 'there', movedAt, source: 'fork', worktree: WORKTREE })
    await ended
    expect([back.name, back.sidecar.record.epoch]).toEqual(['backend', 2])
    await alice.send('backend', 'hello')
    expect(await back.texts(1)).toEqual(['hello'])
  },
)
