/** A mesh home that several process spaces use: one engine, spoken to where it can be reached and left alone where not. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { foreignProc, isThere, offline, type Space, unshared } from '../../support/lab/space.ts'
import { eventually, type Finished, TestMesh } from '../../support/mesh.ts'

let mesh: TestMesh
beforeEach(() => {
  mesh = new TestMesh()
})
afterEach(async () => mesh.dispose())

const hasSpaces = [unshared, offline, foreignProc].every(isThere)

function inside(space: Space, args: string[], as = 'probe'): Promise<Finished> {
  return mesh.run(args, { as, space })
}

const engines = () => mesh.leftovers().filter(({ command }) => command.endsWith('/engine/server.conf'))

const record = () => readFileSync(join(mesh.home, 'engine', 'engine.json'), 'utf8')

test.skipIf(!hasSpaces)('commands in another process space speak to the engine that is there', async () => {
  await mesh.join('api', 'ceo')
  const [before, dirs] = [record(), readdirSync(join(mesh.home, 'run'))]
  const { pid } = JSON.parse(before)
  for (const space of [unshared, foreignProc]) {
    const sent = await inside(space, ['send', 'api', '--json', '--', `from ${space.name}`])
    expect(sent, sent.stderr).toMatchObject({ code: 0, json: { state: 'stored' } })
    const status = await inside(space, ['status', '--json'])
    expect(status.json).toMatchObject({ running: true, pid })
  }
  expect((await inside(unshared, ['up', '--json'])).json).toMatchObject({ running: true, pid })
  const doctor = await inside(unshared, ['doctor', '--fix', '--json'])
  expect(doctor.json.filter(({ ok }: { ok: boolean }) => !ok)).toEqual([])
  expect(await inside(unshared, ['down', '--json'])).toMatchObject({ code: 5, stdout: '' })
  expect(record()).toBe(before)
  expect(readdirSync(join(mesh.home, 'run'))).toEqual(expect.arrayContaining(dirs))
  const inbox = await mesh.json(['inbox'], { as: 'api' })
  expect(inbox.map(({ text }: { text: string }) => text)).toEqual(['from unshare', 'from unshare with the outer /proc'])
  const operators = () => readdirSync(join(mesh.home, 'run')).filter((key) => key.startsWith('op-'))
  await eventually(() => operators().length === 2, 'the end of what the spaces left')
  const rows: { name: string; status: string }[] = await mesh.json(['ps'], { as: 'ceo' })
  expect(rows.filter(({ name }) => name !== 'probe').map(({ status }) => status)).toEqual(['idle', 'idle'])
})

test.skipIf(!hasSpaces)('where the engine cannot be reached, one line says who holds the mesh home', async () => {
  await mesh.join('api')
  const before = record()
  for (const args of [['ps'], ['up'], ['status'], ['down']]) {
    const refused = await inside(offline, [...args, '--json'])
    expect(refused, args.join(' ')).toMatchObject({ code: 5, stdout: '' })
    expect(refused.error.message).toContain('another process space holds this mesh home')
    expect(refused.stderr.trimEnd().split('\n')).toHaveLength(1)
  }
  expect(record()).toBe(before)
  expect(await mesh.json(['status'])).toMatchObject({ running: true, pid: JSON.parse(before).pid })
  expect(engines()).toHaveLength(1)
})

test.skipIf(!hasSpaces)(
  'an engine that began in a sandbox ends with it, and the next command has one again',
  async () => {
    const first = await inside(unshared, ['whoami', '--json'])
    expect(first, first.stderr).toMatchObject({ code: 0 })
    expect(await mesh.json(['whoami'], { as: 'probe' })).toMatchObject({ connected: true, name: 'probe' })
    expect(engines()).toHaveLength(1)
  },
)

test.skipIf(!hasSpaces)('an engine of an earlier release, which holds nothing, is respected', async () => {
  await mesh.join('api')
  const { space: _space, held: _held, ...old } = JSON.parse(record())
  const path = join(mesh.home, 'engine', 'engine.json')
  writeFileSync(path, JSON.stringify(old))
  const sent = await inside(unshared, ['send', 'api', '--json', '--', 'hello'])
  expect(sent, sent.stderr).toMatchObject({ code: 0, json: { state: 'stored' } })
  expect(await inside(offline, ['ps', '--json'])).toMatchObject({ code: 5, stdout: '' })
  expect(JSON.parse(record())).toEqual(old)
})
