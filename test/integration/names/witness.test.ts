/** Who says that a session has ended, and when nobody may say so. */
import { expect } from 'vitest'
import { type Node, test, until, WAIT } from '../../support/node.ts'

/** Long enough for a witness to make a mistake. */
const LOOK_MS = 500

async function alive(node: Node, name: string) {
  const { status, reason, alive: lives } = await node.call('alive', { name })
  return { status, reason, lives }
}

test('a session that ends says so itself', async ({ project }) => {
  const { alice, bob } = await project.nodes('alice', 'bob')
  expect(await alive(alice, 'bob')).toMatchObject({ status: 'idle', lives: true })
  const waiting = alice.call('wait', { targets: ['bob'], until: 'end' })
  bob.harness.events.ended({ code: 'left', reason: 'prompt_input_exit' })
  expect((await waiting).results).toMatchObject([
    { type: 'session_ended', name: 'bob', status: 'gone', reason: 'prompt_input_exit' },
  ])
  expect(await alive(alice, 'bob')).toEqual({ status: 'gone', reason: 'prompt_input_exit', lives: false })
  const { store } = await project.attacker()
  expect((await store.names.get('bob'))?.value.witness).toBe('bob')
})

test('a session that is killed with its sidecar is reported by a neighbour', async ({ project }) => {
  const { alice } = await project.nodes('alice')
  const eve = await project.spawn('eve')
  const waiting = alice.call('wait', { targets: ['eve'], until: 'end' })
  await eve.kill()
  expect((await waiting).results).toMatchObject([{ name: 'eve', status: 'gone', reason: 'killed' }])
  const { store } = await project.attacker()
  expect((await store.names.get('eve'))?.value.witness).toBe('alice')
})

test('a session that is killed the moment it joined is reported too', async ({ project }) => {
  const { alice } = await project.nodes('alice')
  for (const name of ['eve', 'mallory', 'trudy']) {
    const young = await project.spawn(name)
    await young.kill()
    await expect.poll(() => alive(alice, name), WAIT).toMatchObject({ status: 'gone', reason: 'killed' })
  }
})

test('when the witness is killed, another sidecar takes its post and reports it', async ({ project }) => {
  const first = await project.spawn('first')
  const second = await project.spawn('second')
  const { alice } = await project.nodes('alice')
  for (const [name, session] of [
    ['first', first],
    ['second', second],
  ] as const) {
    await session.kill()
    await expect.poll(() => alive(alice, name), WAIT).toMatchObject({ status: 'gone', reason: 'killed' })
  }
})

test('a session that died unwitnessed is reported by the next sidecar that starts', async ({ project }) => {
  const eve = await project.spawn('eve')
  await eve.kill()
  const { alice } = await project.nodes('alice')
  await expect.poll(() => alive(alice, 'eve'), WAIT).toMatchObject({ status: 'gone', reason: 'killed' })
})

test('a session whose sidecar died is not gone, and its sidecar comes back', async ({ project }) => {
  const { alice, bob } = await project.nodes('alice', 'bob')
  await bob.crash()
  await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
  expect(await alive(alice, 'bob')).toMatchObject({ lives: true })
  const again = await project.node('bob', { process: bob.process })
  expect(again.sidecar.record).toMatchObject({ name: 'bob', epoch: 1, state: 'held' })
  expect(await alive(alice, 'bob')).toMatchObject({ status: 'idle', lives: true })
})

test('a stopped session is not gone', async ({ project }) => {
  const { alice } = await project.nodes('alice')
  const eve = await project.spawn('eve')
  eve.signal('SIGSTOP')
  await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
  expect(await alive(alice, 'eve')).toMatchObject({ lives: true })
  eve.signal('SIGCONT')
  expect(await eve.call('whoami', {})).toMatchObject({ name: 'eve', connected: true })
  await eve.kill()
  await expect.poll(() => alive(alice, 'eve'), WAIT).toMatchObject({ status: 'gone' })
})

test('a session of another machine is not judged by its process', async ({ project }) => {
  const { alice, bob } = await project.nodes('alice', 'bob')
  const { store } = await project.attacker()
  const entry = await store.names.get('bob')
  const elsewhere = { ...entry!.value, process: { ...entry!.value.process, host: 'elsewhere', boot: 'other' } }
  await bob.die()
  await store.names.update('bob', elsewhere, entry!.revision)
  const rival = await project.node('bob', { worktree: '/home/dev/bob', session: 's2' })
  expect(rival.name).toBe('bob-2')
  expect(await alive(alice, 'bob')).toMatchObject({ lives: true })
})

test('the outbox of a killed session is sent by the witness', async ({ project }) => {
  const machine = await project.machine()
  const bob = await project.node('bob', { machine })
  const { alice } = await project.nodes('alice')
  machine.cable.cut()
  await until(() => !bob.sidecar.link.up, 'the cut is noticed')
  expect(await bob.send('alice', 'on my disk')).toMatchObject({ state: 'queued' })
  await bob.die()
  machine.cable.mend()
  await project.node('neighbour', { machine })
  expect(await alice.messages(1)).toMatchObject([{ text: 'on my disk', from: 'bob', verified: true }])
  await alice.nothingElse()
})

test('a wait for a session that fell silent returns lost, not ended', async ({ project }) => {
  const { alice, bob } = await project.nodes('alice', 'bob')
  const waiting = alice.call('wait', { targets: ['bob'], until: 'end' })
  const { store } = await project.attacker()
  const entry = await store.names.get('bob')
  // As `ps` writes it for a session of a silent host.
  await bob.crash()
  const silent = { ...entry!.value.process, host: 'elsewhere', boot: 'other' }
  const record = { ...entry!.value, process: silent, state: 'lost', reason: 'no heartbeat' } as const
  await store.presence.delete('bob')
  await store.names.update('bob', record, entry!.revision)
  expect((await waiting).results).toMatchObject([{ type: 'session_lost', name: 'bob', reason: 'no heartbeat' }])
})
