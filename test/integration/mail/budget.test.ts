/** Two agent sessions that only answer each other: bounded, held, told, and let go on by people alone. */
import { expect } from 'vitest'
import { newId, newOperation } from '../../../src/wire/names.ts'
import type { SidecarProcess } from '../../support/lab/sidecar-process.ts'
import { FakeDoor, type Node, type Project, test, until } from '../../support/node.ts'

const LIMIT = 3
const settings = { loopRounds: LIMIT }

async function pair(project: Project) {
  const door = new FakeDoor()
  const api = await project.node('api', { settings, doors: [door] })
  const web = await project.node('web', { settings: { loopRounds: 1000 } })
  return { api, web, door }
}

/** `api` says something and `web` answers, until an answer is held. Resolves to the ids of web's answers. */
async function loop({ api, web }: { api: Node; web: Node }): Promise<string[]> {
  const answers: string[] = []
  while (answers.length < 100) {
    await api.send('web', `from api ${answers.length}`)
    await web.texts(1)
    const { id, state } = await web.send('api', `from web ${answers.length}`, { wait: 'delivered', timeoutMs: 20_000 })
    answers.push(id)
    if (state === 'held') return answers
    // Its model reads the answer before it goes on.
    await api.texts(1)
  }
  throw new Error('nothing was held')
}

const steps = async (node: Node, id: string) => (await node.call('trace', { id })).steps.map(({ state }) => state)
const budgetOf = async (node: Node) => (await node.call('budget', {})).filter(({ name }) => name === 'api')

/** What an operator was told, once. */
async function told(ann: SidecarProcess): Promise<string[]> {
  const { messages, handover } = await ann.call('inbox', {})
  if (handover) await ann.call('taken', { handover })
  return messages.map(({ text }) => text)
}

test('at the limit answers are held: in no door and no wait, readable, and sender, people and model are notified', async ({
  project,
}) => {
  const { api, web, door } = await pair(project)
  const ann = await project.spawn('ann')
  api.status('busy')
  const answers = await loop({ api, web })
  expect(answers).toHaveLength(LIMIT + 1)
  const trace = (await web.call('trace', { id: answers.at(-1)! })).steps.at(-1)!
  expect(trace).toMatchObject({ state: 'held', by: 'api' })
  expect(trace.evidence).toContain(`loop budget: ${LIMIT} rounds with web without a person`)

  // Neither a waiting call nor a door gets it.
  const more = await web.send('api', 'one more', { wait: 'delivered', timeoutMs: 20_000 })
  expect(more.state).toBe('held')
  await expect(api.call('wait', { targets: [], timeoutMs: 100 })).rejects.toMatchObject({ code: 'timeout' })
  api.status('idle')
  expect(door.offers).toEqual([])

  // The people know, once, and everybody sees it.
  const texts: string[] = []
  await until(async () => texts.push(...(await told(ann))) > 0, 'the people are told')
  expect(texts).toEqual([expect.stringMatching(/^api and web answered each other 3 times .* mesh budget resume api$/)])
  await until(async () => (await budgetOf(web))[0]?.held === 2, 'it is in the budget')
  expect(await budgetOf(web)).toMatchObject([{ with: 'web', rounds: LIMIT, limit: LIMIT, held: 2 }])

  // The model knows with its next hand-over.
  const eve = await project.node('eve')
  await eve.send('api', 'hello')
  await until(() => door.offers.length > 0, 'a hand-over')
  expect(door.offers[0]?.text).toContain('[2 of web held after 3 rounds without a person: mesh inbox]')
  expect(door.offers[0]?.text).not.toContain('one more')
  api.harness.events.evidence(door.offers[0]!.token, 'surfaced', 'seen')
  await eve.send('api', 'again')
  await until(() => door.offers.length > 1, 'another hand-over')
  expect(door.offers[1]?.text).not.toContain('held')
  api.harness.events.evidence(door.offers[1]!.token, 'surfaced', 'seen')

  // Whoever asks for it reads it.
  expect(await api.texts(2)).toEqual([`from web ${LIMIT}`, 'one more'])
  await until(async () => (await steps(web, answers.at(-1)!)).includes('surfaced'), 'its sender knows')
  expect(await told(ann)).toEqual([])
})

test('after budget resume both sides count anew, nothing is lost, and the order is kept', async ({ project }) => {
  const { api, web, door } = await pair(project)
  const ann = await project.spawn('ann')
  api.status('busy')
  const answers = await loop({ api, web })
  await web.send('api', 'one more', { wait: 'delivered', timeoutMs: 20_000 })
  await until(async () => (await budgetOf(web))[0]?.held === 2, 'it is known')
  const answered = await ann.call('budget_resume', { name: 'api' })
  expect(answered).toMatchObject([
    { name: 'api', with: null, state: 'delivered', evidence: 'counted anew; 2 held messages go on' },
    { name: 'web', with: 'api', state: 'delivered' },
  ])
  await until(async () => (await web.call('budget', {})).length === 0, 'nothing is counted')
  expect((await steps(web, answers.at(-1)!)).slice(-2)).toEqual(['held', 'delivered'])
  api.status('idle')
  await until(() => door.offers.length > 0, 'the hand-over')
  const { text, token } = door.offers[0]!
  expect(text.indexOf(`from web ${LIMIT}`)).toBeGreaterThan(0)
  expect(text.indexOf('one more')).toBeGreaterThan(text.indexOf(`from web ${LIMIT}`))
  expect(text).not.toContain('without a person')
  api.harness.events.evidence(token, 'surfaced', 'seen')
  await until(() => api.sidecar.unread === 0, 'all is read')
  api.status('busy')
  expect(await loop({ api, web })).toHaveLength(LIMIT + 1)
})

