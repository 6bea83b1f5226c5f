/** The engine: started once, whoever starts it, and healed on its port. */
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import type { Server } from 'node:net'
import { join } from 'node:path'
import { jetstream, jetstreamManager } from '@nats-io/jetstream'
import { connect, type NatsConnection } from 'nats'
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { findEngine } from '../../../src/engine/binary.ts'
import { engineStatus, healEngine, restartEngine, startEngine, stopEngine } from '../../../src/engine/engine.ts'
import { engineUser } from '../../../src/engine/nkey.ts'
import { type Env, type Home, meshHome } from '../../../src/host/home.ts'
import * as support from '../../support/engine.ts'
import { isAlive, quiet, SECRET, WAIT } from './engine-lab.ts'

let binary: string
let temporary: { path: string; remove: () => void }
let home: Home
let env: Env
let squatter: Server | null = null

/** Starts the engine in a process of its own, and prints what it answered. */
const starter = `
import { healEngine, runEngineForeground, startEngine } from '../../src/engine/engine.ts'
import { meshHome } from '../../src/host/home.ts'
const home = meshHome(process.env)
const say = (line) => console.error(line)
const how = process.argv[2]
if (how === 'run') process.exit(await runEngineForeground(home, process.env, say))
console.log(JSON.stringify(how === 'heal' ? await healEngine(home, process.env) : await startEngine(home, process.env, say)))
`

const makeStarter = () => support.bundleProgram(starter, join(temporary.path, 'starter.mjs'))

async function killEngine(): Promise<void> {
  const pid = engineStatus(home).pid!
  process.kill(pid, 'SIGKILL')
  await expect.poll(() => isAlive(pid), WAIT).toBe(false)
}

function connectAs(user: ReturnType<typeof engineUser>, url: string): Promise<NatsConnection> {
  const authenticator = (nonce?: string) => ({
    nkey: user.publicKey,
    sig: Buffer.from(user.sign(Buffer.from(nonce ?? ''))).toString('base64url'),
  })
  return connect({ servers: url, authenticator, reconnect: false, timeout: 10_000 })
}

beforeAll(async () => {
  binary = await support.testEngineBinary()
}, 300_000)

beforeEach(() => {
  temporary = support.temporaryDir()
  home = meshHome({ MESH_HOME: join(temporary.path, 'home') })
  env = { ...support.scrubbedEnv(), MESH_HOME: home.root, MESH_ENGINE: binary }
})

afterEach(async () => {
  squatter?.close()
  squatter = null
  await support.endEngine(home)
  temporary.remove()
})

test('startEngine - serves when it returns, and a second call finds the same one', async () => {
  expect(engineStatus(home)).toMatchObject({ running: false, url: null, pid: null })
  const started = await startEngine(home, env, quiet)
  expect(started).toEqual({
    running: true,
    url: expect.stringMatching(/^nats:\/\/127\.0\.0\.1:2\d{4}$/),
    pid: expect.any(Number),
    version: expect.stringMatching(/^2\./),
    dataDir: join(home.engine, 'data'),
  })
  expect(engineStatus(home)).toEqual(started)
  expect(await startEngine(home, env, quiet)).toEqual(started)
  expect(support.serversOf(home)).toEqual([started.pid])
})

test('startEngine - only the engine user may connect, and what it stores survives a kill', async () => {
  const { url } = await startEngine(home, env, quiet)
  await expect(connect({ servers: url!, reconnect: false })).rejects.toThrow(/authoriz/i)
  const stranger = engineUser(meshHome({ MESH_HOME: join(temporary.path, 'stranger') }))
  await expect(connectAs(stranger, url!)).rejects.toThrow(/authoriz/i)
  const client = await connectAs(engineUser(home), url!)
  const manager = await jetstreamManager(client)
  await manager.streams.add({ name: 'S', subjects: ['s.>'] })
  await jetstream(client).publish('s.1', 'kept')
  await killEngine()
  await client.closed()
  const again = await connectAs(engineUser(home), (await healEngine(home, env))!.url!)
  expect((await (await jetstreamManager(again)).streams.info('S')).state.messages).toBe(1)
  await again.close()
})

