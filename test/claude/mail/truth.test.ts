/** What is told of a message is so, whatever the client does with it: held, waiting at a prompt, cleared, killed. */
import { spawn } from 'node:child_process'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, test } from 'vitest'
import { type Interactive, kill, runPrint, type StartOptions, submit } from '../support/client.ts'
import { eventually } from '../support/eventually.ts'
import { bash, type ModelRequest, type Reply } from '../support/mock-model.ts'
import { missing, testNothingLeft, useSuite } from '../support/suite.ts'

const suite = useSuite()
const sidecarProgram = fileURLToPath(new URL('../../../dist/sidecar.js', import.meta.url))

let current: Interactive | undefined
let detached: number | undefined
afterEach(async () => {
  if (detached) kill(detached, 'SIGKILL')
  if (current) kill(current.pid, 'SIGKILL')
  if (current) await suite.mesh.reaches(current.pid, 'gone')
  current = detached = undefined
})

async function startIdle(options: StartOptions = {}): Promise<{ session: Interactive; name: string; pid: number }> {
  const session = await suite.terminal.start(options)
  current = session
  const { name } = await suite.mesh.reaches(session.pid, 'idle')
  return { session, name, pid: session.pid }
}

/** Requests in which the model was newly given `word`: in a hand-over, not as history. */
const readings = (word: string): ModelRequest[] => {
  return suite.model.requests.filter(({ auxiliary, fresh }) => !auxiliary && fresh.includes(word))
}
const readBy = (word: string) => eventually(`the model reads ${word}`, () => readings(word)[0])
const statesOf = async (id: string) => (await suite.mesh.trace(id)).map(({ state }) => state)
const isMarked = (request: ModelRequest, word: string) => new RegExp(`possible repeat\\]\\n${word}`).test(request.fresh)

/** The last step of a message's way once it says so. */
function last(id: string, state: string, evidence: RegExp) {
  let seen = ''
  return eventually(
    () => `${id} ends in ${state} (${evidence}), but: ${seen}`,
    async () => {
      const steps = await suite.mesh.trace(id)
      seen = steps.map((step) => `${step.state} (${step.evidence})`).join(', ')
      const step = steps.at(-1)
      return step?.state === state && evidence.test(step.evidence)
    },
  )
}

function heldTool(): { call: ReturnType<typeof bash>; release(): void } {
  const path = join(suite.lab.project, 'go')
  rmSync(path, { force: true })
  return { call: bash(`until [ -e go ]; do sleep 0.05; done; echo released`), release: () => writeFileSync(path, '') }
}

