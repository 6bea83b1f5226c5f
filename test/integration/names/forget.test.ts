import { existsSync } from 'node:fs'
import { expect } from 'vitest'
import { nameDir } from '../../../src/host/home.ts'
import { test, until } from '../../support/node.ts'

test('forget - a session that returns at that very moment keeps its name, and what it had open', async ({
  project,
  world,
}) => {
  const { lead } = await project.nodes('lead')
  const first = await project.node('api', { session: 'session-api' })
  const asking = lead.send('api', 'which port?', { wait: 'reply' })
  expect(await first.texts(1)).toEqual(['which port?'])
  await first.stop()
  await until(async () => (await lead.call('alive', { name: 'api' })).status === 'gone', 'it is gone')

  const { names } = lead.sidecar.link.store
  const remove = names.delete.bind(names)
  let back = first
  names.delete = async (...args) => {
    names.delete = remove
    back = await project.node('api', { session: 'session-api', process: first.process })
    return remove(...args)
  }
  await expect(lead.call('forget', { name: 'api' })).rejects.toMatchObject({ code: 'conflict' })
  const { obligations } = await back.call('state_show', {})
  expect(obligations).toMatchObject([{ kind: 'owed', with: 'lead' }])
  await back.call('reply', { id: `m_${'3'.repeat(32)}`, replyTo: obligations[0]!.id!, text: '8080' })
  expect((await asking).reply).toMatchObject({ text: '8080' })
  expect(existsSync(nameDir(world.home, project.name, 'api'))).toBe(true)
})

test('forget - a forgotten name leaves nothing on this machine, and its next owner begins anew', async ({
  project,
  world,
}) => {
  const { lead, api } = await project.nodes('lead', 'api')
  await api.stop()
  await lead.send('api', 'for the one before')
  expect(await lead.call('forget', { name: 'api' })).toEqual({ name: 'api', unread: 1 })
  expect(existsSync(nameDir(world.home, project.name, 'api'))).toBe(false)
  const next = await project.node('api', { session: 'another' })
  expect(next.sidecar.record.epoch).toBe(1)
  await next.nothingElse()
})
