/** Renamed sessions: their mail under both names, and the former name. */
import { expect } from 'vitest'
import { test, until, WAIT } from '../../support/node.ts'
import { arrived, numbers } from './records.ts'

test('a renamed session has its mail under both names, and the sender is told so', async ({ project }) => {
  const { alice, api } = await project.nodes('alice', 'api')
  await api.call('topic_join', { topic: 'build' })
  await alice.send('api', 'read')
  await api.texts(1)
  await alice.send('api', 'unread')
  await arrived(api, 1)
  expect(await api.call('rename', { name: 'backend' })).toEqual({ name: 'backend', previous: 'api' })
  expect(await alice.send('api', 'to the old name')).toMatchObject({ to: 'backend', note: 'api is backend now' })
  await alice.send('backend', 'to the new name')
  await alice.send('topic:build', 'to the topic')
  expect(await api.texts(4)).toEqual(['unread', 'to the old name', 'to the new name', 'to the topic'])
  await api.nothingElse()
  const me = await api.call('whoami', {})
  expect(me).toMatchObject({ name: 'backend', topics: ['build'] })
  await expect.poll(async () => (await alice.call('alive', { name: 'backend' })).status, WAIT).toBe('idle')
  expect(await alice.call('alive', { name: 'api' })).toMatchObject({ status: 'gone', reason: 'renamed' })
})

test('mail to the first of several names finds the session', async ({ project }) => {
  const { alice, api } = await project.nodes('alice', 'api')
  for (const name of ['backend', 'server']) await api.call('rename', { name })
  expect(await alice.send('api', 'where are you?')).toMatchObject({ to: 'server', note: 'api is server now' })
  expect(await api.texts(1)).toEqual(['where are you?'])
  await api.stop()
  const { to, note } = await alice.send('api', 'come back')
  expect([to, note]).toEqual(['server', expect.stringMatching(/^api is server now; server is gone/)])
})

test('a name that was left by a rename is new to the next one', async ({ project }) => {
  const { alice, api } = await project.nodes('alice', 'api')
  await alice.send('api', 'before the rename')
  await arrived(api, 1)
  await api.call('rename', { name: 'backend' })
  const next = await project.node('api', { session: 's2' })
  expect(next.name).toBe('api')
  expect(next.sidecar.record).not.toHaveProperty('previous')
  await alice.send('api', 'after the rename')
  expect(await next.texts(1)).toEqual(['after the rename'])
  expect(await api.texts(1)).toEqual(['before the rename'])
  await next.nothingElse()
  await api.nothingElse()
})

test('a renamed session can have its former name back, with the mail to both', async ({ project }) => {
  const { alice, api } = await project.nodes('alice', 'api')
  await api.call('topic_join', { topic: 'build' })
  await alice.send('api', 'read')
  await api.texts(1)
  await alice.send('api', 'first')
  await arrived(api, 1)
  for (const name of ['backend', 'server']) await api.call('rename', { name })
  await alice.send('server', 'second')
  await arrived(api, 2)
  expect(await api.call('rename', { name: 'api' })).toEqual({ name: 'api', previous: 'server' })
  expect(await alice.send('server', 'third')).toMatchObject({ to: 'api', note: 'server is api now' })
  await until(async () => (await alice.send('backend', 'x')).to === 'api', 'the first former name leads here too')
  await alice.send('topic:build', 'fourth')
  await until(() => api.sidecar.unread >= 5, 'all of it')
  const texts = (await api.take()).map(({ text }) => text).filter((text) => text !== 'x')
  expect(texts).toEqual(['first', 'second', 'third', 'fourth'])
  await api.send('alice', 'from the former name')
  expect(await alice.texts(1)).toEqual(['from the former name'])
  await api.crash()
  const again = await project.node('api', { process: api.process })
  expect(again.sidecar.record).toMatchObject({ name: 'api', epoch: 2, formerly: { name: 'server' } })
  await again.nothingElse()
  await again.call('rename', { name: 'server' })
  expect(await alice.send('api', 'to and fro')).toMatchObject({ to: 'server' })
  expect(await again.texts(1)).toEqual(['to and fro'])
  await again.nothingElse()
})

test('a former name that another session has now cannot be had back', async ({ project }) => {
  const { alice, api } = await project.nodes('alice', 'api')
  await api.call('rename', { name: 'backend' })
  await expect(alice.call('rename', { name: 'api' })).rejects.toMatchObject({ code: 'name_taken' })
  const next = await project.node('api', { session: 's2' })
  await expect(api.call('rename', { name: 'api' })).rejects.toMatchObject({ code: 'name_taken' })
  expect([next.name, api.name]).toEqual(['api', 'backend'])
})

test('a name in use is no new name', async ({ project }) => {
  const { alice, bob, carol } = await project.nodes('alice', 'bob', 'carol')
  await carol.stop()
  for (const name of ['bob', 'carol', 'alice']) {
    await expect(alice.call('rename', { name })).rejects.toMatchObject({ code: 'name_taken' })
  }
  expect([alice.name, bob.name]).toEqual(['alice', 'bob'])
  await alice.nothingElse()
})

test('a renamed session that had come back before counts its messages on', async ({ project }) => {
  const { bob, api } = await project.nodes('bob', 'api')
  await api.send('bob', 'first')
  await api.stop()
  const back = await project.node('api')
  await back.send('bob', 'second')
  await back.call('rename', { name: 'backend' })
  for (const text of ['third', 'fourth', 'fifth']) await back.send('bob', text)
  expect(await bob.texts(5)).toEqual(['first', 'second', 'third', 'fourth', 'fifth'])
  const last = (await numbers(project, 'bob')).slice(-3)
  expect(last).toEqual([last[0]!, last[0]! + 1, last[0]! + 2])
})

test('what is being sent while a session is renamed is sent once', async ({ project }) => {
  const { bob, api } = await project.nodes('bob', 'api')
  const texts = Array.from({ length: 30 }, (_, i) => `number ${i}`)
  const sends = texts.map((text) => api.send('bob', text))
  await api.call('rename', { name: 'backend' })
  await Promise.all(sends)
  expect((await bob.texts(30)).sort()).toEqual(texts.sort())
  await bob.nothingElse()
  await bob.send('backend', 'still there?')
  expect(await api.texts(1)).toEqual(['still there?'])
})

test('a sender in the middle of a conversation is told at once of a rename and of an end', async ({ project }) => {
  const { alice, bob } = await project.nodes('alice', 'bob')
  for (const text of ['one', 'two', 'three']) expect(await alice.send('bob', text)).not.toHaveProperty('note')
  await bob.call('rename', { name: 'robert' })
  await until(
    async () => (await alice.send('bob', 'to the old name')).note === 'bob is robert now',
    'the rename is told',
  )
  await bob.stop()
  await until(async () => /robert is gone/.test((await alice.send('robert', 'bye')).note ?? ''), 'the end is told')
})
