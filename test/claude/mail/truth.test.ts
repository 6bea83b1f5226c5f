/** The trace of a message is true, whatever the client does with it: screened, waiting at a prompt, in mid-turn. */
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, test } from 'vitest'
import { kill, submit } from '../support/client.ts'
import { eventually } from '../support/eventually.ts'
import { missing, testNothingLeft, useSuite } from '../support/suite.ts'
import { useTruth } from './truth-lab.ts'

const suite = useSuite()
const { startIdle, readings, readBy, statesOf, isMarked, last, heldTool } = useTruth(suite)
const sidecarProgram = fileURLToPath(new URL('../../../dist/sidecar.js', import.meta.url))

let detached: number | undefined
afterEach(() => {
  if (detached) kill(detached, 'SIGKILL')
  detached = undefined
})

describe.skipIf(missing)('kept back by the client', () => {
  test('by a setting: reported as held, and given with the next prompt, once', async () => {
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
    'in bypass mode, from a poster outside the process tree: held until the person answers',
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

testNothingLeft(suite)
