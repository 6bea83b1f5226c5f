/** What a session coordinates goes to another one in one step: state, tasks, claims, unread mail, answers owed. */
import { expect, vi } from 'vitest'
import { MeshError } from '../../../src/errors.ts'
import { limits } from '../../../src/wire/limits.ts'
import { newOperation } from '../../../src/wire/names.ts'
import { type Node, type Project, test, until } from '../../support/node.ts'

const set = (node: Node, key: string, value: string) =>
  node.call('state_change', { op: newOperation(), do: 'set', key, value })
const values = async (node: Node) =>
  Object.fromEntries((await node.call('state_read', {})).entries.map(({ key, value }) => [key, value]))
const claimed = async (node: Node, title: string) => {
  const { id } = await node.call('task_add', { op: newOperation(), title })
  await node.call('task_claim', { op: newOperation(), id })
  return id
}
const handOff = (node: Node, to: string, op = newOperation()) => node.call('handoff', { op, to })
const codeOf = (run: Promise<unknown>) =>
  run.then(
    () => 'done',
    (error) => MeshError.from(error).code,
  )

test('handoff - state, tasks, unread mail and answers owed go to the receiver, which keeps its own', async ({
  project,
}) => {
  const { api, web, lead } = await project.nodes('api', 'web', 'lead')
  await set(api, 'plan', 'parser first')
  await set(api, 'next', 'docs')
  await set(web, 'plan', 'of web')
  await web.send('web', 'mail of web')
  await until(() => web.sidecar.unread === 1, 'it came')
  const task = await claimed(api, 'port the parser')
  const asking = lead.send('api', 'which port?', { wait: 'reply' })
  expect(await api.texts(1)).toEqual(['which port?'])
  await until(async () => (await api.call('state_show', {})).obligations.some(({ kind }) => kind === 'owed'), 'owed')
  await lead.send('api', 'not read yet')
  await until(() => api.sidecar.unread === 1, 'it came')

  const given = await handOff(api, 'web')
  expect(given).toEqual({ to: 'web', state: 'taken', keys: 2, tasks: 1, claims: 0, messages: 2 })
  expect(await values(web)).toEqual({ plan: 'of web', 'api/plan': 'parser first', next: 'docs' })
  expect(await values(api)).toEqual({})
  expect(await web.call('task_show', { id: task })).toMatchObject({ owner: 'web', state: 'claimed' })
  expect(await codeOf(api.call('task_change', { op: newOperation(), id: task, do: 'done' }))).toBe('conflict')
  const mail = await web.messages(4)
  expect(mail.map(({ from, to, text }) => [from, to, text])).toEqual(
    expect.arrayContaining([
      ['web', 'web', 'mail of web'],
      ['lead', 'api', 'which port?'],
      ['lead', 'api', 'not read yet'],
      ['api', 'web', expect.stringContaining('2 keys, 1 task, 2 messages): mesh state show')],
    ]),
  )
  expect(api.sidecar.unread).toBe(0)
  // Who asked gets its answer from whoever has the question now.
  const question = mail.find(({ text }) => text === 'which port?')!
  await web.call('reply', { id: `m_${'2'.repeat(32)}`, replyTo: question.id, text: '8080' })
  expect((await asking).reply).toMatchObject({ from: 'web', text: '8080' })
  expect((await web.call('task_change', { op: newOperation(), id: task, do: 'done' })).state).toBe('done')
  expect(await api.texts(1)).toEqual([expect.stringContaining('task done: ')])
  // What comes later is the giver's: it kept its name.
  await lead.send('api', 'later')
  expect(await api.texts(1)).toEqual(['later'])
  for (const node of [api, web]) await node.nothingElse()
})

test('handoff - there and back again', async ({ project }) => {
  const { api, web } = await project.nodes('api', 'web')
  await set(api, 'plan', 'parser first')
  const task = await claimed(api, 'port the parser')
  for (const [from, to] of [
    [api, web],
    [web, api],
    [api, web],
  ] as const) {
    expect(await handOff(from, to.name)).toMatchObject({ state: 'taken', keys: 1, tasks: 1 })
    expect([await values(from), await values(to)]).toEqual([{}, { plan: 'parser first' }])
    expect(await to.call('task_show', { id: task })).toMatchObject({ owner: to.name })
  }
})

test('handoff - an unknown session, itself, and a gone session are refused', async ({ project }) => {
  const { api, web } = await project.nodes('api', 'web')
  await set(api, 'plan', 'parser first')
  await web.stop()
  expect(await codeOf(handOff(api, 'nobody'))).toBe('not_found')
  expect(await codeOf(handOff(api, 'api'))).toBe('bad_request')
  expect(await codeOf(handOff(api, 'web'))).toBe('not_alive')
  expect(await codeOf(handOff(api, '../x'))).toBe('bad_name')
  expect(await values(api)).toEqual({ plan: 'parser first' })
})

