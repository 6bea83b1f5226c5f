import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { jetstreamManager } from '@nats-io/jetstream'
import { createUser } from '@nats-io/nkeys'
import { connect, nkeyAuthenticator } from 'nats'
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { engineStatus } from '../../../src/engine/engine.ts'
import { meshHome } from '../../../src/host/home.ts'
import { endEngine, runCommand, scrubbedEnv, temporaryDir, testEngineBinary } from '../../support/engine.ts'

const root = join(import.meta.dirname, '..', '..', '..')
const unitPath = join(root, 'deploy', 'mesh-engine.service')
const unit = readFileSync(unitPath, 'utf8')
const WAIT = { timeout: 30_000, interval: 10 }

let binary: string
let temporary: { path: string; remove: () => void }
const children: ReturnType<typeof spawn>[] = []

function start(command: string, args: string[], env: Record<string, string>) {
  const child = spawn(command, args, { env, stdio: 'ignore' })
  children.push(child)
  return child
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
}

beforeAll(async () => {
  binary = await testEngineBinary()
}, 300_000)
beforeEach(() => {
  temporary = temporaryDir()
})
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
  await endEngine(meshHome({ MESH_HOME: join(temporary.path, 'home') }))
  temporary.remove()
})

test('mesh-engine.service - its command line serves, and ends calmly on SIGTERM', { timeout: 60_000 }, async () => {
  const [command = '', ...args] = /^ExecStart=(.+)$/m.exec(unit)![1]!.split(' ')
  expect([command, args[0]]).toEqual(['/usr/bin/env', 'mesh'])
  // The unit finds `mesh` on PATH; here that is this checkout's.
  const bin = join(temporary.path, 'bin')
  mkdirSync(bin)
  writeFileSync(join(bin, 'mesh'), `#!/bin/sh\nexec node '${join(root, 'bin', 'mesh.js')}' "$@"\n`, { mode: 0o755 })
  const home = meshHome({ MESH_HOME: join(temporary.path, 'home') })
  const env = scrubbedEnv({ MESH_HOME: home.root, MESH_ENGINE: binary, PATH: `${bin}:${process.env.PATH}` })
  const child = start(command, args, env)
  await expect.poll(() => child.exitCode ?? engineStatus(home).running, WAIT).toBe(true)
  child.kill('SIGTERM')
  expect((await once(child, 'exit'))[0]).toBe(0)
  expect(engineStatus(home).running).toBe(false)
})

test('mesh-engine.service - systemd accepts it', async ({ skip }) => {
  const verified = await runCommand('systemd-analyze', ['--user', 'verify', unitPath], {
    XDG_RUNTIME_DIR: temporary.path,
  }).catch(() => null)
  if (!verified) return skip('there is no systemd-analyze here')
  expect(verified.stderr.split('\n').filter((line) => line.includes('mesh-engine'))).toEqual([])
  expect(verified.code).toBe(0)
})

test('nats-server.conf - the server accepts it, starts with it, and serves its user only', async () => {
  const user = createUser()
  const port = await freePort()
  const path = join(temporary.path, 'nats-server.conf')
  const text = readFileSync(join(root, 'deploy', 'nats-server.conf'), 'utf8')
    .replace('@USER_PUBLIC_KEY@ }', `${user.getPublicKey()} }`)
    .replace('"@STORE_DIR@"', JSON.stringify(join(temporary.path, 'store')))
    .replace(':4222"', `:${port}"`)
  expect(text.replace(/#.*/g, '')).not.toContain('@')
  writeFileSync(path, text)
  expect(await runCommand(binary, ['-t', '-c', path])).toMatchObject({ code: 0 })
  start(binary, ['-c', path], scrubbedEnv())
  const servers = `127.0.0.1:${port}`
  const authenticator = nkeyAuthenticator(user.getSeed())
  const client = await connect({ servers, authenticator, waitOnFirstConnect: true, reconnectTimeWait: 20 })
  const { limits } = await (await jetstreamManager(client)).getAccountInfo()
  expect(limits.max_storage).not.toBe(0)
  expect(client.info?.max_payload).toBe(2 * 1024 * 1024)
  await client.close()
  await expect(connect({ servers, reconnect: false })).rejects.toThrow(/authoriz/i)
})
