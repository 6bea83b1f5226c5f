import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { processSpace } from '../../../src/host/process/space.ts'
import { eventually, TestMesh } from '../../support/mesh.ts'

let mesh: TestMesh
beforeEach(async () => {
  mesh = new TestMesh()
  await mesh.json(['up'])
  await mesh.join('alice', 'bob')
})
afterEach(() => mesh.dispose())

async function end(name: string, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
  await mesh.signal(name, signal)
  await eventually(async () => (await mesh.status(name, 'bob')) === 'gone', `${name} to be gone`)
}

test('ps lists the sessions of the project, alive shows one', async () => {
  const sessions = await mesh.json(['ps'], { as: 'bob' })
  expect(sessions.map(({ name }: { name: string }) => name)).toEqual(['alice', 'bob'])
  expect(sessions[0]).toMatchObject({
    name: 'alice',
    status: 'idle',
    harness: expect.any(String),
    host: expect.any(String),
    pid: expect.any(Number),
    cwd: mesh.cwd,
    lastActivityAt: expect.stringMatching(/Z$/),
    wake: expect.any(Array),
    unread: 0,
  })
  const alive = await mesh.run(['alive', 'alice', '--json'], { as: 'bob' })
  expect(alive.code).toBe(0)
  expect(alive.json).toMatchObject({ name: 'alice', alive: true, status: 'idle' })
})

test('ps lists every project of this machine, and is one line for a prompt; neither makes a session', async () => {
  await mesh.json(['whoami'], { as: 'alice', env: { MESH_PROJECT: 'another' } })
  const listed = await mesh.json(['ps', '--all-projects'], { as: 'nobody', env: { MESH_PROJECT: 'third' } })
  const places = listed.map(({ project, name }: { project: string; name: string }) => `${project}/${name}`)
  expect(places).toEqual(expect.arrayContaining(['another/alice', `${mesh.project}/alice`, `${mesh.project}/bob`]))
  expect((await mesh.run(['ps', '--short'], { as: 'bob' })).stdout).toMatch(/^●\d+ ◐0 ✉0\n$/)
  expect((await mesh.run(['ps', '--short'], { as: 'nobody', env: { MESH_PROJECT: 'third' } })).stdout).toBe(
    '●0 ◐0 ✉0\n',
  )
  expect((await mesh.json(['ps'], { as: 'bob' })).map(({ name }: { name: string }) => name)).not.toContain('nobody')
})

test('a listing of a project that nobody was ever in makes no session; one that is used lists it', async () => {
  const env = { MESH_PROJECT: 'untouched' }
  for (const listing of ['ps', 'tree', 'claims', 'task list', 'state list', 'state history', 'topic list', 'budget'])
    expect(await mesh.json(listing.split(' '), { as: 'nobody', env }), listing).toEqual([])
  expect(await mesh.json(['state', 'show'], { as: 'nobody', env })).toMatchObject({ entries: [], obligations: [] })
  expect(await mesh.json(['ps', '--all-projects'], { env })).not.toContainEqual(
    expect.objectContaining({ project: 'untouched' }),
  )
  expect(await mesh.run(['events', '--json'], { as: 'nobody', env })).toMatchObject({ code: 0, stdout: '' })
  await mesh.json(['whoami'], { as: 'carol', env })
  expect(await mesh.json(['ps'], { as: 'nobody', env })).toMatchObject([{ name: 'carol' }])
})

test('leave ends the session of a shell, rename OLD NEW names another one', async () => {
  await mesh.join('tpyo')
  expect(await mesh.json(['rename', 'tpyo', 'typo'], { as: 'bob' })).toMatchObject({ name: 'typo' })
  expect(await mesh.json(['alive', 'typo'], { as: 'bob' })).toMatchObject({ name: 'typo', alive: true })
  expect(await mesh.json(['leave', 'typo'], { as: 'bob' })).toEqual({ name: 'typo' })
  expect((await mesh.run(['alive', 'typo', '--json'], { as: 'bob' })).json).toMatchObject({ status: 'gone' })
  expect(await mesh.run(['leave', 'typo', '--json'], { as: 'bob' })).toMatchObject({ code: 4, stdout: '' })
  expect(await mesh.json(['leave'], { as: 'bob' })).toEqual({ name: 'bob' })
})

