/** The setting `inbound`: a project may keep other sessions' messages for a person, or refuse them. */
import { expect } from 'vitest'
import { FakeDoor, type Node, test, until } from '../../support/node.ts'

const shown = async (node: Node) => (await node.call('ps', {})).find(({ name }) => name === 'api')

test('hold - a message is kept from doors, waits and inbox until a person speaks, and that is said everywhere', async ({
  project,
}) => {
  const door = new FakeDoor()
  const api = await project.node('api', { settings: { inbound: { '*': 'hold' } }, doors: [door] })
  const web = await project.node('web')
  const ann = await project.spawn('ann')
  api.status('idle')
  const { id, state } = await web.send('api', 'let me in', { wait: 'delivered', timeoutMs: 20_000 })
  expect(state).toBe('held')
  const trace = (await web.call('trace', { id })).steps.at(-1)!
  expect(trace).toMatchObject({ state: 'held', evidence: expect.stringContaining('inbound: hold') })
  await until(async () => (await shown(web))?.held === 1, 'everybody sees it')
  expect(await shown(web)).toMatchObject({ inbound: 'hold' })
  expect([door.offers, await api.texts(0), (await api.call('inbox', { peek: true })).messages]).toEqual([[], [], []])
  await until(
    async () => (await ann.call('inbox', { peek: true })).messages.some(({ text }) => text.includes('inbound: hold')),
    'the people know',
  )

  // Answers to its own questions come in.
  const asked = await api.send('web', 'may I?')
  await web.texts(1)
  const answer = await web.call('send', {
    id: asked.id.replace('m_', 'm_f').slice(0, 34),
    to: 'api',
    text: 'you may',
    replyTo: asked.id,
  })
  await until(() => door.offers.length > 0, 'the answer comes in')
  expect(door.offers[0]!.text).toContain('you may')
  expect(door.offers[0]!.text).not.toContain('let me in')
  api.harness.events.evidence(door.offers[0]!.token, 'surfaced', 'seen')
  expect(answer.id).toBeDefined()

  // A person types.
  api.harness.events.prompted()
  await until(() => door.offers.length > 1, 'the message comes in')
  expect(door.offers[1]!.text).toContain('let me in')
  api.harness.events.evidence(door.offers[1]!.token, 'surfaced', 'seen')
  await until(async () => (await shown(web))?.held === 0, 'nothing is held')
})

test('refuse - the sender is answered, and the model reads nothing', async ({ project }) => {
  const door = new FakeDoor()
  const api = await project.node('api', { settings: { inbound: { '*': 'refuse' } }, doors: [door] })
  const web = await project.node('web')
  api.status('idle')
  const { id } = await web.send('api', 'hello')
  const [answer] = await web.texts(1)
  expect(answer).toContain('inbound: refuse')
  await until(
    async () => (await web.call('trace', { id })).steps.some((step) => step.state === 'dead_lettered'),
    'traced',
  )
  expect([door.offers, await api.texts(0)]).toEqual([[], []])
  expect(await shown(web)).toMatchObject({ inbound: 'refuse' })
  // A person's word is not another session's.
  const ann = await project.spawn('ann')
  await ann.call('send', { id: `m_${'a'.repeat(32)}`, to: 'api', text: 'from ann' })
  await until(() => door.offers.some(({ text }) => text.includes('from ann')), "a person's message comes in")
})

test('a session refused by one that refuses as well leaves it at that', async ({ project }) => {
  const settings = { inbound: { '*': 'refuse' } } as const
  const [api, web] = [await project.node('api', { settings }), await project.node('web', { settings })]
  await web.send('api', 'hello')
  expect(await web.texts(1)).toEqual([expect.stringContaining('inbound: refuse')])
  expect(await api.texts(0)).toEqual([])
})
