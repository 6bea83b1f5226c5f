/** One record of a stream that the disk changed harms only itself. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { jetstream } from '@nats-io/jetstream'
import { expect } from 'vitest'
import { engineStatus, startEngine, stopEngine } from '../../../src/engine/engine.ts'
import { readDamage } from '../../../src/host/damage.ts'
import { readFrom, readLast } from '../../../src/nats/direct.ts'
import { newOperation } from '../../../src/wire/names.ts'
import { storeNames } from '../../../src/wire/subjects.ts'
import { type Project, test, until } from '../../support/node.ts'

/** Changes a byte of the first record with `text`, while the engine is down. */
async function flip({ world }: Project, stream: string, text: string): Promise<void> {
  const { home, env } = world
  await stopEngine(home)
  const accounts = join(engineStatus(home).dataDir, 'jetstream')
  const account = readdirSync(accounts).find((entry) => readdirSync(join(accounts, entry)).includes('streams'))
  const path = join(accounts, account!, 'streams', stream, 'msgs', '1.blk')
  const bytes = readFileSync(path)
  bytes[bytes.indexOf(text) + 1]! ^= 0xff
  writeFileSync(path, bytes)
  await startEngine(home, env, () => {})
}

for (const n of [3, 6])
  test(`reads end, and give all records but the damaged one, of six number ${n}`, async ({ project }) => {
    const before = await project.attacker()
    await before.jsm.streams.add({ name: `flip${n}`, subjects: [`flip${n}.>`], allow_direct: true })
    for (let i = 1; i <= 6; i++) await before.nc.request(`flip${n}.${i}`, `record ${i}`)
    await flip(project, `flip${n}`, `record ${n}`)
    const { nc, jsm } = await project.attacker()
    const good = [1, 2, 3, 4, 5, 6].filter((seq) => seq !== n)
    expect((await readFrom({ nc, jsm }, `flip${n}`, `flip${n}.>`)).map(({ seq }) => seq)).toEqual(good)
    const { found, unreadable } = await readLast({ nc, js: jetstream(nc), jsm }, `flip${n}`)
    expect([found.map(({ seq }) => seq), unreadable]).toEqual([good, 1])
  })

test('a board with one damaged task shows the others, and the people are notified', async ({ project }) => {
  const { alice } = await project.nodes('alice')
  for (const title of ['first', 'second', 'third']) await alice.call('task_add', { op: newOperation(), title })
  await flip(project, `KV_${storeNames(project.name).tasks}`, 'second')
  await until(() => alice.sidecar.link.up, 'alice is back')
  const titles = async () => (await alice.call('task_list', { which: 'all' })).map(({ title }) => title)
  expect((await titles()).sort()).toEqual(['first', 'third'])
  const { name, world } = project
  await until(() => readDamage(world.home, name).losses.some(({ isReported }) => isReported), 'reported')
  expect(readDamage(world.home, name).losses).toMatchObject([{ what: '1 of the changes of tasks (unreadable)' }])
})

test('mail behind a damaged message arrives', async ({ project }) => {
  const { bob } = await project.nodes('bob')
  await bob.crash()
  const attacker = await project.attacker()
  for (const text of ['first', 'second', 'third']) await attacker.say('bob', text)
  await flip(project, storeNames(project.name).messages, 'second')
  const again = await project.node('bob', { process: bob.process })
  expect(await again.texts(2)).toEqual(['first', 'third'])
})
