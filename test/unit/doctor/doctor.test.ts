/** Doctor's readings of logs, settings and ports, and the orphans it may end. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { socketParent } from '../../../src/doctor/checks/place.ts'
import { complaints, crashes, parseEngineLog, sidecarAlarms, sidecarCrashes } from '../../../src/doctor/look/logs.ts'
import { endOrphan, findOrphans, type Orphan } from '../../../src/doctor/look/orphan.ts'
import { engineUser } from '../../../src/engine/nkey.ts'
import { probeEngine } from '../../../src/engine/probe.ts'
import { inspectClaudeCode } from '../../../src/harness/claude-code/install/inspect.ts'
import { installClaudeCode } from '../../../src/harness/claude-code/install/install.ts'
import { meshHome } from '../../../src/host/home.ts'
import { ownProcesses } from '../../../src/host/process/list.ts'
import {
  commandLine,
  endProcess,
  environmentOf,
  identifyProcess,
  workingDirectory,
} from '../../../src/host/process/process.ts'
import { temporaryDir } from '../../support/engine.ts'

let temporary: ReturnType<typeof temporaryDir>
const children: ChildProcess[] = []
beforeEach(() => {
  temporary = temporaryDir()
})
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
  temporary.remove()
})

function start(command: string, args: string[], env: Record<string, string> = {}, cwd = temporary.path): number {
  const child = spawn(command, args, { cwd, env: { PATH: process.env.PATH, ...env }, stdio: 'ignore' })
  children.push(child)
  return child.pid!
}

const home = () => meshHome({ MESH_HOME: join(temporary.path, 'mesh') })

const log = parseEngineLog(
  [
    '[1] 2026/11/21 05:00:00.000001 [INF] Starting nats-server',
    '[1] 2026/11/21 05:00:01.000001 [WRN] Stream metafile "x": checksums do not match',
    '[2] 2026/11/21 05:01:00.000001 [INF] Starting nats-server',
    '[2] 2026/11/21 05:01:01.000001 [WRN] Recovering stream state from index errored: prior state file',
    '[2] 2026/11/21 05:01:02.000001 [ERR] 127.0.0.1:4000 - cid:5 - authentication error',
    '[2] 2026/11/21 05:01:03.000001 [INF] Server Exiting..',
    'sh: a word of the shell',
    '[3] 2026/11/21 05:02:00.000001 [INF] Starting nats-server',
    '[3] 2026/11/21 05:02:01.000001 [WRN] Error unmarshalling consumer metafile "y"',
    '[3] 2026/11/21 05:02:02.000001 [ERR] JetStream out of space',
  ]
    .join('\n')
    .split('\n'),
)

test('an engine log - a start without a calm end before is a crash', () => {
  expect(crashes(log).map((at) => new Date(at).getMinutes())).toEqual([1])
})

test('an engine log - damage since the last start; a rebuilt index and a bad client are none', () => {
  expect(complaints(log).map(({ text }) => text)).toEqual([
    'Error unmarshalling consumer metafile "y"',
    'JetStream out of space',
  ])
  const second = log.slice(0, 6)
  expect(complaints(second)).toEqual([])
})

test('a sidecar log - its fatal lines, and half of one', () => {
  const lines = [
    '{"level":30,"msg":"x"}',
    '{"level":60,"time":"2026-11-21T05:00:00.000Z","error":"boom"}',
    '{"level":60,"ti',
  ]
  expect(sidecarCrashes(lines)).toEqual([{ at: Date.UTC(2026, 10, 21, 5), words: 'boom' }])
})

test('a sidecar log - alarms are known by their event, and in logs of the first release by their words', () => {
  const time = '2026-11-21T05:00:00.000Z'
  const lines = [
    { level: 50, time, event: 'missing_mail', msg: 'a gap' },
    { level: 50, time, msg: 'messages of this sender are missing', missing: 2, from: 'web', to: 'api' },
    { level: 50, time, event: 'something_else', msg: 'no harm' },
    { level: 30, time, event: 'missing_mail', msg: 'not an error' },
  ].map((line) => JSON.stringify(line))
  expect(sidecarAlarms(lines).map(({ words }) => words)).toEqual([
    'a gap',
    'messages of this sender are missing: 2 from web to api',
  ])
})

test('sockets of a long home - a directory of another kind or user is refused', () => {
  const own = join(temporary.path, 'own')
  mkdirSync(own)
  symlinkSync(own, join(temporary.path, 'link'))
  expect(socketParent(own).ok).toBe(true)
  expect(socketParent(join(temporary.path, 'none')).ok).toBe(true)
  expect(socketParent(join(temporary.path, 'link'))).toMatchObject({ ok: false, check: 'home.sockets' })
  expect(socketParent('/dev/null')).toMatchObject({ ok: false })
})

test.each(['disableAllHooks', 'allowManagedHooksOnly'])('managed settings with %s switch hooks off', (key) => {
  const env = { HOME: temporary.path }
  installClaudeCode({ env, home: home(), sidecarPath: '/opt/mesh/sidecar.js', nodePath: process.execPath })
  const managed = join(temporary.path, 'managed.json')
  writeFileSync(managed, JSON.stringify({ [key]: true }))
  const packageDir = fileURLToPath(new URL('../../..', import.meta.url))
  const seen = inspectClaudeCode({ env, home: home(), top: temporary.path, packageDir, managed })
  expect(seen.switchedOff).toEqual([{ path: managed, key }])
  expect(new Set(Object.values(seen.places[0]!.hooks))).toEqual(new Set(['current']))
  expect(seen).toMatchObject({ script: 'current', starts: { node: process.execPath, sidecar: '/opt/mesh/sidecar.js' } })
})

async function listen(onConnect: (socket: Socket) => void): Promise<{ port: number; close(): void }> {
  const server = createServer((socket) => {
    socket.on('error', () => {})
    onConnect(socket)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { port: (server.address() as AddressInfo).port, close: () => server.close() }
}

test('a port - ours, refusing, a stranger, one that only seems ours, and nobody', async () => {
  const unproven = engineUser(home())
  const user = { ...unproven, prove: async () => {} }
  const info = (name: string) => `INFO ${JSON.stringify({ server_name: name, nonce: 'n' })}\r\n`
  const answering = (word: string) => (socket: Socket) => {
    socket.write(info('me'))
    socket.once('data', () => socket.write(word))
  }
  const asks: [string, (socket: Socket) => void][] = [
    ['ours', answering('PONG\r\n')],
    ['refused', answering("-ERR 'Authorization Violation'\r\n")],
    ['stranger', (socket) => socket.write(info('other'))],
    ['stranger', (socket) => socket.end('220 mail\r\n')],
    ['stranger', (socket) => socket.write('x'.repeat(100_000))],
  ]
  for (const [answer, onConnect] of asks) {
    const { port, close } = await listen(onConnect)
    expect(await probeEngine(port, 'me', user)).toBe(answer)
    close()
  }
  const heard: Buffer[] = []
  const { port, close } = await listen((socket) => {
    socket.write(info('me'))
    socket.on('data', (chunk) => heard.push(chunk))
  })
  expect(await probeEngine(port, 'me', unproven)).toBe('foreign')
  expect(heard).toEqual([])
  close()
  expect(await probeEngine(port, 'me', user)).toBe('closed')
})

test('a process - its environment, its directory, its end', { timeout: 60_000 }, async () => {
  const pid = start('sleep', ['600'], { MESH_HOME: '/a b/c' })
  await expect.poll(() => commandLine(pid), { timeout: 30_000 }).toBe('sleep 600')
  const found = ownProcesses().find((one) => one.pid === pid)
  expect(found).toMatchObject({ ...identifyProcess(pid), command: 'sleep 600' })
  expect(environmentOf(pid, 'MESH_HOME')).toBe('/a b/c')
  expect(environmentOf(pid, 'NONE')).toBe(null)
  expect(workingDirectory(pid)).toBe(temporary.path)
  expect(await endProcess({ ...found!, start: '1' }, 1000)).toBe(true)
  expect(identifyProcess(pid)).not.toBe(null)
  expect(await endProcess(found!, 5000)).toBe(true)
  expect(identifyProcess(pid)).toBe(null)
})

/** A program that sleeps under the command line of a sidecar. */
async function sidecar(dir: string, env: string): Promise<number> {
  const path = join(temporary.path, 'sidecar.js')
  writeFileSync(path, '#!/bin/sh\nwhile :; do sleep 1; done\n')
  chmodSync(path, 0o755)
  const pid = start('/bin/sh', [path, 'claude-code', dir], { MESH_HOME: env })
  await expect.poll(() => commandLine(pid), { timeout: 30_000 }).toContain(path)
  return pid
}

