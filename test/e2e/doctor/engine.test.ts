/** Ways to break the engine and its store: doctor names each, mends what it says it can, and touches nothing else. */
import { spawn } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { chmodSync, mkdirSync, openSync, readFileSync, rmSync, statfsSync, truncateSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { jetstreamManager } from '@nats-io/jetstream'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { engineUser } from '../../../src/engine/nkey.ts'
import { meshHome } from '../../../src/host/home.ts'
import { connectEngine } from '../../../src/nats/connect.ts'
import { eventually } from '../../support/mesh.ts'
import { type Breakage, SickMesh } from '../../support/sick-mesh.ts'

const mesh = new SickMesh()
beforeAll(() => mesh.begin())
afterAll(() => mesh.dispose())

const file = (name: string) => join(mesh.home, 'engine', name)
const status = async () => (await mesh.run(['status', '--json'])).json
const kill = async (signal: NodeJS.Signals = 'SIGKILL') => process.kill((await status()).pid, signal)

/** No sidecar is there that would heal the engine. */
async function alone(): Promise<void> {
  const dir = mesh.runDir('tester')
  await mesh.post('tester', '/v0/stop', '{}')
  await eventually(() => mesh.leftovers().every(({ command }) => !command.endsWith(dir)), 'the end of the sidecar')
}

async function killed(): Promise<void> {
  await alone()
  await kill()
  await eventually(async () => !(await status()).running, 'the end of the engine')
}

/** A server that somebody starts by hand. */
function serve(...args: string[]): void {
  const log = openSync(file('log'), 'a')
  const command = ['umask 077; exec "$0" "$@"', mesh.env().MESH_ENGINE!, ...args, '-c', file('server.conf')]
  spawn('/bin/sh', ['-c', ...command], { cwd: file(''), detached: true, stdio: ['ignore', log, log] }).unref()
}

function logged(text: string): Promise<unknown> {
  return eventually(() => readFileSync(file('log'), 'utf8').includes(text), text)
}

const breakages: Breakage[] = [
  { name: 'an engine that was killed', harm: killed, check: 'engine.ended', mend: 'doctor' },
  { name: 'an engine that hangs', harm: () => kill('SIGSTOP'), check: 'engine.paused', mend: 'doctor' },
  {
    name: 'an engine that was stopped',
    harm: () => mesh.json(['down']),
    check: 'engine.stopped',
    mend: 'command',
  },
  {
    name: 'a mark of mesh down beside a running engine',
    harm: () => writeFileSync(file('stopped'), '', { mode: 0o600 }),
    check: 'engine.mark',
    mend: 'doctor',
  },
  { name: 'a lost record', harm: () => rmSync(file('engine.json')), check: 'engine.record', mend: 'doctor' },
  {
    name: 'a damaged record',
    harm: () => writeFileSync(file('engine.json'), '{"pid":', { mode: 0o600 }),
    check: 'engine.record',
    mend: 'doctor',
  },
  {
    name: 'a record of another host',
    harm: async () => {
      await killed()
      const record = JSON.parse(readFileSync(file('engine.json'), 'utf8'))
      writeFileSync(file('engine.json'), JSON.stringify({ ...record, host: 'elsewhere' }))
    },
    check: 'engine.host',
    mend: 'command',
  },
  {
    name: 'a port that another program took',
    harm: async () => {
      const { url } = await status()
      await killed()
      const server = createServer((socket) => socket.end('220 not a NATS server\r\n'))
      const port = Number(new URL(url).port)
      await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
      return () => server.close()
    },
    check: 'engine.port',
    mend: 'doctor',
  },
  { name: 'a lost engine key', harm: () => rmSync(file('user.key')), check: 'engine.key', mend: 'doctor' },
  {
    name: 'an engine key that is none',
    harm: () => writeFileSync(file('user.key'), 'garbage'),
    check: 'engine.key',
    mend: 'doctor',
  },
  {
    name: 'an engine key that the engine does not know',
    harm: () => {
      const { privateKey } = generateKeyPairSync('ed25519')
      writeFileSync(file('user.key'), privateKey.export({ type: 'pkcs8', format: 'pem' }))
    },
    check: 'engine.key',
    mend: 'doctor',
  },
  {
    name: 'two servers on one store',
    harm: async () => {
      serve('-p', '20999')
      await logged('Listening for client connections on 127.0.0.1:20999')
    },
    check: 'engine.second',
    mend: 'doctor',
  },
  {
    name: 'a MESH_ENGINE that is not there',
    harm: () => {},
    check: 'engine.program',
    mend: 'command',
    env: { MESH_ENGINE: '/nowhere/nats-server' },
  },
  {
    name: 'a nats-server that is too old',
    harm: () => mesh.program('old-server', 'echo "nats-server: v2.9.0"'),
    check: 'engine.version',
    mend: 'command',
    env: { MESH_ENGINE: join(mesh.bin, 'old-server') },
  },
  {
    name: 'an engine that ends again and again',
    harm: async () => {
      await mesh.join('tester')
      for (let round = 0; round < 6; round++) {
        const { pid } = await status()
        process.kill(pid, 'SIGKILL')
        await eventually(async () => {
          const now = await status()
          return now.running && now.pid !== pid
        }, 'another engine')
        await mesh.json(['whoami'])
      }
    },
    check: 'engine.crashes',
    // Ten minutes later nothing of it is left.
    mend: () => truncateSync(file('log')),
  },
  {
    name: 'a directory of the store that nobody may write',
    harm: () => chmodSync(join(file('data'), 'jetstream'), 0o500),
    check: 'permissions.shut',
    mend: 'doctor',
  },
  {
    name: 'a store at its limit',
    harm: async () => {
      await mesh.json(['down'])
      const conf = readFileSync(file('server.conf'), 'utf8')
      writeFileSync(file('server.conf'), conf.replace(/max_file: \d+/, 'max_file: 2097152'))
      serve()
      await logged('Max Storage:     2.00 MB')
      await mesh.json(['up'])
      await mesh.join('tester')
      for (let i = 0; i < 10; i++) await mesh.run(['send', 'tester', '-'], { input: 'x'.repeat(200_000) })
    },
    check: 'store.limit',
    mend: 'doctor',
  },
  {
    name: 'a stream that somebody removed',
    harm: async () => {
      await mesh.join('tester')
      const { url } = await status()
      const nc = await connectEngine(
        { url, user: engineUser(meshHome({ MESH_HOME: mesh.home })), name: 'vandal' },
        () => {},
      )
      const jsm = await jetstreamManager(nc)
      await jsm.streams.delete('mesh_sick_rcpt')
      await nc.close()
    },
    check: 'store.streams',
    mend: 'doctor',
  },
  {
    name: 'a store that was removed under the engine',
    harm: () => rmSync(join(file('data'), 'jetstream'), { recursive: true }),
    check: 'store.gone',
    mend: 'doctor',
  },
  {
    name: 'a damaged stream: only a person gives up a store',
    harm: async () => {
      await mesh.join('tester')
      await mesh.json(['down'])
      writeFileSync(join(file('data'), 'jetstream', '$G', 'streams', 'mesh_sick_msg', 'meta.inf'), 'garbage')
      await mesh.json(['up'])
    },
    check: 'store.log',
    mend: 'command',
  },
]

test.each(breakages)('$name', async (breakage) => {
  await mesh.suffer(breakage)
  // As if ten minutes went by: the restarts of one case are not the next one's.
  truncateSync(file('log'))
  await mesh.join('tester')
  const sent = await mesh.json(['send', 'tester', '--wait', 'delivered', '--', 'well again?'])
  expect(['delivered', 'surfaced']).toContain(sent.state)
})

/** A file system of its own, which can be filled. */
test('a disk that is full', async () => {
  const small = join(mesh.root, 'small')
  mkdirSync(small)
  if (!mesh.mount(small, 96)) return console.log('SKIPPED: this user may not mount a tmpfs')
  const env = { MESH_HOME: small }
  try {
    await mesh.json(['up'], { env })
    const { bavail, bsize } = statfsSync(small)
    writeFileSync(join(small, 'ballast'), Buffer.alloc(bavail * bsize - 8 * 1024 * 1024), { mode: 0o600 })
    const { code, findings } = await mesh.doctor([], { env })
    expect(code).toBe(4)
    expect(findings.find(({ check }) => check === 'store.space')).toMatchObject({ ok: false, fixable: false })
    rmSync(join(small, 'ballast'))
    const well = await mesh.doctor([], { env })
    expect(well.findings.find(({ check }) => check === 'store.space')).toMatchObject({ ok: true })
  } finally {
    await mesh.run(['down'], { env })
    mesh.unmount(small)
  }
})
