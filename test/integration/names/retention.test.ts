/** Names that ended long ago go when nothing is left under them, and only then. */
import { expect } from 'vitest'
import { removeLeftovers } from '../../../src/daemon/state/retention.ts'
import { newOperation } from '../../../src/wire/names.ts'
import { type Node, type Project, test, until } from '../../support/node.ts'

const DAY_MS = 86_400_000
const RUN = `r_${'ab'.repeat(16)}`

/** Sessions with these names that were there, and ended. */
async function ended(project: Project, ...names: string[]): Promise<Node[]> {
  const nodes = await Promise.all(names.map((name) => project.node(name, { session: `session-${name}` })))
  return nodes
}

async function gone(lead: Node, nodes: readonly Node[]): Promise<void> {
  for (const node of nodes) await node.stop()
  for (const { asked } of nodes)
    await until(async () => (await lead.call('alive', { name: asked })).status === 'gone', `${asked} is gone`)
}

const sweep = (node: Node, days: number) => removeLeftovers(node.sidecar, Date.now() + days * DAY_MS)
const namesOf = async (node: Node) => (await node.call('ps', {})).map(({ name }) => name)

test('retention - a name with nothing left under it goes after seven days, one that nobody chose after one', async ({
  project,
}) => {
  const lead = await project.node('a-lead')
  const nodes = await ended(project, 'plain', 'lead-abab')
  await gone(lead, nodes)
  const { names } = lead.sidecar.link.store
  const spawned = (await names.get('lead-abab'))!
  // After the end of the run that the session really was.
  const endedAt = new Date(Date.now() + 60_000).toISOString()
  await names.update('lead-abab', { ...spawned.value, run: RUN, endedAt }, spawned.revision)
  expect(await sweep(lead, 0.9)).toEqual([])
  await expect.poll(() => sweep(lead, 1.1)).toEqual(['lead-abab'])
  expect(await sweep(lead, 6.9)).toEqual([])
  expect(await sweep(lead, 7.1)).toEqual(['plain'])
  expect(await namesOf(lead)).toEqual(['a-lead'])
})

test('retention - mail, tasks, state and file claims keep their name', async ({ project }) => {
  const lead = await project.node('a-lead')
  const nodes = await ended(project, 'claims', 'holds', 'mail', 'state', 'reads', 'adds', 'free')
  const [claims, holds, , state, reads, adds] = nodes
  await claims!.call('claim', { paths: ['src'], cwd: process.cwd() })
  const { id } = await holds!.call('task_add', { op: newOperation(), title: 'held' })
  await holds!.call('task_claim', { op: newOperation(), id })
  await adds!.call('task_add', { op: newOperation(), title: 'added' })
  await state!.call('state_change', { op: newOperation(), do: 'set', key: 'plan', value: 'parser first' })
  await reads!.call('topic_join', { topic: 'news' })
  await gone(lead, nodes)
  await lead.send('mail', 'for your return')
  await lead.send('topic:news', 'read all about it')
  expect(await sweep(lead, 8)).toEqual(['free'])
})

test('retention - a session that returns at that very moment keeps its name', async ({ project }) => {
  const lead = await project.node('a-lead')
  const nodes = await ended(project, 'api')
  await gone(lead, nodes)
  const { names } = lead.sidecar.link.store
  const remove = names.delete.bind(names)
  names.delete = async (...args) => {
    names.delete = remove
    await project.node('api', { session: 'session-api' })
    return remove(...args)
  }
  expect(await sweep(lead, 8)).toEqual([])
  expect(await lead.call('alive', { name: 'api' })).toMatchObject({ alive: true, epoch: 2 })
})

test('retention - mail that comes at that very moment waits for the session to return', async ({ project }) => {
  const lead = await project.node('a-lead')
  const nodes = await ended(project, 'api')
  await gone(lead, nodes)
  const { names } = lead.sidecar.link.store
  const remove = names.delete.bind(names)
  names.delete = async (...args) => {
    names.delete = remove
    await lead.send('api', 'just in time')
    return remove(...args)
  }
  expect(await sweep(lead, 8)).toEqual([])
  const back = await project.node('api', { session: 'session-api' })
  expect(await back.texts(1)).toEqual(['just in time'])
})

test('retention - of the living sessions one looks', async ({ project }) => {
  const { lead, other } = await project.nodes('lead', 'other')
  await gone(lead, await ended(project, 'plain'))
  expect(await sweep(other, 8)).toEqual([])
  expect(await sweep(lead, 8)).toEqual(['plain'])
})
