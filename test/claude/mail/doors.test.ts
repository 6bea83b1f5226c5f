/** Which door a message takes when the first one does not do, and that a waiting call comes before all of them. */
import { readFileSync, writeFileSync } from 'node:fs'
import { afterEach, describe, expect, test } from 'vitest'
import { type Interactive, kill, submit } from '../support/client.ts'
import { eventually } from '../support/eventually.ts'
import { meshBin } from '../support/mesh.ts'
import { bash } from '../support/mock-model.ts'
import { missing, testNothingLeft, useSuite } from '../support/suite.ts'

const suite = useSuite()
const readBy = (word: string) => eventually(`the model reads ${word}`, () => suite.model.saw(word)[0])
const times = (text: string, word: string) => text.split(word).length - 1

describe.skipIf(missing)('doors', () => {
  let current: Interactive | undefined
  afterEach(async () => {
    if (!current) return
    kill(current.pid, 'SIGKILL')
    await suite.mesh.reaches(current.pid, 'gone')
    current = undefined
  })

  async function startIdle(): Promise<{ session: Interactive; name: string }> {
    const session = await suite.terminal.start()
    current = session
    const { name } = await suite.mesh.reaches(session.pid, 'idle')
    return { session, name }
  }

  test.each([
    ['mesh wait', 'wait --timeout 20s'],
    ['mesh inbox', 'inbox'],
  ])('%s in its shell gets what came just before and nobody has taken', async (_, command) => {
    const { model, mesh } = suite
    const { session, name } = await startIdle()
    let release = () => {}
    const gate = new Promise<void>((resolve) => {
      release = resolve
    })
    const [script, word] = [`shell-${session.pid}`, `before-${session.pid}`]
    const call = bash(`node '${meshBin}' ${command}`)
    model.script(script, [() => gate.then(() => ({ call: [call] })), { say: 'done' }])
    await submit(session, `play ${script}`)
    await mesh.reaches(session.pid, 'busy')
    const { id } = await mesh.send(name, word)
    await mesh.waiting(session.pid, word)
    release()
    const request = await readBy(word)
    expect(request.fresh).not.toContain('</mesh-')
    expect((await mesh.traced(id, 'surfaced')).evidence).toContain('mesh command')
    await mesh.reaches(session.pid, 'idle')
    expect(times(model.requests.filter(({ auxiliary }) => !auxiliary).at(-1)!.text, word)).toBe(1)
  })

  test('more messages than one hand-over holds come in several, each once', async () => {
    const { model, mesh } = suite
    const { session, name } = await startIdle()
    let release = () => {}
    const gate = new Promise<void>((resolve) => {
      release = resolve
    })
    const script = `many-${session.pid}`
    const words = Array.from({ length: 45 }, (_, i) => `word-${session.pid}-${i}-end`)
    model.script(script, [
      () => gate.then(() => ({ call: [bash('echo one')] })),
      { call: [bash('echo two')] },
      { say: 'done' },
    ])
    await submit(session, `play ${script}`)
    await mesh.reaches(session.pid, 'busy')
    for (const word of words) await mesh.send(name, word)
    await mesh.waiting(session.pid, words[0]!)
    release()
    for (const word of words) await readBy(word)
    await mesh.reaches(session.pid, 'idle')
    const last = model.requests.filter(({ auxiliary }) => !auxiliary).at(-1)!
    expect(words.map((word) => times(last.text, word))).toEqual(words.map(() => 1))
    expect(times(last.text, '</mesh-')).toBeLessThan(6)
  })

  test('a client that refuses what comes to its inbox socket is woken by the file that it watches', async () => {
    const { lab, mesh } = suite
    const settings = readFileSync(lab.settings, 'utf8')
    writeFileSync(lab.settings, JSON.stringify({ ...JSON.parse(settings), crossSessionInbound: 'refuse' }))
    try {
      const { session, name } = await startIdle()
      for (const word of [`refused-${session.pid}`, `refused-again-${session.pid}`]) {
        const { id } = await mesh.send(name, word)
        const { fresh } = await readBy(word)
        expect(fresh).toContain('FileChanged')
        // Dropped is not read.
        expect(fresh).not.toContain('possible repeat')
        await mesh.traced(id, 'surfaced')
        await mesh.reaches(session.pid, 'idle')
      }
    } finally {
      writeFileSync(lab.settings, settings)
    }
  })
})

testNothingLeft(suite)
