/** A client without an inbox socket and CLAUDE_PID: every door but the socket, and nothing of ours left. */
import { rmSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import {
  type Interactive,
  kill,
  makeLab,
  olderVersion,
  runPrint,
  runStreaming,
  submit,
  Terminal,
} from '../support/client.ts'
import { eventually } from '../support/eventually.ts'
import { Mesh, meshBin } from '../support/mesh.ts'
import { bash, type ModelRequest } from '../support/mock-model.ts'
import { testNothingLeft, useSuite } from '../support/suite.ts'

const suite = useSuite(olderVersion)
const readBy = (word: string) => eventually(`the model reads ${word}`, () => suite.model.saw(word)[0])
const lastText = () => suite.model.requests.filter(({ auxiliary }) => !auxiliary).at(-1)!.text
const times = (text: string, word: string) => text.split(word).length - 1

function heldTool(): { call: ReturnType<typeof bash>; release(): void } {
  const path = join(suite.lab.project, 'go')
  rmSync(path, { force: true })
  return { call: bash('until [ -e go ]; do sleep 0.05; done; echo released'), release: () => writeFileSync(path, '') }
}

describe.skipIf(suite.missing)(`Claude Code ${olderVersion}`, () => {
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

  test('idle, it is woken by the file that it watches, time and again', async () => {
    const { model, mesh } = suite
    const { session, name } = await startIdle()
    for (const word of [`wake-${session.pid}`, `again-${session.pid}`]) {
      const { id, at } = await mesh.send(name, word)
      const request = await readBy(word)
      console.log(`${olderVersion} woken ${request.at - at} ms after mesh send was started`)
      expect(request.fresh).toContain('FileChanged')
      await mesh.traced(id, 'surfaced')
      await mesh.reaches(session.pid, 'idle')
      expect(times(lastText(), word)).toBe(1)
    }
    expect(model.saw('Stop hook feedback')[0]!.text).toContain(`You are "${name}" on mesh`)
  })

  test('busy, it gets the message between two tool calls, and its shell is this session', async () => {
    const { model, mesh } = suite
    const { session, name } = await startIdle()
    const held = heldTool()
    const [script, word] = [`busy-${session.pid}`, `midturn-${session.pid}`]
    const whoami = bash(`node '${meshBin}' whoami --json`)
    model.script(script, [{ call: [held.call] }, { call: [whoami] }, { say: 'done' }])
    await submit(session, `play ${script}`)
    await mesh.reaches(session.pid, 'busy')
    const { id } = await mesh.send(name, word)
    await mesh.waiting(session.pid, word)
    held.release()
    const request = await readBy(word)
    expect(request.fresh).toContain('released')
    expect(request.messages.filter(({ role }) => role === 'assistant')).toHaveLength(1)
    await mesh.traced(id, 'surfaced')
    const answered = (one: ModelRequest) => one.fresh.includes('"sessionId"')
    const answer = await eventually('whoami answered', () => model.requests.find(answered))
    expect(answer.fresh).toContain(`"name":"${name}"`)
    await mesh.reaches(session.pid, 'idle')
    expect(times(lastText(), word)).toBe(1)
  })

  test('its turn over while the file is being noticed, each message comes once', async () => {
    const { model, mesh } = suite
    const { session, name } = await startIdle()
    const word = `crossing-${session.pid}`
    model.script(`cross-${session.pid}`, [{ call: [bash('echo crossed')] }, { say: 'done' }])
    const { id } = await mesh.send(name, word)
    await submit(session, `play cross-${session.pid}`)
    await readBy(word)
    await mesh.traced(id, 'surfaced')
    await eventually('both turns are over', () => model.saw(`play cross-${session.pid}`).length >= 2)
    await mesh.reaches(session.pid, 'idle')
    expect(times(lastText(), word)).toBe(1)
  })

  test('/clear: the new conversation is woken too', async () => {
    const { mesh } = suite
    const { session, name } = await startIdle()
    const before = `before-${session.pid}`
    await mesh.send(name, before)
    await readBy(before)
    await mesh.reaches(session.pid, 'idle')
    await submit(session, '/clear')
    await eventually('another conversation', () => !session.screen().includes(before))
    const word = `cleared-${session.pid}`
    const { id } = await mesh.send(name, word)
    expect((await readBy(word)).text).not.toContain(before)
    await mesh.traced(id, 'surfaced')
  })

  test('/compact: the session is woken afterwards too, and a draft stays', async () => {
    const { mesh } = suite
    const { session, name } = await startIdle()
    // With fewer the client finds nothing to compact.
    for (const word of ['one', 'two', 'three'].map((one) => `${one}-${session.pid}`)) {
      await mesh.send(name, word)
      await readBy(word)
      await mesh.reaches(session.pid, 'idle')
    }
    await submit(session, '/compact')
    await eventually('it is compacted', () => /compacted/i.test(session.screen()))
    await mesh.reaches(session.pid, 'idle')
    const draft = `half a thought ${session.pid}`
    session.type(draft)
    await eventually('the draft is there', () => session.screen().includes(draft))
    const word = `compacted-${session.pid}`
    const { id } = await mesh.send(name, word)
    await readBy(word)
    await mesh.traced(id, 'surfaced')
    await mesh.reaches(session.pid, 'idle')
    expect(session.screen()).toContain(draft)
    expect(suite.model.saw(draft)).toEqual([])
  })

  test("another file's change, and one of ours without mail, wake nobody", async () => {
    const { model, mesh } = suite
    const { session, name } = await startIdle()
    const wake = join(suite.lab.meshHome, 'run', `cc-${session.pid}`, 'wake')
    const other = model.requests.length
    writeFileSync(wake, '')
    rmSync(wake)
    writeFileSync(join(suite.lab.project, 'other'), 'x')
    const word = `alone-${session.pid}`
    await mesh.send(name, word)
    await readBy(word)
    expect(model.requests.slice(other).filter(({ auxiliary }) => !auxiliary)).toHaveLength(1)
  })

  test('after Esc mail waits, and goes with the next prompt', async () => {
    const { model, mesh } = suite
    const { session, name } = await startIdle()
    const [script, word, prompt] = ['stop', 'floor', 'rather'].map((one) => `${one}-${session.pid}`)
    model.script(script!, [{ call: [heldTool().call] }])
    await submit(session, `play ${script}`)
    await eventually('the tool runs', () => session.screen().includes('until ['))
    session.press('Escape')
    await mesh.reaches(session.pid, 'idle')
    const { id } = await mesh.send(name, word!)
    await mesh.waiting(session.pid, word!)
    await submit(session, prompt!)
    expect((await readBy(prompt!)).fresh).toContain(word)
    await mesh.traced(id, 'surfaced')
    await mesh.reaches(session.pid, 'idle')
  })

  test('with the plugin instead of settings it is woken idle and reached busy', async () => {
    const { model, claude } = suite
    const lab = makeLab(model.url, suite.lab.root)
    lab.env.MESH_ENGINE = suite.lab.env.MESH_ENGINE!
    lab.env.PATH = [dirname(claude), lab.env.PATH].join(delimiter)
    const mesh = new Mesh(lab)
    await mesh.run('install', '--plugin')
    const terminal = new Terminal(lab, claude)
    const session = await terminal.start()
    const { name } = await mesh.reaches(session.pid, 'idle')
    const [idle, busy, script] = ['plugin-idle', 'plugin-busy', 'plugin'].map((one) => `${one}-${session.pid}`)
    await mesh.send(name, idle!)
    expect((await readBy(idle!)).fresh).toContain('FileChanged')
    await mesh.reaches(session.pid, 'idle')
    const go = join(lab.project, 'go')
    model.script(script!, [{ call: [bash('until [ -e go ]; do sleep 0.05; done; echo released')] }, { say: 'done' }])
    await submit(session, `play ${script}`)
    await mesh.reaches(session.pid, 'busy')
    await mesh.send(name, busy!)
    await mesh.waiting(session.pid, busy!)
    writeFileSync(go, '')
    expect((await readBy(busy!)).fresh).toContain('released')
    await mesh.reaches(session.pid, 'idle')
    terminal.close()
    await mesh.reaches(session.pid, 'gone')
    await mesh.run('down')
  })

  test('claude -p gets a message in mid-turn, and its output is its own', async () => {
    const { model, mesh, lab, claude } = suite
    const held = heldTool()
    model.script('print', [{ call: [held.call] }, { say: 'all done' }])
    const run = runPrint(lab, claude, 'play print')
    const { name } = await mesh.reaches(run.pid, 'busy')
    await eventually('the tool runs', () => model.requests.some(({ fresh }) => fresh.includes('play print')))
    const word = `print-${run.pid}`
    const { id } = await mesh.send(name, word)
    await mesh.waiting(run.pid, word)
    held.release()
    expect((await readBy(word)).fresh).toContain('released')
    expect([await run.ended, run.output()]).toEqual([0, 'all done\n'])
    await mesh.traced(id, 'surfaced')
    expect((await mesh.reaches(run.pid, 'gone')).reason).toBe('finished')
  })

  test('a subagent that died of an API error but was reported as completed is terminated, and its session is notified', async () => {
    const { model, mesh } = suite
    const { session, name } = await startIdle()
    const input = { description: 'a child', prompt: 'play kid-bad', subagent_type: 'general-purpose' }
    model.script('kid-bad', [{ fail: 400 }, { fail: 400 }])
    model.script('parent', [
      { call: [{ name: 'Agent', input: { ...input, run_in_background: true } }] },
      { say: 'launched' },
    ])
    await submit(session, 'play parent')
    const request = await readBy('a-child terminated')
    expect(request.text).toContain('API error: 400')
    expect(request.text).toContain('<status>completed</status>')
    const runs = await mesh.json<{ name: string; kind: string; owner: string; state: string }[]>(
      'ps',
      '--runs',
      '--json',
    )
    expect(runs).toContainEqual(
      expect.objectContaining({ name: 'a-child', kind: 'subagent', owner: name, state: 'terminated' }),
    )
  })

  test('mail for a stream of prompts waits for the next one and goes into its request', async () => {
    const { mesh, lab, claude } = suite
    const run = runStreaming(lab, claude)
    run.prompt('hello')
    const { name } = await mesh.reaches(run.pid, 'idle')
    const word = `stream-${run.pid}`
    const { id } = await mesh.send(name, word)
    await mesh.waiting(run.pid, word)
    run.prompt('and now')
    expect((await readBy(word)).fresh).toContain('and now')
    await mesh.traced(id, 'surfaced')
    run.finish()
    expect(await run.ended).toBe(0)
    await mesh.reaches(run.pid, 'gone')
  })
})

testNothingLeft(suite)
