/** A damaged store harms only what is damaged: work goes on from what can be read, and the people learn of the rest once. */
import { execFileSync } from 'node:child_process'
import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { engineStatus, startEngine, stopEngine } from '../../../src/engine/engine.ts'
import { readDamage } from '../../../src/host/damage.ts'
import { newOperation } from '../../../src/wire/names.ts'
import { storeNames } from '../../../src/wire/subjects.ts'
import { type Node, type Project, test, until } from '../../support/node.ts'

const shared = { shared: 'plan' }
const set = (node: Node, key: string, value: string, more: object = {}) =>
  node.call('state_change', { op: newOperation(), do: 'set', key, value, ...more })
const values = async (node: Node, more: object = {}) =>
  Object.fromEntries((await node.call('state_read', more)).entries.map(({ key, value }) => [key, value]))
const lossesOf = ({ world, name }: Project) => readDamage(world.home, name).losses

/** Removes the object of the newest revision. */
async function loseNewest(project: Project): Promise<void> {
  const { store } = await project.attacker()
  const objects = await store.documents.all()
  await store.documents.remove(objects.sort((a, b) => a.seq - b.seq).at(-1)!)
}

/** Puts bytes where a record is, as damage or another program would. */
async function spoil(project: Project, bucket: 'state' | 'claims', key: string, bytes: string): Promise<void> {
  const { nc } = await project.attacker()
  await nc.request(`$KV.${storeNames(project.name)[bucket]}.${key}`, bytes)
}

test('a lost revision of a document is passed over: the one before it goes on, and a note says what is missing', async ({
  project,
}) => {
  const { alice, bob } = await project.nodes('alice', 'bob')
  await set(alice, 'a', '1', shared)
  await set(alice, 'b', '2', shared)
  await loseNewest(project)
  expect(await values(bob, shared)).toEqual({ a: '1' })
  const { notes, rev } = await bob.call('state_read', shared)
  expect([rev, notes]).toMatchObject([
    2,
    [{ by: 'alice', text: expect.stringMatching(/^revision 2 \(set b\) is lost/) }],
  ])
  expect(await set(bob, 'c', '3', shared)).toMatchObject({ rev: 3 })
  expect(await values(alice, shared)).toEqual({ a: '1', c: '3' })
  expect((await alice.call('state_read', shared)).notes).toEqual(notes)
  await until(() => lossesOf(project).some(({ isReported }) => isReported), 'the people are notified')
  expect(lossesOf(project)).toMatchObject([{ what: 'revision 2 of the state document shared.plan' }])
})

test('a session whose own document is lost joins, and goes on from the revision before', async ({ project }) => {
  const { alice } = await project.nodes('alice')
  await set(alice, 'a', '1')
  await set(alice, 'b', '2')
  await alice.crash()
  await loseNewest(project)
  const again = await project.node('alice', { process: alice.process })
  expect(await values(again)).toEqual({ a: '1' })
  expect(await set(again, 'c', '3')).toMatchObject({ rev: 3 })
})

test('garbage in place of a pointer gives way to the pointer before it, a later version of mesh does not', async ({
  project,
}) => {
  const { alice } = await project.nodes('alice')
  await set(alice, 'a', '1', shared)
  for (const garbage of ['{', '\u0000', '[]', '{"v":1,"kind":"state","epoch":"x"}']) {
    await spoil(project, 'state', 'shared.plan', garbage)
    expect(await values(alice, shared)).toMatchObject({ a: '1' })
    await set(alice, 'b', garbage.length.toString(), shared)
    expect(await values(alice, shared)).toEqual({ a: '1', b: garbage.length.toString() })
  }
  await spoil(project, 'state', 'shared.plan', '{"v":2,"kind":"state"}')
  await expect(set(alice, 'c', '3', shared)).rejects.toMatchObject({ code: 'version_skew' })
})

test('garbage in place of the claims of a repository stops no claim and no release', async ({ project }) => {
  const repository = project.world.directory()
  execFileSync('git', ['init', '-q', repository])
  const alice = await project.node('alice', { worktree: repository })
  await alice.call('claim', { paths: ['a'] })
  const { store } = await project.attacker()
  const { key } = (await store.claims.all())[0]!
  await spoil(project, 'claims', key, 'garbage')
  expect(await alice.call('claims', {})).toEqual([])
  expect(await alice.call('claim', { paths: ['b'] })).toMatchObject([{ path: 'b', mine: true }])
  await spoil(project, 'claims', key, 'garbage')
  await expect(alice.call('release', { all: true })).resolves.toEqual([])
  await spoil(project, 'claims', key, '{"v":2,"kind":"file_claims"}')
  await expect(alice.call('claim', { paths: ['c'] })).rejects.toMatchObject({ code: 'version_skew' })
})

test('records that the store lost are noticed by living sessions, whatever they were, and reported once', async ({
  project,
}) => {
  const { alice, bob } = await project.nodes('alice', 'bob')
  await alice.call('task_add', { op: newOperation(), title: 'lost' })
  await set(alice, 'a', '1')
  const { home, env } = project.world
  await stopEngine(home)
  await until(() => !alice.sidecar.link.up && !bob.sidecar.link.up, 'the end is noticed')
  const names = storeNames(project.name)
  for (const stream of [`KV_${names.tasks}`, `KV_${names.state}`])
    rmSync(join(streamsOf(project), stream), { recursive: true })
  await startEngine(home, env, () => {})
  await until(() => lossesOf(project).some(({ isReported }) => isReported), 'the people are notified')
  expect(lossesOf(project).map(({ what }) => what)).toEqual([
    'all changes of tasks (positions 1 to 1)',
    expect.stringMatching(/^all revisions of state documents \(positions 1 to \d+\)$/),
  ])
  await until(() => alice.sidecar.link.up && bob.sidecar.link.up, 'both are back')
  await alice.call('task_add', { op: newOperation(), title: 'new' })
  await project.node('carol')
  expect([...alice.logged('the store lost'), ...bob.logged('the store lost')]).toHaveLength(1)
  const operator = await project.node('olga')
  await operator.call('role_add', { role: 'operator' })
  expect(await operator.texts(1)).toEqual([expect.stringMatching(/Lost: all changes of tasks/)])
})

function streamsOf({ world }: Project): string {
  const accounts = join(engineStatus(world.home).dataDir, 'jetstream')
  const account = readdirSync(accounts).find((entry) => readdirSync(join(accounts, entry)).includes('streams'))
  return join(accounts, account!, 'streams')
}
