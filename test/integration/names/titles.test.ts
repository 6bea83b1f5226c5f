/** Titles that people give sessions in their client: shown, and understood in place of a name. */
import { expect } from 'vitest'
import { newId } from '../../../src/wire/names.ts'
import { type Node, test } from '../../support/node.ts'

/** Gives a session's client a title, which its next heartbeat shows. */
async function entitle(node: Node, title: string): Promise<void> {
  node.harness.title = () => title
  await node.sidecar.presence.beat()
}

const send = (from: Node, to: string) => from.call('send', { id: newId('m'), to, text: 'hi' })

test('titles - a message to a title goes to the one session that has it', async ({ project }) => {
  const { alice, bob } = await project.nodes('alice', 'bob')
  await entitle(bob, '認証修正')
  expect(await send(alice, ' 認証修正')).toMatchObject({ to: 'bob' })
  const shown = await alice.call('ps', {})
  expect(shown.map(({ name, title }) => [name, title])).toEqual([
    ['alice', null],
    ['bob', '認証修正'],
  ])
  await entitle(alice, 'web')
  expect(await send(bob, 'web')).toMatchObject({ to: 'alice' })
})

test('titles - one that several sessions have, or none, is refused', async ({ project }) => {
  const { alice, bob, carol } = await project.nodes('alice', 'bob', 'carol')
  await entitle(bob, 'fe#142')
  await entitle(carol, 'fe#142')
  await expect(send(alice, 'fe#142')).rejects.toMatchObject({
    code: 'bad_name',
    message: '"fe#142" is the title of several sessions: bob, carol',
  })
  await expect(send(alice, '認証')).rejects.toMatchObject({ code: 'bad_name', message: '"認証" is not a session name' })
  await expect(send(alice, 'nobody')).rejects.toMatchObject({ code: 'not_found' })
})

test('a session whose model cannot speak is shown as that', async ({ project }) => {
  const { alice, bob } = await project.nodes('alice', 'bob')
  bob.harness.voice = () => 'none'
  await bob.sidecar.presence.beat()
  const speaks = async () => (await alice.call('ps', {})).find(({ name }) => name === 'bob')?.speaks
  expect(await speaks()).toBe(false)
  bob.harness.voice = () => 'tools'
  await bob.sidecar.presence.beat()
  expect(await speaks()).toBeUndefined()
})