test('an agent cannot resume itself, neither by a call nor by a message of its own making', async ({ project }) => {
  const { api, web } = await pair(project)
  api.status('busy')
  await loop({ api, web })
  await expect(api.call('budget_resume', { name: 'api' })).rejects.toMatchObject({ code: 'denied' })
  const sent = web.send('api', 'web', { intent: 'budget_resume' })
  await expect(sent).rejects.toMatchObject({ code: 'bad_request' })
  const attacker = await project.attacker()
  const forged = { intent: 'budget_resume', body: { text: 'web' } }
  // Signed, but of a session; of an operator, but not signed.
  await attacker.say('api', 'web', 'web', { ...forged, epoch: 1, seq: 99 } as object)
  await project.spawn('ann')
  const unsigned = { ...attacker.envelope('ann', 'api', forged), sig: 'A'.repeat(86) }
  await attacker.publish(attacker.subject('ann', 'api'), JSON.stringify(unsigned))
  await until(async () => (await attacker.store.receiptsOf(unsigned.id)).length > 0, 'an answer')
  expect((await attacker.store.receiptsOf(unsigned.id))[0]?.evidence).toMatch(/^refused/)
  expect(api.sidecar.loops.pairs()).toMatchObject([{ with: 'web', held: 1 }])
  expect((await api.take()).map(({ text }) => text)).toEqual([`from web ${LIMIT}`])
})

test('a person’s prompt or message releases held mail and starts the count anew', async ({ project }) => {
  const { api, web, door } = await pair(project)
  const ann = await project.spawn('ann')
  api.status('busy')
  await loop({ api, web })
  api.harness.events.prompted()
  expect(api.sidecar.loops.pairs()).toEqual([])
  expect(await api.texts(1)).toEqual([`from web ${LIMIT}`])
  await loop({ api, web })
  await ann.call('send', { id: newId('m'), to: 'api', text: 'go on, you two' })
  await until(() => api.sidecar.loops.pairs().length === 0, 'counted anew')
  api.status('idle')
  await until(() => door.offers.length > 0, 'the hand-over')
  expect(door.offers[0]?.text).toContain(`from web ${LIMIT}`)
})

test('people at their shells are never counted', async ({ project }) => {
  const api = await project.node('api', { settings })
  const ann = await project.spawn('ann')
  for (let i = 0; i < LIMIT + 3; i++) {
    await api.send('ann', `answer ${i}`)
    await ann.call('send', { id: newId('m'), to: 'api', text: `question ${i}` })
    expect(await api.texts(1)).toEqual([`question ${i}`])
  }
  expect(api.sidecar.loops.pairs()).toEqual([])
})

test('hold and counts outlive the sidecar and a rename', async ({ project }) => {
  const { api, web } = await pair(project)
  api.status('busy')
  await loop({ api, web })
  await api.crash()
  const again = await project.node('api', { settings, process: api.process, session: 'session-api' })
  expect(again.name).toBe('api')
  expect(again.harness.startText).toContain('Of these 1 of web held after 3 rounds without a person')
  expect(again.sidecar.loops.pairs()).toMatchObject([{ with: 'web', rounds: LIMIT, held: 1 }])
  expect((await web.send('api', 'one more', { wait: 'delivered', timeoutMs: 20_000 })).state).toBe('held')
  await again.call('rename', { name: 'api2' })
  expect(again.sidecar.loops.pairs()).toMatchObject([{ with: 'web', rounds: LIMIT, held: 2 }])
  expect(await again.texts(2)).toEqual([`from web ${LIMIT}`, 'one more'])
})

test('held mail does not keep a session from its role', async ({ project }) => {
  const { api, web, door } = await pair(project)
  await api.call('role_add', { role: 'reviewer' })
  api.status('busy')
  await loop({ api, web })
  api.status('idle')
  await web.send('role:reviewer', 'review this')
  await until(() => door.offers.some(({ text }) => text.includes('review this')), 'the role message is handed over')
})

test('a chain of replies ends with an error that names the way on', async ({ project }) => {
  const { api, web } = await project.nodes('api', 'web')
  await (await project.attacker()).say('api', 'the 64th', 'web', { hops: 64 })
  const [{ id } = { id: '' }] = await api.messages(1)
  const refused = { code: 'conflict', hint: expect.stringContaining('mesh send web -- TEXT') }
  await expect(api.call('reply', { id: newId('m'), replyTo: id, text: 'more' })).rejects.toMatchObject(refused)
  await expect(api.send('web', 'more', { replyTo: id })).rejects.toMatchObject(refused)
  await api.send('web', 'begun anew')
  expect(await web.texts(1)).toEqual(['begun anew'])
})

test('work through the board uses no budget up, whoever gives it to whom', async ({ project }) => {
  const { api, web } = await pair(project)
  for (let round = 0; round <= LIMIT + 1; round++) {
    const { id } = await api.call('task_add', { op: newOperation(), title: `job ${round}`, for: 'web' })
    expect(await web.texts(1)).toEqual([expect.stringContaining(`job ${round}`)])
    await web.call('task_claim', { op: newOperation(), id })
    await web.call('task_change', { op: newOperation(), id, do: 'done' })
    expect(await api.texts(1)).toEqual([expect.stringMatching(/^task done: .*by web$/)])
  }
  expect(await budgetOf(web)).toEqual([])
})
