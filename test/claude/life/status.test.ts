/** A session's status is the client's own, at once, whatever brings the change; a subagent's affairs do not touch it. */
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type Interactive, submit } from '../support/client.ts'
import { eventually } from '../support/eventually.ts'
import { Life } from '../support/life.ts'
import { bash, type Step } from '../support/mock-model.ts'
import { StatusWatch } from '../support/status-watch.ts'
import { missing, testNothingLeft, useSuite } from '../support/suite.ts'

const suite = useSuite()
const life = new Life(suite)
/** The issue grants 500 ms, which the lines printed here show; a plain test on a loaded machine gets ten times that. */
const CEILING_MS = 5000
const AGAIN_MS = 500
const go = () => join(suite.lab.project, 'go')
const heldTool = bash('until [ -e go ]; do sleep 0.05; done; echo released')

describe.skipIf(missing)('status', () => {
  let session: Interactive & { name: string }
  let watch: StatusWatch
  let scripts = 0

  beforeAll(async () => {
    session = await life.start()
    watch = new StatusWatch(suite, life, session.pid)
    await watch.reaches('idle')
  })
  afterEach(() => rmSync(go(), { force: true }))
  afterAll(async () => {
    await watch.stop()
    await life.end(session)
  })

  async function tells(status: string, what: string): Promise<void> {
    const took = await watch.reaches(status)
    console.log(`${status} told ${took} ms after the client: ${what}`)
    expect(took).toBeLessThan(CEILING_MS)
  }

  /** Plays a script and returns how many changes ps had told before. */
  async function play(...steps: Parameters<typeof suite.model.script>[1]): Promise<number> {
    const before = watch.mesh.length
    suite.model.script(`status-${++scripts}`, steps)
    await submit(session, `play status-${scripts}`)
    return before
  }

  async function shown(what: RegExp): Promise<void> {
    await eventually(
      () => `${what} is shown: ${session.screen()}`,
      () => what.test(session.screen()),
    )
  }

  /** A dialog takes no keys in its first moments: pressed again until it is gone. */
  async function answer(key: string): Promise<void> {
    let pressedAt = 0
    await eventually('the dialog is answered', () => {
      if (watch.client.at(-1)!.status !== 'waiting') return true
      if (Date.now() - pressedAt < AGAIN_MS) return false
      session.press(key)
      pressedAt = Date.now()
      return false
    })
  }

  test('a turn; Esc in a tool', async () => {
    await play({ call: [heldTool] })
    await tells('busy', 'a prompt')
    await shown(/until \[ -e go/)
    await watch.causes({ kind: 'tool', name: 'Bash', input: 'until [ -e go ]' })
    session.press('Escape')
    await tells('idle', 'Esc')
    await play({ say: 'done' })
    await tells('idle', 'the end of a turn')
  })

  test('a permission prompt, answered and escaped', async () => {
    const write = { call: [{ name: 'Write', input: { file_path: join(suite.lab.project, 'made'), content: 'x' } }] }
    for (const key of ['Enter', 'Escape']) {
      const before = await play(write, { call: [heldTool] }, { say: 'done' })
      await tells('waiting', 'a permission prompt')
      await watch.causes({ kind: 'permission', tool: 'Write', input: join(suite.lab.project, 'made') })
      await shown(/Do you want/)
      await answer(key)
      if (key === 'Enter') {
        await tells('busy', 'the answer')
        writeFileSync(go(), '')
      }
      await tells('idle', key)
      expect(watch.since(before)).toEqual(
        key === 'Enter' ? ['busy', 'waiting', 'busy', 'idle'] : ['busy', 'waiting', 'idle'],
      )
    }
  })

  test('a question to the user', async () => {
    const options = ['one', 'two'].map((label) => ({ label, description: label }))
    const questions = [{ question: 'Which one?', header: 'Pick', multiSelect: false, options }]
    await play({ call: [{ name: 'AskUserQuestion', input: { questions } }] }, { say: 'done' })
    await tells('waiting', 'AskUserQuestion')
    await watch.causes({ kind: 'question', text: 'Which one?' })
    await shown(/Which one\?/)
    await answer('Enter')
    await tells('idle', 'the answer')
  })

  test.each([401, 429, 529])('API error %i: busy through the retries, then idle', async (fail) => {
    const tries = suite.model.requests.length
    const before = await play({ fail })
    await tells('busy', 'a prompt')
    await tells('idle', `API error ${fail}`)
    await watch.causes({ kind: 'error', text: 'API Error' })
    expect(suite.model.requests.length - tries).toBeGreaterThan(1)
    expect(watch.since(before)).toEqual(['busy', 'idle'])
  })

  test.each([
    ['ends', { say: 'kid done' }, 'completed'],
    ['dies of an API error', { fail: 400 }, 'failed'],
  ])('busy stays busy while a subagent works and %s', async (_how, end, told) => {
    const { model } = suite
    const kid = `kid-${++scripts}`
    const isOver = (text: string) => text.includes(`<status>${told}</status>`)
    model.script(kid, [{ call: [bash('echo kid-ran')] }, end])
    const input = { description: 'a child', prompt: `play ${kid}`, subagent_type: 'general-purpose' }
    // Tool calls until the client tells that the child is over.
    const untilTold: Step = ({ text }) => (isOver(text) ? { say: 'done' } : { call: [bash('sleep 0.1')] })
    const before = await play({ call: [{ name: 'Agent', input }] }, ...Array<Step>(200).fill(untilTold))
    await tells('busy', 'a prompt')
    await tells('idle', 'the end of the turn')
    expect(model.requests.filter(({ agentId }) => agentId !== undefined).length).toBeGreaterThan(1)
    expect(isOver(model.requests.findLast(({ auxiliary }) => !auxiliary)!.text)).toBe(true)
    expect(watch.since(before)).toEqual(['busy', 'idle'])
  })

  test('a shell that a turn leaves in the background: the session is idle, and woken', async () => {
    const [server] = [bash('until [ -e over ]; do sleep 0.05; done')]
    await play({ call: [{ ...server, input: { ...server.input, run_in_background: true } }] }, { say: 'started' })
    await watch.causes({ kind: 'shell' })
    expect(watch.mesh.at(-1)!.status).toBe('idle')
    writeFileSync(join(suite.lab.project, 'over'), '')
  })
})

testNothingLeft(suite)
