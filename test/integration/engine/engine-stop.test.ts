/** The engine: stopped, run in the foreground, and refused where its record or store is not what it should be. */
import { once } from 'node:events'
import { closeSync, existsSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { connect, type NatsConnection } from 'nats'
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { beatFor } from '../../../src/engine/beat.ts'
import {
  askEngine,
  engineStatus,
  healEngine,
  runEngineForeground,
  startEngine,
  stopEngine,
} from '../../../src/engine/engine.ts'
import { engineUser } from '../../../src/engine/nkey.ts'
import { choosePort } from '../../../src/engine/port.ts'
import { storeLock } from '../../../src/engine/record.ts'
import { openHeld } from '../../../src/host/hold.ts'
import { type Env, type Home, meshHome } from '../../../src/host/home.ts'
import { bootId, commandLine, identifyProcess, processState } from '../../../src/host/process/process.ts'
import * as support from '../../support/engine.ts'
import { isAlive, portOf, quiet, WAIT } from './engine-lab.ts'

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
const record = () => JSON.parse(readFileSync(join(home.engine, 'engine.json'), 'utf8'))

async function killEngine(): Promise<void> {
  const pid = engineStatus(home).pid!
  process.kill(pid, 'SIGKILL')
  await expect.poll(() => isAlive(pid), WAIT).toBe(false)
}

async function squat(port: number, greeting: string): Promise<void> {
  squatter = createServer((socket) => socket.on('error', quiet).end(greeting)).listen(port, '127.0.0.1')
  await once(squatter, 'listening')
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

test.each([
  ['silent', ''],
  ['an engine of another home', 'INFO {"server_name":"mesh-other","nonce":"x"}\r\n'],
])('healEngine - a port that somebody else took is given up: %s', async (_, greeting) => {
  const before = await startEngine(home, env, quiet)
  await killEngine()
  await squat(portOf(before.url), greeting)
  const after = await healEngine(home, env)
  expect(after?.url).not.toBe(before.url)
  await (await connectAs(engineUser(home), after!.url!)).close()
})

test('stopEngine - ends a paused engine, which counts as running until then', async () => {
  const { pid } = await startEngine(home, env, quiet)
  process.kill(pid!, 'SIGSTOP')
  await expect.poll(() => processState(identifyProcess(pid!)!), WAIT).toBe('paused')
  expect(engineStatus(home)).toMatchObject({ running: true, pid })
  expect(await stopEngine(home)).toBe(true)
  expect(support.serversOf(home)).toEqual([])
})

test('a record of a reused pid is replaced, and that process is not touched', async () => {
  await startEngine(home, env, quiet)
  await killEngine()
  writeFileSync(join(home.engine, 'engine.json'), JSON.stringify({ ...record(), pid: process.pid }))
  expect(engineStatus(home).running).toBe(false)
  expect(await stopEngine(home)).toBe(false)
  expect((await startEngine(home, env, quiet)).pid).not.toBe(process.pid)
})

test.each(['', '{"pid":1}', 'null'])('a lost or damaged record (%j) does not start a second server', async (text) => {
  const before = await startEngine(home, env, quiet)
  if (text === '') rmSync(join(home.engine, 'engine.json'))
  else writeFileSync(join(home.engine, 'engine.json'), text)
  expect(await startEngine(home, env, quiet)).toMatchObject({ pid: before.pid, url: before.url })
  expect(support.serversOf(home)).toEqual([before.pid])
})

test('a store that another host opened last is refused until a person allows it', async () => {
  await startEngine(home, env, quiet)
  await killEngine()
  writeFileSync(join(home.engine, 'engine.json'), JSON.stringify({ ...record(), host: 'elsewhere' }))
  const refused = { code: 'mesh_down', message: expect.stringContaining('elsewhere') }
  await expect(startEngine(home, env, quiet)).rejects.toMatchObject(refused)
  await expect(healEngine(home, env)).rejects.toMatchObject(refused)
  await stopEngine(home)
  expect((await startEngine(home, env, quiet)).running).toBe(true)
})

test('startEngine - a version that is too old is refused by its number', async () => {
  const old = support.makeScript(join(temporary.path, 'old'), 'echo "nats-server: v2.10.27"')
  const refused = { code: 'mesh_down', message: expect.stringContaining('2.10.27') }
  await expect(startEngine(home, { ...env, MESH_ENGINE: old }, quiet)).rejects.toMatchObject(refused)
})

test("startEngine - a server that does not start is reported in the server's own words", async () => {
  const body = '[ "$1" = --version ] && echo "nats-server: v2.15.0" || { echo "cannot start today" >&2; exit 1; }'
  const broken = support.makeScript(join(temporary.path, 'broken'), body)
  const failed = { code: 'mesh_down', message: expect.stringContaining('cannot start today') }
  await expect(startEngine(home, { ...env, MESH_ENGINE: broken }, quiet)).rejects.toMatchObject(failed)
  expect((await startEngine(home, env, quiet)).running).toBe(true)
})

test('startEngine - a home with spaces, quotes, dollars, hashes and letters of the world', async () => {
  home = meshHome({ MESH_HOME: join(temporary.path, 'my "mesh" \\ $HOME #1 \'é日本') })
  const { dataDir } = await startEngine(home, env, quiet)
  expect(existsSync(join(dataDir, 'jetstream'))).toBe(true)
  expect(existsSync(join(home.engine, 'log'))).toBe(true)
})

test('runEngineForeground - serves until it is told to end', async () => {
  const program = await makeStarter()
  const child = support.startProgram(program, env, ['run'])
  await expect.poll(() => engineStatus(home).running && child.exitCode === null, WAIT).toBe(true)
  const { pid } = await startEngine(home, env, quiet)
  expect(support.serversOf(home)).toEqual([pid])
  child.kill('SIGTERM')
  expect((await once(child, 'exit'))[0]).toBe(0)
  expect(support.serversOf(home)).toEqual([])
})

test('runEngineForeground - returns 128 + n when the server is killed, 0 when it is stopped', async () => {
  const said: string[] = []
  const ready = () => said.filter((line) => line.startsWith('engine ready')).length
  const first = runEngineForeground(home, env, (line) => said.push(line))
  await expect.poll(ready, WAIT).toBe(1)
  process.kill(engineStatus(home).pid!, 'SIGKILL')
  expect(await first).toBe(137)
  const second = runEngineForeground(home, env, (line) => said.push(line))
  await expect.poll(ready, WAIT).toBe(2)
  await stopEngine(home)
  expect(await second).toBe(0)
})

test('runEngineForeground - waits while another engine of the home runs, then takes over', async () => {
  const before = await startEngine(home, env, quiet)
  const said: string[] = []
  const ended = runEngineForeground(home, env, (line) => said.push(line))
  await expect.poll(() => said.some((line) => line.includes('takes over')), WAIT).toBe(true)
  expect(support.serversOf(home)).toEqual([before.pid])
  await killEngine()
  await expect.poll(() => engineStatus(home).pid ?? before.pid, WAIT).not.toBe(before.pid)
  expect(engineStatus(home).url).toBe(before.url)
  await stopEngine(home)
  expect(await ended).toBe(0)
})

test('commandLine - of a process and of none', () => {
  expect(commandLine(process.pid)).toContain('node')
  expect(commandLine(2 ** 30)).toBe('')
})

test('startEngine - what began before mesh down does not undo it', async () => {
  const began = Date.now() - 1
  await stopEngine(home)
  await expect(startEngine(home, env, quiet, began)).rejects.toMatchObject({ code: 'mesh_down' })
  expect(support.serversOf(home)).toEqual([])
  expect(await startEngine(home, env, quiet)).toMatchObject({ running: true })
})

test.skipIf(process.platform !== 'linux')(
  'an engine that cannot be seen and does not answer has its store',
  async () => {
    const { pid } = await startEngine(home, env, quiet)
    const unseen = { ...record(), space: 'pid:[1]', port: await choosePort(undefined) }
    writeFileSync(join(home.engine, 'engine.json'), JSON.stringify(unseen))
    const refused = {
      code: 'mesh_down',
      message: expect.stringContaining('another process space holds this mesh home'),
    }
    for (const act of [() => startEngine(home, env, quiet), () => healEngine(home, env), () => stopEngine(home)])
      await expect(act()).rejects.toMatchObject(refused)
    await expect(askEngine(home)).rejects.toMatchObject(refused)
    expect(record()).toEqual(unseen)
    expect(support.serversOf(home)).toEqual([pid])
    process.kill(pid!, 'SIGKILL')
    await expect.poll(() => isAlive(pid!), WAIT).toBe(false)
    expect(await healEngine(home, env)).toMatchObject({ running: true })
  },
)

test.skipIf(process.platform !== 'linux')('a store that another process holds is opened by no engine', async () => {
  await startEngine(home, env, quiet)
  await stopEngine(home)
  const [before, store] = [record(), openHeld(storeLock(home))!]
  await expect(startEngine(home, env, quiet)).rejects.toMatchObject({ code: 'mesh_down' })
  expect(record()).toEqual(before)
  closeSync(store.fd)
  expect(await startEngine(home, env, quiet)).toMatchObject({ running: true })
})

test('an engine of another machine is left alone as long as the beat of its sessions is fresh', async () => {
  await startEngine(home, env, quiet)
  await stopEngine(home)
  writeFileSync(join(home.engine, 'engine.json'), JSON.stringify({ ...record(), boot: 'another' }))
  const beat = join(home.engine, 'beat')
  writeFileSync(beat, 'another')
  await expect(startEngine(home, env, quiet)).rejects.toMatchObject({
    code: 'mesh_down',
    message: expect.stringContaining('another machine'),
  })
  const old = new Date(Date.now() - 31_000)
  utimesSync(beat, old, old)
  expect(await startEngine(home, env, quiet)).toMatchObject({ running: true })
  beatFor(home)
  expect(readFileSync(beat, 'utf8')).toBe(bootId())
})
