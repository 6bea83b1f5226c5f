/**
 * Commands from other process spaces beside living sessions, while the engine is killed at random: one engine at any time,
 * started by no sandbox, nothing acknowledged lost, nobody called gone who lives.
 */
import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { call } from '../../src/client/client.ts'
import { readRecord } from '../../src/engine/record.ts'
import { processSpace } from '../../src/host/process/space.ts'
import { serversOf } from '../support/engine.ts'
import { chooseSeed, ended, FaultHome, FULL, MESH_JS, random, untilAsync } from '../support/fault/home.ts'
import { startSession } from '../support/fault/session.ts'
import { bubblewrap, foreignProc, isThere, offline, type Space, unshared } from '../support/lab/space.ts'

const ROUNDS = FULL ? 200 : 6
const LOOK_MS = 50
const LATE_MS = 60_000
const living = ['api', 'ceo', 'worker']

const dice = random(chooseSeed('spaces'))
const spaces = [unshared, bubblewrap, offline, foreignProc].filter(isThere)
const others = [['ps'], ['status'], ['up'], ['down'], ['whoami'], ['orphans'], ['doctor', '--fix'], ['inbox']]
let mesh: FaultHome

beforeEach(async () => {
  mesh = await FaultHome.make()
})
afterEach(() => mesh.close())

/** Runs a command in a space. `code` is null if it was killed with it. */
async function inside(space: Space, args: readonly string[]) {
  const [command, ...rest] = space.wrap([process.execPath, MESH_JS, ...args])
  const child = spawn(command!, rest, { cwd: mesh.work, env: mesh.env, stdio: ['ignore', 'pipe', 'pipe'] })
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr), ended(child)])
  return { what: `${space.name}: ${args.join(' ')}`, code: child.exitCode, stdout, stderr }
}

type Ran = Awaited<ReturnType<typeof inside>>

/** Exit 0, or one line and exit 5; 4 is for what `mesh doctor` finds. */
function checkAnswer({ what, code, stderr }: Ran): void {
  expect([0, 4, 5], `${what}: ${stderr}`).toContain(code)
  if (code === 5) expect(stderr.trimEnd().split('\n').length, `${what}: ${stderr}`).toBeLessThanOrEqual(2)
  if (code === 4) expect(what).toContain('doctor')
}

/** Looks at the engines and at who is called gone until it is stopped. */
function watch(seen: { engines: Set<number>; statuses: Set<string> }): () => Promise<void> {
  let isOver = false
  const looking = (async () => {
    while (!isOver) {
      seen.engines.add(serversOf(mesh.home).length)
      const rows = await call(mesh.socketOf('ceo'), 'ps', {}, { timeoutMs: 5000 }).catch(() => [])
      for (const { name, status } of rows) if (living.includes(name)) seen.statuses.add(status)
      await sleep(LOOK_MS)
    }
  })()
  return () => {
    isOver = true
    return looking
  }
}

test.skipIf(spaces.length < 2)(
  `${ROUNDS} rounds of commands from other process spaces`,
  { timeout: 3_000_000 },
  async () => {
    for (const name of ['api', 'ceo']) await mesh.json('whoami', '--as', name)
    await startSession(mesh, 'worker')
    await mesh.json('run', '--detach', '--name', 'tick', '--as', 'ceo', '--', 'sleep', '3600')
    const seen = { engines: new Set<number>(), statuses: new Set<string>() }
    const stop = watch(seen)
    const acknowledged: string[] = []
    const counts = new Map<string, number>()
    for (let round = 0; round < ROUNDS; round++) {
      const space = spaces[round % spaces.length]!
      const sent = [
        inside(space, ['send', 'api', '--json', '--as', `probe-${round % 3}`, '--', `${round} inside`]),
        mesh
          .run('send', 'api', '--json', '--as', 'ceo', '--', `${round} outside`)
          .then((ran) => ({ ...ran, what: 'outside' })),
      ]
      const other = inside(space, [...dice.pick(others), '--as', `probe-${dice.below(3)}`])
      await sleep(dice.below(600))
      mesh.killEngine()
      for (const ran of await Promise.all(sent)) {
        checkAnswer(ran)
        const state = ran.code === 0 ? (JSON.parse(ran.stdout) as { id: string; state: string }) : null
        if (state) acknowledged.push(state.id)
        const word = `${ran.what === 'outside' ? 'outside' : space.name} ${state?.state ?? `exit ${ran.code}`}`
        counts.set(word, (counts.get(word) ?? 0) + 1)
      }
      checkAnswer(await other)
      expect(readRecord(mesh.home)?.space, `round ${round}`).toBe(processSpace())
    }
    const arrived = new Set<string>()
    const missing = () => acknowledged.filter((id) => !arrived.has(id))
    await untilAsync(async () => {
      for (const { id } of await mesh.json<{ id: string }[]>('inbox', '--as', 'api')) arrived.add(id)
      return missing().length === 0
    }, LATE_MS).catch(() => {})
    await stop()
    console.log(
      `spaces: ${[...counts]
        .sort()
        .map((one) => one.join(' '))
        .join(', ')}; late or lost: ${missing().length}`,
    )
    expect(missing()).toEqual([])
    expect(Math.max(...seen.engines)).toBe(1)
    expect([...seen.statuses].filter((status) => ['gone', 'lost', 'unreachable'].includes(status))).toEqual([])
    const runs = await mesh.json<{ name: string; state: string }[]>('ps', '--runs', '--as', 'ceo')
    expect(runs.find(({ name }) => name === 'tick')?.state).toBe('running')
    await mesh.run('stop', 'tick', '--as', 'ceo')
  },
)

test.skipIf(!FULL || !isThere(unshared))(
  'a run that ended with its sandbox is lost, not running for ever',
  async () => {
    await mesh.json('whoami', '--as', 'ceo')
    const started = await inside(unshared, [
      'run',
      '--detach',
      '--json',
      '--name',
      'boxed',
      '--as',
      'probe',
      '--',
      'sleep',
      '600',
    ])
    expect(started.code, started.stderr).toBe(0)
    const run = await untilAsync(async () => {
      const runs = await mesh.json<{ name: string; state: string; reason: string }[]>(
        'ps',
        '--runs',
        '--all',
        '--as',
        'ceo',
      )
      return runs.find(({ name, state }) => name === 'boxed' && state !== 'running')
    }, 90_000)
    expect(run).toMatchObject({ state: 'terminated', reason: expect.stringContaining('supervisor lost') })
  },
)
