/** Mesh's module in the real client: the contract that the first door rests on. */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { clientVersion, type Interactive, kill, makeLab, newestVersion, runPrint, submit } from '../support/client.ts'
import { eventually } from '../support/eventually.ts'
import { Mesh } from '../support/mesh.ts'
import { bash } from '../support/mock-model.ts'
import { type Suite, testNothingLeft, useSuite } from '../support/suite.ts'

const FULL = process.env.MESH_CLAUDE_FULL === '1'
const POLL_MS = 25_000
const WRAPPER = 'The mesh plugin sent a message:'
const NOTE = 'Note from the mesh plugin, not from the user:'
const times = (text: string, word: string) => text.split(word).length - 1

describe.each(FULL ? [newestVersion, clientVersion] : [clientVersion])('the module in Claude Code %s', (version) => {
  const suite: Suite = useSuite(version, true)
  let current: Interactive | undefined
  const readBy = (word: string) => eventually(`the model reads ${word}`, () => suite.model.saw(word)[0])

  afterEach(async () => {
    if (!current) return
    kill(current.pid, 'SIGKILL')
    await suite.mesh.reaches(current.pid, 'gone')
    current = undefined
  })

  async function startIdle(bypass = false): Promise<{ session: Interactive; name: string }> {
    const session = await suite.terminal.start({ bypass })
    current = session
    const { name } = await suite.mesh.reaches(session.pid, 'idle')
    await hasDoor(session.pid)
    return { session, name }
  }

  const hasDoor = (pid: number) =>
    eventually('the module is a door', async () => (await suite.mesh.sessionOf(pid))?.wake[0]?.startsWith('mod'))

  function heldTool(): { call: ReturnType<typeof bash>; release(): void } {
    const path = join(suite.lab.project, 'go')
    rmSync(path, { force: true })
    return { call: bash('until [ -e go ]; do sleep 0.05; done; echo released'), release: () => writeFileSync(path, '') }
  }

  test.skipIf(suite.missing).each(FULL ? [false, true] : [true])(
    'idle it is woken, busy it reads it behind the tool (bypass: %s)',
    async (bypass) => {
      const { model, mesh } = suite
      const { session, name } = await startIdle(bypass)
      const [idle, busy, script] = ['idle', 'busy', 'tool'].map((one) => `${one}-${session.pid}`) as [
        string,
        string,
        string,
      ]
      const first = await mesh.send(name, idle)
      const woken = await readBy(idle)
      expect(woken.fresh).toContain(WRAPPER)
      expect((await mesh.traced(first.id, 'surfaced')).evidence).toContain("mesh's module")
      await mesh.reaches(session.pid, 'idle')
      const held = heldTool()
      model.script(script, [{ call: [held.call] }, { say: 'done' }])
      await submit(session, `play ${script}`)
      await mesh.reaches(session.pid, 'busy')
      const second = await mesh.send(name, busy)
      await mesh.traced(second.id, 'delivered')
      expect(existsSync(join(suite.lab.meshHome, 'run', `cc-${session.pid}`, 'mail'))).toBe(false)
      held.release()
      const read = await readBy(busy)
      expect(read.fresh).toContain(NOTE)
      expect(read.fresh).toContain('released')
      expect((await mesh.traced(second.id, 'surfaced')).evidence).toContain('note of a module')
      await mesh.reaches(session.pid, 'idle')
      const last = model.requests.filter(({ auxiliary }) => !auxiliary).at(-1)!.text
      expect([times(last, idle), times(last, busy)]).toEqual([1, 1])
    },
  )

  test.skipIf(suite.missing || !FULL)('claude -p ends at once and its output is its own', async () => {
    const { model, mesh, lab, claude } = suite
    const held = heldTool()
    model.script('print', [{ call: [held.call] }, { say: 'all done' }])
    const run = runPrint(lab, claude, 'play print')
    const { name } = await mesh.reaches(run.pid, 'busy')
    await eventually('the tool runs', () => model.requests.some(({ fresh }) => fresh.includes('play print')))
    await hasDoor(run.pid)
    const word = `print-${run.pid}`
    const { id } = await mesh.send(name, word)
    await mesh.traced(id, 'delivered')
    held.release()
    const read = await readBy(word)
    expect([await run.ended, run.output()]).toEqual([0, 'all done\n'])
    expect(Date.now() - read.at).toBeLessThan(10_000)
    await mesh.traced(id, 'surfaced')
    expect((await mesh.reaches(run.pid, 'gone')).reason).toBe('finished')
  })

  test.skipIf(suite.missing || !FULL)(
    'after Esc mail is kept for the person, and goes with their next prompt',
    async () => {
      const { model, mesh } = suite
      const { session, name } = await startIdle()
      const [script, word, prompt] = ['stop', 'floor', 'rather'].map((one) => `${one}-${session.pid}`) as [
        string,
        string,
        string,
      ]
      model.script(script, [{ call: [heldTool().call] }])
      await submit(session, `play ${script}`)
      await eventually('the tool runs', () => session.screen().includes('until ['))
      session.press('Escape')
      await mesh.reaches(session.pid, 'idle')
      const { id } = await mesh.send(name, word)
      await mesh.traced(id, 'delivered')
      await submit(session, prompt)
      const read = await readBy(prompt)
      expect(read.fresh).toContain(word)
      await mesh.traced(id, 'surfaced')
      await mesh.reaches(session.pid, 'idle')
      expect(times(model.requests.filter(({ auxiliary }) => !auxiliary).at(-1)!.text, word)).toBe(1)
    },
  )

  test.skipIf(suite.missing || !FULL)('what comes with no tool left goes on with the turn', async () => {
    const { model, mesh } = suite
    const { session, name } = await startIdle()
    let release = () => {}
    const gate = new Promise<void>((resolve) => {
      release = resolve
    })
    const [script, word] = ['talk', 'late'].map((one) => `${one}-${session.pid}`) as [string, string]
    model.script(script, [() => gate.then(() => ({ say: 'my last word' }))])
    await submit(session, `play ${script}`)
    await mesh.reaches(session.pid, 'busy')
    await eventually('the model was asked', () => model.saw(`play ${script}`)[0])
    const { id } = await mesh.send(name, word)
    await mesh.traced(id, 'delivered')
    release()
    expect((await readBy(word)).text).toContain('my last word')
    await mesh.traced(id, 'surfaced')
    await mesh.reaches(session.pid, 'idle')
    expect(times(model.requests.filter(({ auxiliary }) => !auxiliary).at(-1)!.text, word)).toBe(1)
  })

  test.skipIf(suite.missing || !FULL)('it is woken after its poll was renewed, and after /clear', async () => {
    const { mesh, model } = suite
    const { session, name } = await startIdle()
    const began = Date.now()
    await eventually('two polls have passed', () => Date.now() - began > 2 * POLL_MS + 2000, 3 * POLL_MS)
    for (const [word, then] of [
      [`renewed-${session.pid}`, async () => submit(session, '/clear')],
      [`cleared-${session.pid}`, async () => {}],
    ] as const) {
      const { id } = await mesh.send(name, word)
      expect((await readBy(word)).fresh).toContain(WRAPPER)
      expect((await mesh.traced(id, 'surfaced')).evidence).toContain("mesh's module")
      await mesh.reaches(session.pid, 'idle')
      await then()
      await eventually('the screen is clear', () => word.startsWith('cleared') || !session.screen().includes(word))
    }
    expect(model.requests.length).toBeGreaterThan(1)
  })

  test.skipIf(suite.missing || !FULL)('uninstall takes hooks and module out to the byte', async () => {
    const { model, claude } = suite
    const lab = makeLab(model.url, suite.lab.root)
    lab.env.PATH = [dirname(claude), lab.env.PATH].join(delimiter)
    const before = readFileSync(lab.settings)
    const mesh = new Mesh(lab)
    lab.env.MESH_ENGINE = suite.lab.env.MESH_ENGINE!
    expect(await mesh.json('install', '--json')).toMatchObject({ module: { installed: true, why: null } })
    expect(await mesh.json('install', '--json')).toMatchObject({ module: { installed: true, why: null } })
    await mesh.run('uninstall')
    expect(readFileSync(lab.settings).equals(before)).toBe(true)
  })

  test.skipIf(suite.missing || !FULL)('a restarted sidecar gets the door back', async () => {
    const { mesh } = suite
    const { session, name } = await startIdle()
    const before = mesh.sidecarPid(session.pid)
    kill(before, 'SIGKILL')
    await eventually('another sidecar', () => mesh.sidecarPid(session.pid) !== before)
    await hasDoor(session.pid)
    const word = `again-${session.pid}`
    const { id } = await mesh.send(name, word)
    await readBy(word)
    expect((await mesh.traced(id, 'surfaced')).evidence).toContain("mesh's module")
  })

  test.skipIf(suite.missing || !FULL)(
    'what the client drops after Esc is told, kept, and goes another way',
    async () => {
      const { model, mesh, lab } = suite
      const settings = join(lab.meshHome, 'settings.json')
      writeFileSync(settings, JSON.stringify({ floorSeconds: 0 }))
      try {
        const { session, name } = await startIdle()
        const [script, word] = ['stopped', 'dropped'].map((one) => `${one}-${session.pid}`) as [string, string]
        model.script(script, [{ call: [heldTool().call] }])
        await submit(session, `play ${script}`)
        await eventually('the tool runs', () => session.screen().includes('until ['))
        session.press('Escape')
        await mesh.reaches(session.pid, 'idle')
        const { id } = await mesh.send(name, word)
        await readBy(word)
        await mesh.traced(id, 'surfaced')
        const steps = (await mesh.trace(id)).map(({ evidence }) => evidence)
        expect(steps.some((evidence) => evidence.includes('the client did not start a turn'))).toBe(true)
        await mesh.reaches(session.pid, 'idle')
        expect(times(model.requests.filter(({ auxiliary }) => !auxiliary).at(-1)!.text, word)).toBe(1)
      } finally {
        rmSync(settings)
      }
    },
  )

  test.skipIf(suite.missing || !FULL)('modules that hang give the session back to hooks and socket', async () => {
    const { model, mesh, lab } = suite
    const plugin = join(lab.root, 'spinner')
    const files = {
      '.claude-plugin/plugin.json': JSON.stringify({ name: 'spinner', version: '1.0.0' }),
      'hooks/hooks.json': JSON.stringify({ hooks: {}, modules: ['./spin.js'] }),
      'hooks/spin.js': `export const register = (on) => on('turn.start', async ($, e, next) => {
        while (e.text.includes('spin')) {}
        return next(e)
      })`,
    }
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(dirname(join(plugin, name)), { recursive: true })
      writeFileSync(join(plugin, name), text)
    }
    const session = await suite.terminal.start({ args: ['--plugin-dir', plugin] })
    current = session
    const { name } = await mesh.reaches(session.pid, 'idle')
    await hasDoor(session.pid)
    const [script, word] = ['spin', 'hung'].map((one) => `${one}-${session.pid}`) as [string, string]
    const held = heldTool()
    model.script(script, [{ call: [held.call] }, { say: 'done' }])
    await submit(session, `play ${script}`)
    await mesh.reaches(session.pid, 'busy')
    const { id } = await mesh.send(name, word)
    await mesh.waiting(session.pid, word)
    held.release()
    expect((await readBy(word)).fresh).toContain('hook additional context')
    await mesh.traced(id, 'surfaced')
    await mesh.reaches(session.pid, 'idle')
    expect(times(model.requests.filter(({ auxiliary }) => !auxiliary).at(-1)!.text, word)).toBe(1)
  })

  testNothingLeft(suite)
})
