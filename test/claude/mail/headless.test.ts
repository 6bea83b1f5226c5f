/** `claude -p`, with a prompt and as a stream of them. */
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { runPrint, runStreaming } from '../support/client.ts'
import { eventually } from '../support/eventually.ts'
import { bash } from '../support/mock-model.ts'
import { missing, testNothingLeft, useSuite } from '../support/suite.ts'

const suite = useSuite()
const readBy = (word: string) => eventually(`the model reads ${word}`, () => suite.model.saw(word)[0])

describe.skipIf(missing).each([
  ['', false],
  [' in bypass mode', true],
])('headless%s', (_, bypass) => {
  test('(e) claude -p gets a message in mid-turn, and its output is its own', async () => {
    const { model, mesh, lab, claude } = suite
    const go = join(lab.project, 'go')
    rmSync(go, { force: true })
    const script = `print-${bypass}`
    model.script(script, [{ call: [bash('until [ -e go ]; do sleep 0.05; done; echo released')] }, { say: 'all done' }])
    const run = runPrint(lab, claude, `play ${script}`, { bypass })
    const { name } = await mesh.reaches(run.pid, 'busy')
    await eventually('the tool runs', () => model.requests.some(({ fresh }) => fresh.includes(`play ${script}`)))
    const word = `print-${run.pid}`
    const { id } = await mesh.send(name, word)
    await mesh.waiting(run.pid, word)
    writeFileSync(go, '')
    const request = await readBy(word)
    expect(request.fresh).toContain('released')
    expect(request.text).toContain(`You are "${name}" on mesh`)
    expect([await run.ended, run.output()]).toEqual([0, 'all done\n'])
    await mesh.traced(id, 'surfaced')
    expect((await mesh.reaches(run.pid, 'gone')).reason).toBe('finished')
  })

  test('(f) an idle stream-json session is woken', async () => {
    const { mesh, lab, claude } = suite
    const run = runStreaming(lab, claude, { bypass })
    run.prompt('hello')
    await eventually('the first turn is over', () => run.output().includes('"type":"result"'))
    const { name } = await mesh.reaches(run.pid, 'idle')
    const word = `stream-${run.pid}`
    const { id } = await mesh.send(name, word)
    await readBy(word)
    await mesh.traced(id, 'surfaced')
    await mesh.reaches(run.pid, 'idle')
    run.finish()
    expect(await run.ended).toBe(0)
    await mesh.reaches(run.pid, 'gone')
  })
})

describe.skipIf(missing)('headless, stopped', () => {
  test('a session stopped by a signal is paused, and idle again when it goes on', async () => {
    const { mesh, lab, claude } = suite
    const run = runStreaming(lab, claude)
    run.prompt('hello')
    await mesh.reaches(run.pid, 'idle')
    process.kill(run.pid, 'SIGSTOP')
    await mesh.reaches(run.pid, 'paused')
    process.kill(run.pid, 'SIGCONT')
    await mesh.reaches(run.pid, 'idle')
    run.finish()
    await run.ended
    await mesh.reaches(run.pid, 'gone')
  })
})

testNothingLeft(suite)