test('ps counts unread messages', async () => {
  await mesh.json(['send', 'alice', '--wait', 'delivered', '--', 'x'], { as: 'bob' })
  await eventually(async () => {
    const sessions = await mesh.json(['ps'], { as: 'bob' })
    return sessions[0].unread === 1
  }, 'one unread message')
})

test('projects do not see each other', async () => {
  const there = { as: 'alice', env: { MESH_PROJECT: 'other' } }
  await mesh.json(['whoami'], there)
  expect((await mesh.json(['ps'], there)).map(({ name }: { name: string }) => name)).toEqual(['alice'])
  const done = await mesh.run(['send', 'bob', '--json', '--', 'hi'], there)
  expect(done).toMatchObject({ code: 3, stdout: '' })
  expect(done.error.code).toBe('not_found')
})

test.each(['SIGTERM', 'SIGKILL'] as const)('a session ended by %s is gone, and alive says so', async (signal) => {
  await end('alice', signal)
  const alive = await mesh.run(['alive', 'alice', '--json'], { as: 'bob' })
  expect(alive.code).toBe(4)
  expect(alive.json).toMatchObject({ name: 'alice', alive: false, status: 'gone', reason: expect.any(String) })
  expect(alive.error.code).toBe('not_alive')
  const unknown = await mesh.run(['alive', 'nobody', '--json'], { as: 'bob' })
  expect(unknown).toMatchObject({ code: 3, stdout: '' })
})

test('mail to a name that is gone waits, and send says so', async () => {
  await end('alice')
  const sent = await mesh.json(['send', 'alice', '--', 'when you are back'], { as: 'bob' })
  expect(sent).toMatchObject({ state: 'stored', note: expect.stringContaining('gone') })
  const plain = await mesh.run(['send', 'alice', '--', 'this too'], { as: 'bob' })
  expect(plain.stdout).toMatch(/^m_[0-9a-f]{32} stored \(.*gone.*\)\n$/)
  // Nobody has counted what waits.
  const listed = await mesh.json(['ps'], { as: 'bob' })
  expect(listed.find(({ name }: { name: string }) => name === 'alice')).toMatchObject({ status: 'gone', unread: null })
  expect((await mesh.run(['ps'], { as: 'bob' })).stdout).toMatch(/^alice +gone +\S+ ago +- /m)
  expect(await mesh.texts('alice')).toEqual(['when you are back', 'this too'])
})

test('wait - a session that is idle, and one that ends', async () => {
  const idle = await mesh.run(['wait', 'alice', '--json'], { as: 'bob' })
  expect(idle.jsonLines).toMatchObject([{ type: 'session_idle', name: 'alice', status: 'idle' }])
  const ended = mesh.start(['wait', 'alice', '--until', 'end', '--json'], { as: 'bob' })
  await mesh.signal('alice', 'SIGKILL')
  const done = await ended.finished
  expect(done.code).toBe(0)
  expect(done.jsonLines).toMatchObject([{ type: 'session_ended', name: 'alice', reason: expect.any(String) }])
})

test('wait - all of several sessions; an unknown name is refused', async () => {
  const both = await mesh.run(['wait', 'alice', 'bob', '--all', '--json'], { as: 'carol' })
  expect(both.jsonLines.map(({ name }) => name).sort()).toEqual(['alice', 'bob'])
  const nobody = await mesh.run(['wait', 'nobody', '--json'], { as: 'bob' })
  expect(nobody).toMatchObject({ code: 3, stdout: '' })
})

test('rename - mail comes along, and the old name leads to the new one', async () => {
  await mesh.json(['send', 'alice', '--wait', 'delivered', '--', 'before'], { as: 'bob' })
  const env = { as: 'alice' }
  expect(await mesh.json(['rename', 'api-worker'], env)).toEqual({ name: 'api-worker', previous: 'alice' })
  expect(await mesh.json(['send', 'api-worker', '--', 'after'], { as: 'bob' })).toMatchObject({ to: 'api-worker' })
  expect(await mesh.json(['send', 'alice', '--', 'by the old name'], { as: 'bob' })).toMatchObject({
    to: 'api-worker',
    note: expect.stringContaining('api-worker'),
  })
  expect(await mesh.texts('api-worker')).toEqual(['before', 'after', 'by the old name'])
  expect(await mesh.status('api-worker', 'bob')).toBe('idle')
})