test('startEngine - the server has a session of its own and none of our secrets', async () => {
  const secrets = { ANTHROPIC_API_KEY: SECRET, CLAUDE_CODE_X: SECRET, MESH_NAME: SECRET, OTHER: SECRET }
  const program = await makeStarter()
  await support.runProgram(program, { ...env, ...secrets })
  const { pid } = engineStatus(home)
  const { stdout } = await support.runCommand('ps', ['eww', '-o', 'command=', '-p', String(pid)])
  expect(stdout).toContain('PATH=')
  expect(stdout).not.toContain(SECRET)
  expect(Number((await support.runCommand('ps', ['-o', 'pgid=', '-p', String(pid)])).stdout)).toBe(pid)
})

test('startEngine - survives the kill of its starter', async () => {
  const program = await makeStarter()
  const child = support.startProgram(program, env)
  const [answer] = await once(child.stdout, 'data')
  child.kill('SIGKILL')
  const { pid } = JSON.parse(String(answer))
  await startEngine(home, env, quiet)
  expect(engineStatus(home).pid).toBe(pid)
})

test('startEngine - ten at once start one', { timeout: 120_000 }, async () => {
  const program = await makeStarter()
  const runs = await Promise.all(Array.from({ length: 10 }, () => support.runProgram(program, env)))
  expect(runs.map((run) => run.code)).toEqual(Array(10).fill(0))
  const pids = new Set(runs.map((run) => JSON.parse(run.stdout).pid))
  expect([...pids]).toEqual(support.serversOf(home))
})

test('startEngine - starters killed at any moment never leave two servers', { timeout: 240_000 }, async () => {
  const program = await makeStarter()
  for (let round = 0; round < 30; round++) {
    const starters = Array.from({ length: 3 }, () => support.startProgram(program, env))
    const ends = starters.map((child) => once(child, 'exit'))
    await expect.poll(() => existsSync(join(home.engine, 'lock')), WAIT).toBe(true)
    const until = performance.now() + Math.random() * 20
    while (performance.now() < until) await new Promise(setImmediate)
    for (const child of starters) child.kill('SIGKILL')
    await Promise.all(ends)
    const { pid } = await startEngine(home, env, quiet)
    expect(support.serversOf(home)).toEqual([pid])
    await killEngine()
  }
})

test('healEngine - a killed engine is back on its port', async () => {
  const before = await startEngine(home, env, quiet)
  await killEngine()
  expect(engineStatus(home).running).toBe(false)
  const after = await healEngine(home, env)
  expect(after).toMatchObject({ running: true, url: before.url })
  expect(after?.pid).not.toBe(before.pid)
  expect(await healEngine(home, env)).toEqual(after)
})

test('healEngine - ten at once start one', { timeout: 120_000 }, async () => {
  const before = await startEngine(home, env, quiet)
  const program = await makeStarter()
  await killEngine()
  const runs = await Promise.all(Array.from({ length: 10 }, () => support.runProgram(program, env, ['heal'])))
  expect(new Set(runs.map((run) => JSON.parse(run.stdout).pid))).toEqual(new Set(support.serversOf(home)))
  expect(engineStatus(home).url).toBe(before.url)
})

test('restartEngine - replaces that process once, and keeps the port', async () => {
  const before = await startEngine(home, env, quiet)
  await Promise.all([restartEngine(home, env, before.pid!), restartEngine(home, env, before.pid!)])
  const after = engineStatus(home)
  expect(after).toMatchObject({ running: true, url: before.url })
  expect(after.pid).not.toBe(before.pid)
  await restartEngine(home, env, before.pid!)
  expect(engineStatus(home).pid).toBe(after.pid)
  expect(support.serversOf(home)).toEqual([after.pid])
})

test('healEngine - leaves alone what was stopped on purpose, until the next start', async () => {
  const before = await startEngine(home, env, quiet)
  expect(await stopEngine(home)).toBe(true)
  expect(isAlive(before.pid!)).toBe(false)
  expect(await healEngine(home, env)).toBe(null)
  expect(await stopEngine(home)).toBe(false)
  expect((await startEngine(home, env, quiet)).url).toBe(before.url)
  await killEngine()
  expect(await healEngine(home, env)).not.toBe(null)
})

test('healEngine - never fetches', async ({ skip }) => {
  const bare = { PATH: join(temporary.path, 'empty'), HOME: temporary.path }
  skip(findEngine(bare, home) !== null, 'this machine has a nats-server in a usual place')
  expect(await healEngine(home, bare)).toBe(null)
})