test('handoff - before the step nothing has changed; after it all arrives, though the giver dies and the receiver is away', async ({
  project,
}) => {
  const { api } = await project.nodes('api')
  const web = await project.node('web', { session: 'session-web' })
  await set(api, 'plan', 'parser first')
  const task = await claimed(api, 'port the parser')
  await web.send('api', 'not read yet')
  await until(() => api.sidecar.unread === 1, 'it came')
  const change = vi.spyOn(api.sidecar.registry, 'change').mockRejectedValueOnce(new MeshError('mesh_down', 'away'))
  expect(await codeOf(handOff(api, 'web'))).toBe('mesh_down')
  expect([await values(api), api.sidecar.unread]).toEqual([{ plan: 'parser first' }, 1])
  change.mockRestore()

  // The giver's sidecar dies right after the step, the receiver's before it hears of it.
  const { board } = api.sidecar
  const op = newOperation()
  const claimedBy = board.claimedBy.bind(board)
  vi.spyOn(api.sidecar.state, 'change').mockRejectedValue(new MeshError('mesh_down', 'dead'))
  vi.spyOn(board, 'pass').mockRejectedValue(new MeshError('mesh_down', 'dead'))
  vi.spyOn(board, 'claimedBy').mockImplementation((holder) => claimedBy(holder))
  expect(await codeOf(handOff(api, 'web', op))).toBe('mesh_down')
  await web.crash()
  await api.die()
  const back = await project.node('web', { session: 'session-web', process: web.process })
  await until(async () => Object.keys(await values(back)).length > 0, 'web has it')
  expect(await values(back)).toEqual({ plan: 'parser first' })
  expect(await back.call('task_show', { id: task })).toMatchObject({ owner: 'web' })
  expect(await back.texts(1)).toEqual(['not read yet'])
  const { store } = back.sidecar.link
  await until(async () => (await store.state.get(`handoff.${op}`)) === null, 'it is taken')
})

test('handoff - mail that comes between a failed try and its retry is moved once, like the rest', async ({
  project,
}) => {
  const { api, web, lead } = await project.nodes('api', 'web', 'lead')
  const op = newOperation()
  await lead.send('api', 'one')
  await until(() => api.sidecar.unread === 1, 'it came')
  const change = vi.spyOn(api.sidecar.registry, 'change').mockRejectedValueOnce(new MeshError('timeout', 'no answer'))
  expect(await codeOf(handOff(api, 'web', op))).toBe('timeout')
  change.mockRestore()
  await lead.send('api', 'two')
  await until(() => api.sidecar.unread === 2, 'it came')
  expect(await handOff(api, 'web', op)).toMatchObject({ state: 'taken', messages: 2 })
  const texts = await web.texts(3)
  expect(texts).toEqual(expect.arrayContaining(['one', 'two', expect.stringContaining('hands over to you')]))
  for (const node of [api, web]) await node.nothingElse()
})

test('handoff - a step whose answer was lost is not taken again: later mail stays, nothing is lost', async ({
  project,
}) => {
  const { api, web, lead } = await project.nodes('api', 'web', 'lead')
  const op = newOperation()
  await lead.send('api', 'one')
  await until(() => api.sidecar.unread === 1, 'it came')
  const { names } = api.sidecar.link.store
  const real = names.update.bind(names)
  vi.spyOn(names, 'update').mockImplementationOnce(async (...args) => {
    await real(...args)
    throw new MeshError('timeout', 'no answer')
  })
  expect(await codeOf(handOff(api, 'web', op))).toBe('timeout')
  await lead.send('api', 'two')
  await until(() => api.sidecar.unread === 2, 'it came')
  expect(await handOff(api, 'web', op)).toMatchObject({ state: 'taken', messages: 1 })
  expect(await web.texts(2)).toEqual(expect.arrayContaining(['one', expect.stringContaining('hands over to you')]))
  expect(await api.texts(1)).toEqual(['two'])
  for (const node of [api, web]) await node.nothingElse()
})

test('handoff - what is unread beyond the limit of one step is counted, stays, and goes with the next', async ({
  project,
}) => {
  const { api, web } = await project.nodes('api', 'web')
  const { nc, signed, subject } = await speaker(project)
  for (let n = 0; n < limits.unread + 50; n++) nc.publish(subject, signed(n))
  await until(() => !api.sidecar.mailbox.hasRoom, 'as much as fits')
  expect(await handOff(api, 'web')).toMatchObject({ messages: limits.unread, stays: 50 })
  await until(() => api.sidecar.unread === 50, 'the rest came')
  await web.messages(limits.unread)
  const rest = await handOff(api, 'web')
  expect(rest).toMatchObject({ messages: 50 })
  expect(rest).not.toHaveProperty('stays')
})

async function speaker(project: Project) {
  const attacker = await project.attacker()
  const signed = (n: number) => attacker.signed('crowd', 'api', { seq: n + 1, body: { text: `${n}` } })
  return { nc: attacker.nc, signed, subject: attacker.subject('crowd', 'api') }
}