test('rename - a person at a shell is there at once under the new name, and can have the former one back', async () => {
  await mesh.run(['rename', 'api-worker'], { as: 'alice' })
  expect(await mesh.status('api-worker', 'bob')).toBe('idle')
  await mesh.json(['send', 'api-worker', '--', 'hello'], { as: 'bob' })
  const done = await mesh.run(['rename', 'alice'], { as: 'api-worker' })
  expect(done).toMatchObject({ code: 0, stdout: 'api-worker is now alice\n' })
  expect(done.stderr).toContain('--as alice')
  expect(await mesh.status('alice', 'bob')).toBe('idle')
  expect(await mesh.texts('alice')).toEqual(['hello'])
  expect(await mesh.json(['send', 'api-worker', '--', 'x'], { as: 'bob' })).toMatchObject({ to: 'alice' })
})

test('rename - a name in use is refused', async () => {
  const done = await mesh.run(['rename', 'alice', '--json'], { as: 'bob' })
  expect(done).toMatchObject({ code: 4, stdout: '' })
  expect(done.error.code).toBe('name_taken')
  expect(await mesh.json(['whoami'], { as: 'bob' })).toMatchObject({ name: 'bob' })
})

test('forget - only what is gone, with its mail', async () => {
  const refused = await mesh.run(['forget', 'alice', '--json'], { as: 'bob' })
  expect(refused).toMatchObject({ code: 4, stdout: '' })
  await end('alice')
  await mesh.json(['send', 'alice', '--', 'lost'], { as: 'bob' })
  expect(await mesh.json(['forget', 'alice'], { as: 'bob' })).toEqual({ name: 'alice', unread: 1 })
  expect((await mesh.run(['alive', 'alice'], { as: 'bob' })).code).toBe(3)
  expect((await mesh.run(['forget', 'alice'], { as: 'bob' })).code).toBe(3)
  expect(await mesh.texts('alice')).toEqual([])
})

test('the operator’s name: --as, then MESH_NAME, then the login name', async () => {
  expect(await mesh.json(['whoami', '--as', 'carol'], { as: 'dave' })).toMatchObject({ name: 'carol' })
  expect(await mesh.json(['whoami'], { as: 'dave' })).toMatchObject({ name: 'dave' })
  const login = await mesh.json(['whoami'], { env: { MESH_NAME: '' } })
  expect(login.name).toMatch(/^[a-z0-9][a-z0-9_-]*$/)
})

test('a shell whose session has ended speaks as the operator', async () => {
  const env = { MESH_SESSION: 'cc-999999999', CLAUDE_PID: '999999998', MESH_SPACE: processSpace() ?? '' }
  expect(await mesh.json(['whoami'], { as: 'alice', env })).toMatchObject({ name: 'alice' })
  const odd = { MESH_SESSION: '../../etc', CLAUDE_PID: '1; rm' }
  expect(await mesh.json(['whoami'], { as: 'alice', env: odd })).toMatchObject({ name: 'alice' })
})

test('ten first commands at once of one operator start one sidecar', async () => {
  const all = await Promise.all(Array.from({ length: 10 }, () => mesh.json(['whoami'], { as: 'zoe' })))
  expect(new Set(all.map(({ pid }) => pid)).size).toBe(1)
  expect(all[0].name).toBe('zoe')
})

test('the project comes from the directory when MESH_PROJECT is not set', async () => {
  const other = join(mesh.root, 'other-place')
  mkdirSync(other)
  const here = await mesh.json(['whoami'], { as: 'eve', env: { MESH_PROJECT: '' } })
  const there = await mesh.json(['whoami'], { as: 'eve', env: { MESH_PROJECT: '' }, cwd: other })
  expect(here.project).toMatch(/^work-[0-9a-f]{8}$/)
  expect(there.project).toMatch(/^other-place-[0-9a-f]{8}$/)
})

test('a text that is no name is looked for among titles where it stands alone, and shown in its own letters', async () => {
  for (const [args, message] of [
    [['send', '認証', '--json', '--', 'x'], '"認証" is not a session name'],
    [['send', 'bob', 'fe#1', '--json', '--', 'x'], '"fe#1" is not a session name'],
  ] as const) {
    const done = await mesh.run([...args], { as: 'alice' })
    expect([done.code, done.error.message]).toEqual([2, message])
  }
  expect(await mesh.texts('bob')).toEqual([])
})
