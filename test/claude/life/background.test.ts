/** Background sessions: hooks, registry and inbox work there as anywhere. The daemon that runs them is the client's. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { submit } from '../support/client.ts'
import { eventually } from '../support/eventually.ts'
import { Life, startTexts } from '../support/life.ts'
import { bash } from '../support/mock-model.ts'
import { missing, testNothingLeft, useSuite } from '../support/suite.ts'

const suite = useSuite()
const life = new Life(suite)

interface Background {
  pid: number
  id: string
  sessionId: string
}

const stopped: string[] = []
async function backgrounds(): Promise<Background[]> {
  const listed = JSON.parse(await life.claude(['agents', '--json'])) as (Background & { kind: string })[]
  return listed.filter(({ kind, pid, id }) => kind === 'background' && pid && !stopped.includes(id))
}

/** The one background session that there is now. */
async function onlyOne(): Promise<Background> {
  return eventually('a background session', async () => (await backgrounds())[0])
}

async function stop({ id, pid }: Background): Promise<void> {
  stopped.push(id)
  await life.claude(['stop', id])
  await life.ended(pid)
}

describe.skipIf(missing)('in the background', () => {
  afterEach(async () => {
    for (const one of await backgrounds()) await stop(one)
  })
  // Its own command: it is not ours to kill.
  afterAll(() => life.claude(['daemon', 'stop', '--any']))

  test('claude --bg joins, is woken, also when attached, and is gone when it is stopped', async () => {
    const { mesh, terminal } = suite
    // The daemon that this starts gives its environment to all that follow.
    await life.claude(['--bg', 'hello from the background'], { MESH_NAME: 'whose' })
    const session = await onlyOne()
    const { name } = await mesh.reaches(session.pid, 'idle')
    expect(name).not.toBe('whose')
    const { epoch } = life.record(session.pid)
    await life.isRight(session.pid, { name, epoch, sessionId: session.sessionId })
    const attached = await terminal.start({ args: ['attach', session.id] })
    await eventually('it is shown', () => attached.screen().includes('hello from the background'))
    await life.isRight(session.pid, { name, epoch })
    expect((await mesh.ps()).filter(({ pid }) => pid === attached.pid)).toEqual([])
    await stop(session)
    const reason = 'ended by the daemon of its client (claude stop)'
    expect(await mesh.sessionOf(session.pid)).toMatchObject({ status: 'gone', reason })
  })

  test.each(['idle', 'busy'])('a session moved by /background while %s keeps its name and mail', async (status) => {
    const { mesh, model } = suite
    const session = await life.start({ env: { MESH_NAME: `mover-${status}` } })
    await life.say(session, `hello ${session.pid}`)
    await mesh.run('send', session.name, '--', `before ${session.pid}`)
    await life.readBy(`before ${session.pid}`)
    await mesh.reaches(session.pid, 'idle')
    const go = join(suite.lab.project, `go-${session.pid}`)
    if (status === 'busy') {
      model.script(`hold-${session.pid}`, [
        { call: [bash(`until [ -e '${go}' ]; do sleep 0.05; done`)] },
        { say: 'done' },
      ])
      await submit(session, `play hold-${session.pid}`)
      await mesh.reaches(session.pid, 'busy')
    }
    await submit(session, '/background')
    await life.ended(session.pid)
    await mesh.send(session.name, `after ${session.pid}`)
    const moved = await onlyOne()
    await mesh.reaches(moved.pid, status)
    writeFileSync(go, '')
    const request = await life.readBy(`after ${session.pid}`)
    expect(request.sessionId).toBe(moved.sessionId)
    expect(startTexts(request)).toContain(`You are "${session.name}" on mesh`)
    await life.isRight(moved.pid, { name: session.name, epoch: 2, sessionId: moved.sessionId })
    expect(model.saw(`after ${session.pid}`).filter(({ sessionId }) => sessionId !== moved.sessionId)).toEqual([])
  })
})

testNothingLeft(suite)
