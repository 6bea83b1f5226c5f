import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { eventually, TestMesh } from '../../support/mesh.ts'

let mesh: TestMesh
beforeEach(() => {
  mesh = new TestMesh()
})
afterEach(() => mesh.dispose())

test('up, status and down tell the truth', async () => {
  expect(await mesh.run(['status', '--json'])).toMatchObject({ code: 5, json: { running: false } })
  const up = await mesh.json(['up'])
  expect(up).toMatchObject({
    running: true,
    url: expect.stringMatching(/^nats:\/\/127\.0\.0\.1:\d+$/),
    pid: expect.any(Number),
    version: expect.stringMatching(/^\d+\.\d+\.\d+/),
  })
  expect(up.dataDir.startsWith(mesh.home)).toBe(true)
  expect(await mesh.json(['status'])).toEqual(up)
  expect(await mesh.json(['up'])).toEqual(up)
  expect(await mesh.json(['down'])).toMatchObject({ stopped: true })
  expect(await mesh.run(['status', '--json'])).toMatchObject({ code: 5, json: { running: false } })
  expect(await mesh.json(['down'])).toMatchObject({ stopped: false })
})

test('ten up at once start one engine', async () => {
  const ups = await Promise.all(Array.from({ length: 10 }, () => mesh.json(['up'])))
  expect(new Set(ups.map(({ pid }) => pid)).size).toBe(1)
  const servers = mesh.leftovers().filter(({ command }) => command.includes('server.conf'))
  expect(servers).toHaveLength(1)
})

test('a first command starts what it needs, without up', async () => {
  const me = await mesh.json(['whoami'], { as: 'alice' })
  expect(me).toMatchObject({ name: 'alice', connected: true })
  expect(await mesh.json(['status'])).toMatchObject({ running: true })
})

test('after down nothing is started again until up', async () => {
  await mesh.join('alice', 'bob')
  await mesh.json(['down'])
  const refused = await mesh.run(['send', 'bob', '--json', '--', 'hi'], { as: 'alice' })
  expect(refused.code).toBe(5)
  expect(refused.stdout).toBe('')
  expect(refused.error).toMatchObject({ code: 'mesh_down', hint: expect.stringContaining('mesh up') })
  expect(await mesh.run(['status', '--json'])).toMatchObject({ code: 5, json: { running: false } })
  await mesh.json(['up'])
  expect(await mesh.json(['send', 'bob', '--', 'hi'], { as: 'alice' })).toMatchObject({ state: 'stored' })
})

test('mail outlives down and up', async () => {
  await mesh.join('alice', 'bob')
  await mesh.json(['send', 'bob', '--', 'keep this'], { as: 'alice' })
  await mesh.json(['down'])
  await mesh.json(['up'])
  expect(await mesh.texts('bob')).toEqual(['keep this'])
  expect(await mesh.texts('bob')).toEqual([])
})

test('an engine killed by kill -9 is healed by the sidecars', async () => {
  await mesh.join('alice', 'bob')
  const { pid, url } = await mesh.json(['status'])
  process.kill(pid, 'SIGKILL')
  await eventually(async () => {
    const status = await mesh.json(['status'])
    return status.running && status.pid !== pid
  }, 'another engine')
  expect(await mesh.json(['status'])).toMatchObject({ url })
  const sent = await mesh.json(['send', 'bob', '--wait', 'delivered', '--', 'still there?'], { as: 'alice' })
  expect(['delivered', 'handed', 'held', 'surfaced']).toContain(sent.state)
  expect(await mesh.texts('bob')).toEqual(['still there?'])
})

test('every file is under the mesh home, and nobody else may read it', async () => {
  await mesh.join('alice')
  expect(statSync(mesh.home).mode & 0o777).toBe(0o700)
  expect(statSync(join(mesh.home, 'member.key')).mode & 0o777).toBe(0o600)
  expect(statSync(join(mesh.runDir('alice'), 'sock')).mode & 0o777).toBe(0o600)
  expect(existsSync(join(mesh.root, 'home', '.local'))).toBe(false)
})

test('engine which names the binary', async () => {
  expect(await mesh.json(['engine', 'which'])).toMatchObject({
    path: mesh.env().MESH_ENGINE,
    version: expect.stringMatching(/^\d+\.\d+\.\d+/),
    source: 'MESH_ENGINE',
  })
})

test('a MESH_ENGINE that is no nats-server is refused by name', async () => {
  const done = await mesh.run(['up', '--json'], { env: { MESH_ENGINE: '/bin/ls' } })
  expect(done.code).toBe(5)
  expect(done.error).toMatchObject({ code: 'mesh_down', message: expect.stringContaining('/bin/ls') })
})

test('engine run serves in the foreground until it is told to end', async () => {
  const run = mesh.start(['engine', 'run'])
  const status = await eventually(async () => {
    const now = (await mesh.run(['status', '--json'])).json
    return now.running && now
  }, 'the engine')
  await mesh.join('alice')
  expect(await mesh.json(['up'])).toMatchObject({ pid: status.pid })
  run.child.kill('SIGTERM')
  expect((await run.finished).code).toBeTypeOf('number')
})
