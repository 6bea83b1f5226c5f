/** Whatever becomes of a session, its sidecar and the engine while its run goes on: it is told the end, once. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { type Interactive, kill, submit } from '../support/client.ts'
import { eventually } from '../support/eventually.ts'
import { Life } from '../support/life.ts'
import { meshBin } from '../support/mesh.ts'
import { bash } from '../support/mock-model.ts'
import { missing, testNothingLeft, useSuite } from '../support/suite.ts'

const suite = useSuite()
const life = new Life(suite)

const living: Interactive[] = []
async function start(...args: string[]) {
  const session = await life.start({ bypass: true, args })
  living.push(session)
  return session
}
afterEach(async () => {
  for (const session of living.splice(0)) await life.end(session)
})

/** A session that started a run in its Bash and ended its turn. The run ends, with `boom` and 7, once `end` is called. */
async function withRun() {
  const { model, mesh, lab } = suite
  const session = await start()
  const { pid } = session
  const gate = join(lab.project, `end-${pid}`)
  const script = `until [ -e ${gate} ]; do sleep 0.02; done; echo boom-${pid} >&2; exit 7`
  model.script(`run-${pid}`, [
    { call: [bash(`node '${meshBin}' run --detach -- sh -c '${script}'`)] },
    { say: 'I wait for it.' },
  ])
  await submit(session, `play run-${pid}`)
  const started = await eventually('the run was started', () =>
    model.saw(`play run-${pid}`).find(({ fresh }) => /^r_[0-9a-f]{32} pid/m.test(fresh)),
  )
  const run = /r_[0-9a-f]{32}/.exec(started.fresh)![0]
  await mesh.reaches(pid, 'idle')
  const end = async () => {
    expect(model.saw(`boom-${pid}`)).toEqual([])
    writeFileSync(gate, '')
    await eventually('the run has ended', async () => (await mesh.run('events', '--run', run)).includes('run_failed'))
  }
  return { ...session, sessionId: started.sessionId, run, boom: `boom-${pid}`, end }
}

/** How often the conversation as it is now holds the end of the run. */
function told({ run, boom }: { run: string; boom: string }): number {
  const { text } = suite.model.saw(boom).at(-1)!
  const line = new RegExp(`\\[run ${run.slice(0, 12)}[^\\]]* failed: exit 7 after [^\\]]*\\]\\s+${boom}`, 'g')
  return [...text.matchAll(line)].length
}

describe.skipIf(missing)('a session that waits for the end of its run', () => {
  test.each(['while it is closed', 'after it was resumed'])(
    'is compacted, closed and resumed; the run ends %s: it is notified once, with exit code and last words',
    async (when) => {
      const { mesh, model } = suite
      const session = await withRun()
      const { pid, name, sessionId, boom } = session
      await submit(session, '/compact')
      await eventually('it is compacted', () => /compacted/i.test(session.screen()))
      await mesh.reaches(pid, 'idle')
      await submit(session, '/exit')
      await mesh.reaches(pid, 'gone')
      if (when === 'while it is closed') await session.end()
      const back = await start('--resume', sessionId)
      expect(back.name).toBe(name)
      if (when !== 'while it is closed') await session.end()
      await eventually('the model reads the end', () => model.saw(boom)[0])
      await mesh.reaches(back.pid, 'idle')
      expect(told(session)).toBe(1)
      await life.say(back, `anything else ${pid}`)
      expect(told(session)).toBe(1)
    },
  )

  test('is idle; sidecar and engine are killed before the run ends: it is woken and notified once', async () => {
    const { mesh, model, lab } = suite
    const session = await withRun()
    const { pid, boom } = session
    const sidecar = mesh.sidecarPid(pid)
    kill(sidecar, 'SIGKILL')
    kill(JSON.parse(readFileSync(join(lab.meshHome, 'engine', 'engine.json'), 'utf8')).pid, 'SIGKILL')
    await session.end()
    await eventually('the model reads the end', () => model.saw(boom)[0])
    await mesh.reaches(pid, 'idle')
    expect(mesh.sidecarPid(pid)).not.toBe(sidecar)
    expect(told(session)).toBe(1)
    await life.say(session, `anything else ${pid}`)
    expect(told(session)).toBe(1)
  })
})

testNothingLeft(suite)
