import { expect } from 'vitest'
import { type Node, test } from '../../support/node.ts'

/** A wait that misses a change looks again after 5 s. */
const IN_TIME_MS = 3000

/** Lets `change` happen, and be heard of, while `node` looks for the first time; its look shows what was before. */
function duringLook(node: Node, change: () => Promise<void>): void {
  const { presence, link } = node.sidecar
  const real = presence.sessions.bind(presence)
  presence.sessions = async (store) => {
    presence.sessions = real
    const before = await real(store)
    await change()
    // The engine answers after it has sent what it told before.
    await link.store.names.get('bob')
    return before
  }
}

async function msOf(work: Promise<unknown>): Promise<number> {
  const startedAt = performance.now()
  await work
  return performance.now() - startedAt
}

test('wait - a session that becomes idle while the wait looks is reported at once', async ({ project }) => {
  const { alice, bob } = await project.nodes('alice', 'bob')
  bob.status('busy')
  await bob.sidecar.presence.beat()
  duringLook(alice, async () => {
    // One heartbeat, and no other soon after it.
    bob.sidecar.presence.changed = () => {}
    bob.status('idle')
    await bob.sidecar.presence.beat()
  })
  expect(await msOf(alice.call('wait', { targets: ['bob'], until: 'idle' }))).toBeLessThan(IN_TIME_MS)
})

test('wait - a time that runs out while the wait looks ends it at once', async ({ project }) => {
  const { alice, bob } = await project.nodes('alice', 'bob')
  bob.status('busy')
  await bob.sidecar.presence.beat()
  duringLook(alice, () => new Promise((resolve) => setTimeout(resolve, 20)))
  const waited = alice.call('wait', { targets: ['bob'], until: 'idle', timeoutMs: 1 })
  const settled = msOf(waited.catch((error) => expect(error).toMatchObject({ code: 'timeout' })))
  expect(await settled).toBeLessThan(IN_TIME_MS)
})

test('wait - it goes on when the engine goes away and comes back', async ({ project, world }) => {
  const { alice, bob } = await project.nodes('alice', 'bob')
  bob.status('busy')
  await bob.sidecar.presence.beat()
  const done = alice.call('wait', { targets: ['bob'], until: 'idle' })
  world.killEngine()
  await expect.poll(() => alice.sidecar.link.up && bob.sidecar.link.up, { timeout: 20_000 }).toBe(true)
  bob.status('idle')
  await bob.sidecar.presence.beat()
  expect(await done).toMatchObject({ results: [{ type: 'session_idle', name: 'bob' }] })
})