describe.skipIf(missing)('kept back by the client', () => {
  test('by a setting: told as held, and given with the next prompt, once', async () => {
    const { mesh } = suite
    const { session, name, pid } = await startIdle({ args: ['--settings', '{"crossSessionInbound":"hold"}'] })
    const word = `setting-${pid}`
    const { id } = await mesh.send(name, word)
    const { evidence } = await mesh.traced(id, 'held')
    expect(evidence).toContain('"crossSessionInbound" setting is "hold"')
    await last(id, 'held', /next prompt/)
    expect(await statesOf(id)).not.toContain('handed')
    expect(readings(word)).toEqual([])
    await submit(session, `hello-${pid}`)
    const request = await readBy(word)
    expect(request.fresh).toContain(`hello-${pid}`)
    expect(isMarked(request, word)).toBe(false)
    await last(id, 'surfaced', /hook context/)
  })

  test.skipIf(process.platform !== 'linux')(
    'in bypass mode, a poster from elsewhere: held until the person answers',
    async () => {
      const { model, mesh } = suite
      const { session, name, pid } = await startIdle({ bypass: true })
      await detachSidecar(pid)
      await mesh.reaches(pid, 'idle')
      const [first, second] = [`allowed-${pid}`, `along-${pid}`]
      const held = heldTool()
      model.script(`tool-${pid}`, [{ call: [held.call] }, { say: 'done' }])
      const { id } = await mesh.send(name, `${first} play tool-${pid}`)
      await last(id, 'held', /bypasses prompts/)
      const waiting = mesh.run('send', name, '--wait', 'surfaced', '--timeout', '2s', '--', second)
      await expect(waiting).rejects.toThrow(/it is delivered \(waits: .*permission prompt.*\) but not surfaced/)
      expect(session.screen().split('Held peer message')).toHaveLength(2)
      expect(await statesOf(id)).not.toContain('handed')
      session.press('Down')
      await eventually('the other answer is chosen', () => /❯ Deliver/.test(session.screen()))
      session.press('Enter')
      await readBy(first)
      await last(id, 'surfaced', /peer message/)
      // The turn takes the second along: nobody is asked about that.
      await mesh.waiting(pid, second)
      held.release()
      await readBy(second)
      await mesh.reaches(pid, 'idle')
      const third = `denied-${pid}`
      const denied = (await mesh.send(name, third)).id
      await last(denied, 'held', /bypasses prompts/)
      await mesh.reaches(pid, 'waiting')
      const isAsked = () => /❯ Deny/.test(session.screen())
      await eventually('the dialog', isAsked)
      // It takes no keys in its first moments. Enter once too often does nothing; Escape twice opens another dialog.
      await eventually('the dialog is answered', () => {
        if (!isAsked()) return true
        session.press('Enter')
        return false
      })
      await last(denied, 'delivered', /did not let it in|next prompt/)
      expect(readings(third)).toEqual([])
      await submit(session, `after-${pid}`)
      const request = await readBy(third)
      expect(request.fresh).toContain(`after-${pid}`)
      expect(isMarked(request, third)).toBe(false)
      await mesh.reaches(pid, 'idle')
      expect([first, second, third].map((word) => readings(word).length)).toEqual([1, 1, 1])
      expect((await mesh.trace(denied)).map(({ evidence }) => evidence).join()).toContain('did not let it in')
    },
  )

  /** Puts a sidecar that is no child of the client's in the place of its own. */
  async function detachSidecar(pid: number): Promise<void> {
    const { mesh, lab } = suite
    const [loop, own] = mesh.sidecarProcesses(pid) as [number, number]
    const environment = readFileSync(`/proc/${own}/environ`, 'utf8').split('\0').filter(Boolean)
    const env = Object.fromEntries(
      environment.map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]),
    )
    for (const one of [loop, own]) kill(one, 'SIGKILL')
    const child = spawn(process.execPath, [sidecarProgram, 'claude-code', join(lab.meshHome, 'run', `cc-${pid}`)], {
      env,
      cwd: lab.project,
      detached: true,
      stdio: 'ignore',
    })
    child.unref()
    detached = child.pid!
    await eventually('the other sidecar runs', () => mesh.sidecarPid(pid) === detached)
  }
})

describe.skipIf(missing)('in the middle of a turn', () => {
  test('at a permission prompt it waits, and the trace says so', async () => {
    const { model, mesh, lab } = suite
    const { session, name, pid } = await startIdle()
    const [script, word] = [`write-${pid}`, `prompted-${pid}`]
    const call = { name: 'Write', input: { file_path: join(lab.project, 'x.txt'), content: 'x' } }
    model.script(script, [{ call: [call] }, { say: 'done' }])
    await submit(session, `play ${script}`)
    await mesh.reaches(pid, 'waiting')
    const { id } = await mesh.send(name, word)
    await last(id, 'delivered', /waits: .*permission prompt/)
    expect(readings(word)).toEqual([])
    session.press('Enter')
    const request = await readBy(word)
    expect(request.fresh).toMatch(/x\.txt|created/)
    await last(id, 'surfaced', /hook context/)
    await mesh.reaches(pid, 'idle')
    expect(readings(word)).toHaveLength(1)
  })

  test('its sidecar, killed while mail lies ready, finds it again: once, and not as a repeat', async () => {
    const { model, mesh } = suite
    const { session, name, pid } = await startIdle()
    const held = heldTool()
    const [script, word] = [`tool-${pid}`, `ready-${pid}`]
    model.script(script, [{ call: [held.call] }, { say: 'done' }])
    await submit(session, `play ${script}`)
    await mesh.reaches(pid, 'busy')
    const { id } = await mesh.send(name, word)
    await mesh.waiting(pid, word)
    const old = mesh.sidecarPid(pid)
    kill(old, 'SIGKILL')
    await eventually('another sidecar', () => mesh.sidecarPid(pid) !== old)
    await mesh.reaches(pid, 'busy')
    await mesh.waiting(pid, word)
    held.release()
    expect(isMarked(await readBy(word), word)).toBe(false)
    await last(id, 'surfaced', /hook context/)
    await mesh.reaches(pid, 'idle')
    expect(readings(word)).toHaveLength(1)
  })
})

