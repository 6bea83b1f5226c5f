/** The trace of a message is true at the end of a turn, of a conversation, of a sidecar and of the client. */
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { kill, runPrint, submit } from '../support/client.ts'
import { eventually } from '../support/eventually.ts'
import { bash, type Reply } from '../support/mock-model.ts'
import { missing, testNothingLeft, useSuite } from '../support/suite.ts'
import { useTruth } from './truth-lab.ts'

const suite = useSuite()
const { startIdle, readings, readBy, statesOf, isMarked, last } = useTruth(suite)

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
    // The request may as well be for a title of the turn before.
    await mesh.reaches(pid, 'compacting')
    const word = `compacting-${pid}`
    const { id } = await mesh.send(name, word)
    await last(id, 'delivered', /waits: .*compact/)
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

  test('claude -p ends without taking it: unread, and given unmarked to the session that resumes it', async () => {
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
    // The Esc was in the conversation before: this one is woken.
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
