import { expect } from 'vitest'
import { test } from '../support/node.ts'

test('a message arrives', async ({ project }) => {
  const { alice, bob } = await project.nodes('alice', 'bob')
  expect(await alice.send('bob', 'hi')).toMatchObject({ state: 'stored', to: 'bob' })
  expect(await bob.texts(1)).toEqual(['hi'])
  await bob.nothingElse()
})

test('process', async ({ project }) => {
  const { alice } = await project.nodes('alice')
  const eve = await project.spawn('eve')
  await eve.kill()
  await expect.poll(async () => (await alice.call('alive', { name: 'eve' })).status, { timeout: 5000 }).toBe('gone')
})