describe.skipIf(missing)('at the end of a turn', () => {
  test('while the conversation is compacted it waits, and is read once, after it', async () => {
    const { model, mesh } = suite
    const { session, name, pid } = await startIdle()
    const summary = gate({ say: 'a summary' })
    // With fewer turns the client finds nothing to compact.
    for (const word of [`one-${pid}`, `two-${pid}`, `play long-${pid}`]) {
      if (word.startsWith('play')) model.script(`long-${pid}`, [{ say: 'three' }, summary.step])
      await submit(session, word)
      await readBy(word)
      await mesh.reaches(pid, 'idle')
    }
    const before = model.requests.length
    await submit(session, '/compact')
    await eventually('a summary is asked for', () => model.requests.length > before)
    const word = `compacting-${pid}`
    const { id } = await mesh.send(name, word)
    await last(id, 'delivered', /waits: .*busy/)
    expect(readings(word)).toEqual([])
    summary.open()
    const request = await readBy(word)
    expect(request.text).toContain('session is being continued')
    await last(id, 'surfaced', /peer message/)
    await mesh.reaches(pid, 'idle')
    expect(readings(word)).toHaveLength(1)
  })

  test('claude -p says its last words: the turn goes on with it', async () => {
    const { model, mesh, lab, claude } = suite
    const words = gate({ say: 'last words' })
    model.script('print-last', [words.step, { say: 'and heard' }])
    const run = runPrint(lab, claude, 'play print-last')
    const { name } = await mesh.reaches(run.pid, 'busy')
    await readBy('play print-last')
    const word = `last-${run.pid}`
    const { id } = await mesh.send(name, word)
    await mesh.waiting(run.pid, word)
    words.open()
    expect((await readBy(word)).fresh).toContain('Stop hook')
    expect([await run.ended, run.output()]).toEqual([0, 'and heard\n'])
    await last(id, 'surfaced', /hook context/)
    expect(readings(word)).toHaveLength(1)
  })

  test('claude -p ends without taking it: unread, and given to the one that resumes it, unmarked', async () => {
    const { model, mesh, lab, claude } = suite
    const words = gate({ fail: 400 })
    model.script('print-fail', [words.step])
    const run = runPrint(lab, claude, 'play print-fail')
    const { name } = await mesh.reaches(run.pid, 'busy')
    const { sessionId } = await readBy('play print-fail')
    const word = `untaken-${run.pid}`
    const { id } = await mesh.send(name, word)
    await mesh.waiting(run.pid, word)
    words.open()
    await run.ended
    await mesh.reaches(run.pid, 'gone')
    expect(readings(word)).toEqual([])
    expect(new Set(await statesOf(id))).toEqual(new Set(['queued', 'stored', 'delivered']))
    model.script('print-again', [{ call: [bash('echo a-tool')] }, { say: 'done' }])
    const again = runPrint(lab, claude, 'play print-again', { args: ['--resume', sessionId] })
    const request = await readBy(word)
    expect(request.sessionId).toBe(sessionId)
    expect(isMarked(request, word)).toBe(false)
    await again.ended
    await last(id, 'surfaced', /hook context/)
    expect(readings(word)).toHaveLength(1)
  })

  function gate(reply: Reply): { step: () => Promise<Reply>; open(): void } {
    let open = () => {}
    const opened = new Promise<void>((resolve) => {
      open = resolve
    })
    return { step: () => opened.then(() => reply), open: () => open() }
  }
})

