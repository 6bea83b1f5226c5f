/** After Esc the person has the floor: no message starts a turn by itself, and what waits goes with their next words. */
import { spawnSync } from 'node:child_process'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { type Interactive, kill, submit } from '../support/client.ts'
import { eventually } from '../support/eventually.ts'
import { bash, type ModelRequest } from '../support/mock-model.ts'
import { missing, testNothingLeft, useSuite } from '../support/suite.ts'

const suite = useSuite()
const readBy = (word: string) => eventually(`the model reads ${word}`, () => suite.model.saw(word)[0])
const requestsOf = (session: Interactive) =>
  suite.model.requests.filter(({ auxiliary, text }) => !auxiliary && text.includes(`-${session.pid}`))

describe.skipIf(missing)('after Esc', () => {
  const sessions: Interactive[] = []
  afterEach(async () => {
    for (const session of sessions.splice(0)) {
      kill(session.pid, 'SIGKILL')
      await suite.mesh.reaches(session.pid, 'gone')
    }
  })

  /** A session whose sidecar has this setting. */
  async function start(floorSeconds: number): Promise<{ session: Interactive; name: string }> {
    writeFileSync(join(suite.lab.meshHome, 'settings.json'), JSON.stringify({ floorSeconds }))
    const session = await suite.terminal.start()
    sessions.push(session)
    const { name } = await suite.mesh.reaches(session.pid, 'idle')
    return { session, name }
  }

  /** Begins a turn that does not end by itself, in the way that is named. */
  async function begin(session: Interactive, how: string): Promise<() => void> {
    let release = () => {}
    const gate = new Promise<void>((resolve) => {
      release = resolve
    })
    const script = `stop-${session.pid}`
    const go = join(suite.lab.project, 'go')
    rmSync(go, { force: true })
    const steps = {
      'a tool runs': { call: [bash('until [ -e go ]; do sleep 0.05; done')] },
      'the model answers': () => gate.then(() => ({ say: 'too late' })),
      'it asks for permission': { call: [{ name: 'Write', input: { file_path: go, content: 'x' } }] },
    }
    suite.model.script(script, [steps[how as keyof typeof steps]])
    await submit(session, `play ${script}`)
    await suite.mesh.reaches(session.pid, how === 'it asks for permission' ? 'waiting' : 'busy')
    await eventually('the model was asked', () => requestsOf(session)[0])
    if (how === 'a tool runs') await eventually('the tool runs', () => session.screen().includes('until ['))
    return release
  }

  /** Gives mesh all the time it takes to wake a session: another one is woken meanwhile. */
  async function othersAreWoken(): Promise<void> {
    const { session, name } = await start(0)
    for (const word of [`other-${session.pid}`, `another-${session.pid}`]) {
      await suite.mesh.send(name, word)
      await readBy(word)
      await suite.mesh.reaches(session.pid, 'idle')
    }
  }

  const expectTogether = (request: ModelRequest, ...words: string[]) => {
    for (const word of words) expect(request.fresh).toContain(word)
  }

  test.each(['a tool runs', 'the model answers', 'it asks for permission'])(
    'while %s: mail waits and is in the request of the next prompt, whenever it came',
    async (how) => {
      const { mesh } = suite
      const { session, name } = await start(3600)
      const release = await begin(session, how)
      const [before, after, prompt] = ['before', 'after', 'rather'].map((word) => `${word}-${session.pid}`)
      const ids = [(await mesh.send(name, before!)).id]
      await mesh.waiting(session.pid, before!)
      session.press('Escape')
      await mesh.reaches(session.pid, 'idle')
      release()
      ids.push((await mesh.send(name, after!)).id)
      await mesh.waiting(session.pid, before!, after!)
      await othersAreWoken()
      expect(requestsOf(session)).toHaveLength(1)
      await submit(session, prompt!)
      expectTogether(await readBy(prompt!), before!, after!)
      for (const id of ids) await mesh.traced(id, 'surfaced')
      // The floor is over with the prompt.
      await mesh.reaches(session.pid, 'idle')
      const later = await mesh.send(name, `later-${session.pid}`)
      await readBy(`later-${session.pid}`)
      await mesh.traced(later.id, 'surfaced')
      await mesh.reaches(session.pid, 'idle')
    },
  )

  test('a prompt that was queued runs as a turn of its own: stopped, mail waits too', async () => {
    const { mesh, model } = suite
    const { session, name } = await start(3600)
    const release = await begin(session, 'the model answers')
    const [queued, word, prompt] = ['queued', 'mail', 'rather'].map((one) => `${one}-${session.pid}`)
    model.script(queued!, [{ call: [bash('until [ -e go ]; do sleep 0.05; done')] }])
    await submit(session, `play ${queued}`)
    await eventually('it is queued', () => {
      const { stdout } = spawnSync('grep', ['-rh', '"enqueue"', join(suite.lab.configDir, 'projects')], {
        encoding: 'utf8',
      })
      return stdout.includes(queued!)
    })
    release()
    await eventually('the tool runs', () => session.screen().includes('until ['))
    session.press('Escape')
    await mesh.reaches(session.pid, 'idle')
    const { id } = await mesh.send(name, word!)
    await mesh.waiting(session.pid, word!)
    await submit(session, prompt!)
    expectTogether(await readBy(prompt!), word!)
    await mesh.traced(id, 'surfaced')
    await mesh.reaches(session.pid, 'idle')
  })

  test('a prompt taken back before the first word leaves its mail to the next prompt, marked', async () => {
    const { mesh } = suite
    const { session, name } = await start(3600)
    await begin(session, 'a tool runs')
    session.press('Escape')
    await mesh.reaches(session.pid, 'idle')
    const word = `mail-${session.pid}`
    const { id } = await mesh.send(name, word)
    await mesh.waiting(session.pid, word)
    const script = `silent-${session.pid}`
    suite.model.script(script, [() => new Promise<never>(() => {})])
    await submit(session, `play ${script}`)
    expectTogether(await readBy(word), script)
    await mesh.traced(id, 'surfaced')
    session.press('Escape')
    // The client puts the prompt back: it lies in the input.
    await mesh.waiting(session.pid, word)
    session.press('C-u')
    await eventually('the input is empty', () => !session.screen().includes(script))
    await submit(session, `rather-${session.pid}`)
    const request = await readBy(`rather-${session.pid}`)
    expect(request.text).not.toContain(script)
    expectTogether(request, word, 'possible repeat')
    await mesh.reaches(session.pid, 'idle')
    await mesh.traced(id, 'surfaced')
  })

  test('the floor ends: then the message wakes the session', async () => {
    const { mesh } = suite
    const floorSeconds = 4
    const { session, name } = await start(floorSeconds)
    await begin(session, 'a tool runs')
    const at = Date.now()
    session.press('Escape')
    await mesh.reaches(session.pid, 'idle')
    const word = `wake-${session.pid}`
    const { id } = await mesh.send(name, word)
    const request = await readBy(word)
    console.log(`woken ${request.at - at} ms after Esc, with a floor of ${floorSeconds} s`)
    expect(request.at - at).toBeGreaterThanOrEqual(floorSeconds * 1000)
    await mesh.traced(id, 'surfaced')
  })

  test('a turn that ended by itself gives nobody the floor', async () => {
    const { mesh, model } = suite
    const { session, name } = await start(3600)
    for (const step of [{ say: 'done' }, { fail: 400 }]) {
      const word = `${Object.keys(step)[0]}-${session.pid}`
      model.script(`end-${word}`, [step])
      await submit(session, `play end-${word}`)
      await eventually('the model was asked', () => model.saw(`play end-${word}`)[0])
      const over = 'fail' in step ? 'failed' : 'idle'
      await mesh.reaches(session.pid, over)
      await mesh.send(name, word)
      await eventually('it is woken', () => model.requests.find(({ fresh }) => fresh.includes(`${word}\n</mesh-`)))
      // The script goes on where it failed.
      await mesh.reaches(session.pid, over)
    }
  })
})

testNothingLeft(suite)
