/** However a session ends, it is told as gone, with the reason, at once. */
import { describe, expect, test } from 'vitest'
import { type Interactive, kill, submit } from '../support/client.ts'
import { eventually } from '../support/eventually.ts'
import { missing, testNothingLeft, useSuite } from '../support/suite.ts'

const suite = useSuite()

/** The fault suite judges the second that the issue grants; a plain test on a loaded machine gets ten. */
const CEILING_MS = 10_000

async function startIdle(): Promise<Interactive> {
  const session = await suite.terminal.start()
  await suite.mesh.reaches(session.pid, 'idle')
  return session
}

/** Reads `gone` off `mesh ps` and returns its reason. */
async function expectGone({ pid }: Interactive, endedAt: number, how: string): Promise<string | undefined> {
  const session = await suite.mesh.reaches(pid, 'gone')
  const took = new Date(session.endedAt!).getTime() - endedAt
  console.log(`gone ${took} ms after ${how}: ${session.reason}`)
  expect(took).toBeLessThan(CEILING_MS)
  return session.reason
}

describe.skipIf(missing)('end', () => {
  test.each([
    ['kill -9', 'SIGKILL', 'killed'],
    ['SIGTERM', 'SIGTERM', 'ended by a signal'],
    ['SIGHUP', 'SIGHUP', 'ended by a signal'],
  ] as const)('(i) %s of the client is gone', async (how, signal, reason) => {
    const session = await startIdle()
    const endedAt = Date.now()
    kill(session.pid, signal)
    expect(await expectGone(session, endedAt, how)).toBe(reason)
  })

  test('(i) a session ended by /exit is gone', async () => {
    const session = await startIdle()
    await submit(session, '/exit')
    expect(await expectGone(session, Date.now(), '/exit')).toBe('exit')
  })

  test('(i) a client killed together with its sidecar is gone: another sidecar of the host witnesses it', async () => {
    const { mesh } = suite
    const [session, other] = [await startIdle(), await startIdle()]
    const sidecars = mesh.sidecarProcesses(session.pid)
    expect(sidecars).toHaveLength(2)
    const endedAt = Date.now()
    for (const pid of [...sidecars, session.pid]) kill(pid, 'SIGKILL')
    await expectGone(session, endedAt, 'kill -9 of client and sidecar')
    kill(other.pid, 'SIGKILL')
    await mesh.reaches(other.pid, 'gone')
  })

  test('mail to a session that is gone waits for the first prompt of the next one of the worktree, and is marked', async () => {
    const { mesh, model } = suite
    const session = await startIdle()
    const { name } = (await mesh.sessionOf(session.pid))!
    kill(session.pid, 'SIGKILL')
    await mesh.reaches(session.pid, 'gone')
    const word = `waited-${session.pid}`
    const { id } = await mesh.send(name, word)
    const next = await startIdle()
    expect(model.saw(word)).toEqual([])
    await submit(next, 'what is there')
    const { fresh } = await eventually('the next session reads it', () => model.saw(word)[0])
    expect(fresh).toContain('for the conversation before you')
    expect(fresh).toContain('what is there')
    await mesh.traced(id, 'surfaced')
    expect((await mesh.sessionOf(next.pid))!.name).toBe(name)
    kill(next.pid, 'SIGKILL')
    await mesh.reaches(next.pid, 'gone')
  })
})

testNothingLeft(suite)