describe.skipIf(missing)('cut off', () => {
  test('its sidecar, killed right after the hand-over, learns from the transcript that it was read', async () => {
    const { mesh } = suite
    const prompts = heldPrompts()
    const { name, pid } = await startIdle(prompts.options)
    const word = `settled-${pid}`
    const { id } = await mesh.send(name, word)
    await last(id, 'handed', /enqueue|UserPromptSubmit/)
    const old = mesh.sidecarPid(pid)
    kill(old, 'SIGKILL')
    prompts.release()
    await readBy(word)
    await eventually('another sidecar', () => mesh.sidecarPid(pid) !== old)
    await last(id, 'surfaced', /peer message/)
    await mesh.reaches(pid, 'idle')
    expect(readings(word)).toHaveLength(1)
  })

  test('the client, killed between hand-over and reading, has it again when resumed, marked', async () => {
    const { model, mesh } = suite
    const prompts = heldPrompts()
    prompts.release()
    const { session, name, pid } = await startIdle(prompts.options)
    // A conversation that can be resumed.
    await submit(session, `talk-${pid}`)
    const { sessionId } = await readBy(`talk-${pid}`)
    await mesh.reaches(pid, 'idle')
    const word = `unread-${pid}`
    prompts.hold()
    const { id } = await mesh.send(name, word)
    await last(id, 'handed', /enqueue|UserPromptSubmit/)
    kill(pid, 'SIGKILL')
    prompts.release()
    await mesh.reaches(pid, 'gone')
    expect(await statesOf(id)).toEqual(['queued', 'stored', 'delivered', 'handed'])
    const resumed = await startIdle({ args: ['--resume', sessionId] })
    expect(resumed.name).toBe(name)
    const request = await readBy(word)
    expect(request.sessionId).toBe(sessionId)
    expect(isMarked(request, word)).toBe(true)
    await last(id, 'surfaced', /peer message/)
    expect(model.saw(word).filter(({ auxiliary }) => !auxiliary).length).toBeGreaterThan(0)
  })

  test('Esc and /clear before an answer: given to the new conversation, marked', async () => {
    const { model, mesh } = suite
    const { session, name, pid } = await startIdle()
    let end = () => {}
    const never = new Promise<void>((resolve) => {
      end = resolve
    })
    const [script, word] = [`never-${pid}`, `forgotten-${pid}`]
    model.script(script, [() => never.then(() => ({ say: 'never' }))])
    const { id } = await mesh.send(name, `${word} play ${script}`)
    const { sessionId } = await readBy(word)
    await last(id, 'surfaced', /peer message/)
    session.press('Escape')
    await mesh.reaches(pid, 'idle')
    model.script(script, [{ say: 'heard' }])
    await submit(session, '/clear')
    await last(id, 'delivered', /has the floor/)
    // What the person says takes it along.
    await submit(session, `again-${pid}`)
    const request = await eventually('the new conversation has it', () => readings(word)[1])
    expect(request.sessionId).not.toBe(sessionId)
    expect(isMarked(request, word)).toBe(true)
    await last(id, 'surfaced', /transcript/)
    await mesh.reaches(pid, 'idle')
    expect(readings(word)).toHaveLength(2)
    end()
  })

  test('answered and then cleared, it is not given again', async () => {
    const { mesh } = suite
    const { session, name, pid } = await startIdle()
    const word = `answered-${pid}`
    const { id } = await mesh.send(name, word)
    await readBy(word)
    await last(id, 'surfaced', /peer message/)
    await mesh.reaches(pid, 'idle')
    await submit(session, '/clear')
    await eventually('another conversation', () => !session.screen().includes(word))
    await submit(session, `next-${pid}`)
    await readBy(`next-${pid}`)
    await mesh.reaches(pid, 'idle')
    expect(readings(word)).toHaveLength(1)
    expect((await statesOf(id)).at(-1)).toBe('surfaced')
  })

  /** A session in which another hook keeps every prompt, a message's too, from the model until the test lets go. */
  function heldPrompts() {
    const path = join(suite.lab.project, 'prompt')
    const hold = () => rmSync(path, { force: true })
    hold()
    const command = `until [ -e '${path}' ]; do sleep 0.05; done`
    const hooks = { UserPromptSubmit: [{ hooks: [{ type: 'command', command }] }] }
    return {
      hold,
      release: () => writeFileSync(path, ''),
      options: { args: ['--settings', JSON.stringify({ hooks })] },
    }
  }
})

testNothingLeft(suite)