/** Of those that this test started: others of this machine are not its business. */
async function orphansHere(): Promise<Orphan[]> {
  const ours = new Set(children.map(({ pid }) => pid))
  return (await findOrphans(home())).filter(({ pid }) => ours.has(pid))
}

test('orphans - only whose home is confirmed twice, whose client is dead, and who stays', {
  timeout: 60_000,
}, async () => {
  const client = start('sleep', ['600'])
  const dead = join(home().run, 'cc-999999999')
  mkdirSync(dead, { recursive: true })
  const orphan = await sidecar(dead, home().root)
  await sidecar(join(home().run, `cc-${client}`), home().root)
  await sidecar(dead, '/somewhere/else')
  start('sleep', ['600'], { MESH_HOME: home().root })
  let found: Orphan[] = []
  const pids = async () => {
    found = await orphansHere()
    return found.map(({ pid }) => pid)
  }
  await expect.poll(pids, { timeout: 30_000 }).toEqual([orphan])
  expect(found[0]).toMatchObject({ kind: 'sidecar', evidence: 'its client, process 999999999, is dead' })
  expect(await endOrphan(home(), { ...found[0]!, start: '1' })).toBe(true)
  expect(identifyProcess(orphan)).not.toBe(null)
  expect(await endOrphan(home(), found[0]!)).toBe(true)
  expect(identifyProcess(orphan)).toBe(null)
})

test('orphans - the sidecar of a living session whose directory was removed is none', { timeout: 60_000 }, async () => {
  const client = start('sleep', ['600'])
  await sidecar(join(home().run, `cc-${client}`), home().root)
  expect(await orphansHere()).toEqual([])
})
