/** What becomes of a session's children is read elsewhere as it happens, while the session itself is in a tool call. */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach, describe, expect, test } from 'vitest'
import { kill, submit } from '../support/client.ts'
import { eventually } from '../support/eventually.ts'
import { meshBin } from '../support/mesh.ts'
import { bash } from '../support/mock-model.ts'
import { missing, useSuite } from '../support/suite.ts'

const suite = useSuite()
const isLong = process.env.MESH_CLAUDE_FULL === '1'
const CHILDREN = isLong ? 50 : 5
/** The long form is one tool call of a minute. */
const PAUSE_S = isLong ? 1.2 : 0
const HELD_MS = isLong ? 60_000 : 0
const CEILING_MS = 150_000
/** Far above what is measured: a follower that looks only now and then is found out. */
const LATE_MS = 5000
const TYPES = ['run_spawned', 'run_progress', 'run_completed']

interface Line {
  event: {
    kind: string
    seq: number
    type: string
    name: string
    runId: string
    at: string
    text?: string
    percent?: number
  }
  readAt: number
}

describe.skipIf(missing)('the parent of runs sits in a tool call', () => {
  const pids: number[] = []
  afterEach(() => {
    for (const pid of pids.splice(0)) kill(pid, 'SIGKILL')
  })

  /** `mesh events --follow` in another shell, each line with when it came. */
  function follow(owner: string): Line[] {
    const { lab } = suite
    const words = [meshBin, 'events', '--owner', owner, '--follow', '--json']
    const child: ChildProcess = spawn(process.execPath, words, {
      env: lab.env,
      cwd: lab.project,
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    pids.push(child.pid!)
    const lines: Line[] = []
    createInterface(child.stdout!).on('line', (line) => lines.push({ event: JSON.parse(line), readAt: Date.now() }))
    return lines
  }

  test('its children’s start, progress and end are read by a follower meanwhile, in order', async () => {
    const { model, mesh, lab, terminal } = suite
    const session = await terminal.start({ bypass: true })
    pids.push(session.pid)
    const { name } = await mesh.reaches(session.pid, 'idle')
    const lines = follow(name)
    // It reads on from here: the first run is of before the tool call.
    const command = `'${process.execPath}' '${meshBin}'`
    model.script('first', [{ call: [bash(`${command} run --name before -- true`)] }, { say: 'The first is done.' }])
    await submit(session, 'play first')
    await eventually('the follower reads', () => lines.some(({ event }) => event.type === 'run_completed'))
    await mesh.reaches(session.pid, 'idle')
    lines.length = 0

    const gate = join(lab.project, `gate-${session.pid}`)
    const work = `${command} progress "half of $1" --percent 50`
    const script = [
      `for i in $(seq ${CHILDREN}); do`,
      `  ${command} run --detach --name kid-$i -- sh -c '${work.replaceAll("'", `'\\''`)}' sh "$i"`,
      PAUSE_S > 0 ? `  sleep ${PAUSE_S}` : '',
      'done',
      `until [ -e '${gate}' ]; do sleep 0.05; done`,
      'echo the call is over',
    ].filter(Boolean)
    model.script('hold', [{ call: [bash(script.join('\n'))] }, { say: 'All of it is done.' }])
    await submit(session, 'play hold')
    const calledAt = await eventually('the model calls the tool', () => model.saw('play hold')[0]?.at)

    const ended = () => lines.filter(({ event }) => event.type === 'run_completed')
    await eventually(
      () => `all children ended, but ${ended().length}`,
      () => ended().length === CHILDREN,
      CEILING_MS,
    )
    await eventually('the tool call was a long one', () => Date.now() - calledAt >= HELD_MS, CEILING_MS)
    // The parent has not come out of its call: it asked its model for nothing since, and works.
    expect(existsSync(gate)).toBe(false)
    expect(model.saw('play hold')).toHaveLength(1)
    expect(await mesh.sessionOf(session.pid)).toMatchObject({ status: 'busy' })

    for (let i = 1; i <= CHILDREN; i++) {
      const events = lines.flatMap(({ event }) => (event.name === `kid-${i}` ? [event] : []))
      expect(events.map(({ type }) => type)).toEqual(TYPES)
      expect(events.map(({ seq }) => seq)).toEqual([1, 2, 3])
      expect(new Set(events.map(({ runId }) => runId)).size).toBe(1)
      expect(events[1]).toMatchObject({ text: `half of ${i}`, percent: 50 })
    }
    // The parent's own run is its own too.
    const ofChildren = lines.filter(({ event }) => event.kind === 'process')
    expect(ofChildren).toHaveLength(3 * CHILDREN)
    for (const type of TYPES) {
      const delays = ofChildren
        .filter(({ event }) => event.type === type)
        .map(({ event, readAt }) => readAt - Date.parse(event.at))
        .sort((a, b) => a - b)
      const [p50, max] = [delays[Math.floor(delays.length / 2)]!, delays.at(-1)!]
      console.log(`parent in a tool call: ${type} → follower: p50 ${p50} ms, max ${max} ms of ${delays.length}`)
      expect(max).toBeLessThan(LATE_MS)
    }

    writeFileSync(gate, '')
    const after = await eventually('the parent goes on', () =>
      model.saw('the call is over').find(({ fresh }) => fresh.includes('the call is over')),
    )
    expect(after.at - calledAt).toBeGreaterThanOrEqual(HELD_MS)
    await mesh.reaches(session.pid, 'idle')
  })
})
