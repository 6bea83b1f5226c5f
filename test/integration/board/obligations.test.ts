/** What a session has open on a real engine: from its calls, its mail and the records; over a restart of its sidecar. */
import { expect } from 'vitest'
import type { Conversation } from '../../../src/harness/types.ts'
import { newOperation } from '../../../src/wire/names.ts'
import { type Node, test, until } from '../../support/node.ts'

const show = async (node: Node) => (await node.call('state_show', {})).obligations
const kinds = async (node: Node) => (await show(node)).map(({ kind, with: who, state }) => [kind, who, state])
const startOf = async (node: Node, source: Conversation['source']) => {
  await node.harness.begins({ sessionId: `session-${node.asked}`, source, cwd: `/work/${node.asked}` })
  return node.harness.startText
}

test('a question is open until its answer is here, and owed until the answer is out', async ({ project }) => {
  const { alice, bob } = await project.nodes('alice', 'bob')
  const asking = alice.send('bob', 'which port?', { wait: 'reply' })
  const [question] = await bob.messages(1)
  expect(await kinds(alice)).toEqual([['ask', 'bob', 'open']])
  await until(async () => (await show(bob)).length > 0, 'bob owes an answer')
  expect((await show(bob))[0]).toMatchObject({ kind: 'owed', with: 'alice', quote: 'which port?', id: question!.id })
  await bob.call('reply', { id: `m_${'1'.repeat(32)}`, replyTo: question!.id, text: '8080' })
  await asking
  expect(await kinds(alice)).toEqual([['said', 'bob', 'said']])
  expect(await kinds(bob)).toEqual([['said', 'alice', 'said']])
})

test('open asks, waits and tasks survive the sidecar, and are in the start after a resume, compact or clear', async ({
  project,
}) => {
  const options = { worktree: '/repos/api', session: 'session-api' }
  const api = await project.node('api', options)
  const { web } = await project.nodes('web')
  const ask = api.send('web', 'which port?', { wait: 'reply' }).catch(() => {})
  const wait = api.call('wait', { targets: ['web'], until: 'end' }).catch(() => {})
  const { id } = await api.call('task_add', { op: newOperation(), title: 'port the parser' })
  await api.call('task_claim', { op: newOperation(), id })
  await web.call('task_add', { op: newOperation(), title: 'not of api' })
  await api.call('state_change', { op: newOperation(), do: 'set', key: 'plan', value: 'parser first' })
  const open = [
    ['ask', 'web', 'open'],
    ['wait', null, 'open'],
    ['task', null, 'claimed'],
  ]
  await until(async () => (await kinds(api)).length === 3, 'all is open')
  expect(await kinds(api)).toEqual(open)
  for (const source of ['compact', 'clear'] as const) {
    const text = await startOf(api, source)
    for (const part of ['which port?', 'web, until its end', 'port the parser', 'plan: parser first'])
      expect(text).toContain(part)
    expect(text.split('<mesh-')).toHaveLength(2)
    expect(text).not.toContain('not of api')
  }
  expect(await startOf(api, 'startup')).not.toContain('parser first')
  await api.crash()
  await Promise.all([ask, wait])
  const again = await project.node('api', { ...options, source: 'resume', process: api.process })
  expect(again.harness.startText).toContain('web, until its end (the call that waited is over)')
  for (const part of ['which port?', 'port the parser', 'plan: parser first'])
    expect(again.harness.startText).toContain(part)
  expect(await kinds(again)).toEqual([open[0], ['wait', null, 'interrupted'], open[2]])
})

test('what a session said last is its own word, not news that its sidecar made', async ({ project }) => {
  const { alice, bob } = await project.nodes('alice', 'bob')
  await alice.send('bob', 'the parser first')
  const { id } = await alice.call('task_add', { op: newOperation(), title: 'port the parser', for: 'bob' })
  await bob.messages(2)
  await bob.call('task_claim', { op: newOperation(), id })
  await bob.call('task_change', { op: newOperation(), id, do: 'done' })
  expect(await alice.messages(1)).toMatchObject([{ from: 'mesh', author: 'mesh', verified: true }])
  const saidBy = async (node: Node) =>
    (await show(node)).filter(({ kind }) => kind === 'said').map(({ quote }) => quote)
  expect(await saidBy(alice)).toEqual(['the parser first'])
  expect(await saidBy(bob)).toEqual([])
})

test('a wait that returned or timed out is no longer open', async ({ project }) => {
  const { alice, bob } = await project.nodes('alice', 'bob')
  await expect(alice.call('wait', { targets: ['bob'], until: 'end', timeoutMs: 50 })).rejects.toThrow()
  const next = alice.call('wait', { targets: [] })
  await until(async () => (await kinds(alice)).length === 1, 'it waits')
  await bob.send('alice', 'here')
  await next
  expect(await kinds(alice)).toEqual([])
})

test('the state is given also while the engine is away', async ({ project }) => {
  const { alice } = await project.nodes('alice')
  await alice.call('state_change', { op: newOperation(), do: 'set', key: 'plan', value: 'parser first' })
  alice.sidecar.link.reset()
  const text = await startOf(alice, 'compact')
  expect(text).toContain('plan: parser first')
})
