/**
 * The main scenarios through each door that a version of the client has: idle and busy, also after `cd`, with a shell in
 * the background, in bypass mode, with telemetry off. Long: at full length only.
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import {
  clientVersion,
  type Interactive,
  kill,
  newestVersion,
  olderVersion,
  type StartOptions,
  submit,
} from '../support/client.ts'
import { eventually } from '../support/eventually.ts'
import { bash } from '../support/mock-model.ts'
import { testNothingLeft, useSuite } from '../support/suite.ts'

const FULL = process.env.MESH_CLAUDE_FULL === '1'
/** What a request shows of the door that an idle session was woken through. */
const marks = { mod: 'The mesh plugin sent a message:', socket: 'Another Claude session sent', watch: 'FileChanged' }
type Door = keyof typeof marks

/** Version, the door of an idle session, and settings of the client that shut those before it. */
const ways: [string, Door, object][] = [
  [newestVersion, 'mod', {}],
  [newestVersion, 'socket', {}],
  [newestVersion, 'watch', { crossSessionInbound: 'refuse' }],
  [clientVersion, 'mod', {}],
  [clientVersion, 'socket', {}],
  [clientVersion, 'watch', { crossSessionInbound: 'refuse' }],
  [olderVersion, 'watch', {}],
]
/** In short form they are skipped by name; no other version is fetched for that. */
const listed = FULL ? ways : ways.filter(([version]) => version === clientVersion)
const modes: [string, StartOptions][] = [
  ['as it is', {}],
  ['in bypass mode', { bypass: true }],
  ['with telemetry off', { env: { DISABLE_TELEMETRY: '1' } }],
]
const times = (text: string, word: string) => text.split(word).length - 1

describe.skipIf(!FULL).each(listed)('Claude Code %s, idle through %s', (version, door, settings) => {
  const suite = useSuite(version, door === 'mod')
  let current: Interactive | undefined
  afterEach(async () => {
    if (!current) return
    kill(current.pid, 'SIGKILL')
    await suite.mesh.reaches(current.pid, 'gone')
    current = undefined
  })
  const readBy = (word: string) => eventually(`the model reads ${word}`, () => suite.model.saw(word)[0])

  /** An idle session reads a message through this door, once. */
  async function wakes(pid: number, name: string, word: string): Promise<void> {
    const { mesh, model } = suite
    const { id } = await mesh.send(name, word)
    const request = await readBy(word)
    expect(request.fresh).toContain(marks[door])
    await mesh.traced(id, 'surfaced')
    await mesh.reaches(pid, 'idle')
    expect(times(model.requests.filter(({ auxiliary }) => !auxiliary).at(-1)!.text, word)).toBe(1)
  }

  /** A turn with one tool call. */
  async function play(session: Interactive, script: string, command: string, more: object = {}): Promise<void> {
    const call = bash(command)
    suite.model.script(script, [{ call: [{ ...call, input: { ...call.input, ...more } }] }, { say: 'done' }])
    await submit(session, `play ${script}`)
  }

  test.skipIf(suite.missing).each(modes)('%s it is woken and reached in mid-turn', async (_, options) => {
    const { mesh, lab } = suite
    const quit = join(lab.root, 'quit')
    rmSync(quit, { force: true })
    const before = readFileSync(lab.settings, 'utf8')
    writeFileSync(lab.settings, JSON.stringify({ ...JSON.parse(before), ...settings }))
    try {
      const session = await suite.terminal.start(options)
      current = session
      const { pid } = session
      const { name } = await mesh.reaches(pid, 'idle')
      if (door === 'mod')
        await eventually('the module is there', async () => (await mesh.sessionOf(pid))?.wake[0]?.startsWith('mod'))
      await wakes(pid, name, `first-${pid}`)
      const go = join(lab.project, 'go')
      rmSync(go, { force: true })
      await play(session, `busy-${pid}`, 'until [ -e go ]; do sleep 0.05; done; echo released')
      await mesh.reaches(pid, 'busy')
      const word = `midturn-${pid}`
      const { id } = await mesh.send(name, word)
      await mesh.traced(id, 'delivered')
      writeFileSync(go, '')
      expect((await readBy(word)).fresh).toContain('released')
      await mesh.traced(id, 'surfaced')
      await mesh.reaches(pid, 'idle')

      await play(session, `cd-${pid}`, 'mkdir -p below && cd below && pwd')
      await mesh.reaches(pid, 'busy')
      await mesh.reaches(pid, 'idle')
      await wakes(pid, name, `moved-${pid}`)

      await play(session, `shell-${pid}`, `until [ -e '${quit}' ]; do sleep 0.1; done`, { run_in_background: true })
      await mesh.reaches(pid, 'busy')
      await mesh.reaches(pid, 'idle')
      await wakes(pid, name, `shell-runs-${pid}`)
    } finally {
      // The shell in the background outlives its client.
      writeFileSync(quit, '')
      writeFileSync(lab.settings, before)
    }
  })

  testNothingLeft(suite)
})
