/** What a session does or waits for, as others see it, and what the people hear of sessions of theirs. */
import { expect } from 'vitest'
import type { SidecarProcess } from '../../support/lab/sidecar-process.ts'
import { type Node, test, until, WAIT } from '../../support/node.ts'

const seen = async (by: Node, name: string) => (await by.call('ps', {})).find((one) => one.name === name)!
const since = new Date().toISOString()

/** Texts that a person has got; reads no more often than asked. */
async function texts(person: SidecarProcess, count: number): Promise<string[]> {
  const all: string[] = []
  await until(async () => {
    const { messages, handover } = await person.call('inbox', {})
    if (handover !== undefined) await person.call('taken', { handover })
    all.push(...messages.map(({ text }) => text))
    return all.length >= count
  }, `${count} messages`)
  return all
}

test('doing - the cause of a state is shown, and is gone with it', async ({ project }) => {
  const { alice, bob } = await project.nodes('alice', 'bob')
  const cause = { kind: 'permission', tool: 'Bash', input: 'rm -rf build', since }
  bob.harness.events.status('waiting', cause)
  await expect.poll(() => seen(alice, 'bob'), WAIT).toMatchObject({ status: 'waiting', cause, since })
  bob.harness.events.status('idle', null)
  await expect.poll(() => seen(alice, 'bob'), WAIT).toMatchObject({ status: 'idle', cause: null })
  expect(Date.parse((await seen(alice, 'bob')).since!)).toBeGreaterThanOrEqual(Date.parse(since))
})

test('doing - a session that is blocked in a question says whom it asks and what', async ({ project }) => {
  const { alice, bob } = await project.nodes('alice', 'bob')
  bob.status('busy')
  const asked = bob.send('alice', 'May I drop it?', { wait: 'reply', timeoutMs: 60_000 })
  const cause = { kind: 'session', name: 'alice', text: 'May I drop it?' }
  await expect.poll(() => seen(alice, 'bob'), WAIT).toMatchObject({ status: 'busy', cause })
  const [question] = await alice.messages(1)
  await alice.call('reply', { id: 'm_'.padEnd(34, '7'), replyTo: question!.id, text: 'yes' })
  await asked
  await expect.poll(async () => (await seen(alice, 'bob')).cause, WAIT).toBeNull()
})

test('doing - the people hear once that a turn failed, and that a session was killed', async ({ project }) => {
  const ceo = await project.spawn('ceo')
  const { alice, bob } = await project.nodes('alice', 'bob')
  const error = { kind: '529 overloaded', message: 'API Error: 529' }
  for (let turn = 0; turn < 3; turn++) bob.harness.events.turnEnded({ text: null, error })
  bob.harness.events.status('idle', { kind: 'error', error: error.kind, text: error.message, since })
  expect(await texts(ceo, 1)).toEqual([expect.stringMatching(/"bob" failed: 529 overloaded, API Error: 529/)])
  expect((await alice.call('wait', { targets: ['bob'], until: 'idle' })).results).toMatchObject([
    { type: 'session_idle', status: 'failed', reason: expect.stringContaining('529') },
  ])
  bob.harness.events.ended({ code: 'killed', reason: 'killed' })
  expect(await texts(ceo, 1)).toEqual([expect.stringMatching(/"bob" has ended: killed/)])
})
