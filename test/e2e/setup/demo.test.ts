/** The demo: every step really happened, in its own mesh, and nothing of it is left. */
import { existsSync, mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { eventually, TestMesh } from '../../support/mesh.ts'

let mesh: TestMesh
let tmp: string
beforeEach(() => {
  mesh = new TestMesh()
  tmp = join(mesh.root, 'tmp')
  mkdirSync(tmp)
})
afterEach(() => mesh.dispose())

/** Nothing runs, nothing is left in the temporary directory, and the person's own mesh was not touched. */
function expectNoTrace(): void {
  expect(mesh.leftovers()).toEqual([])
  expect(readdirSync(tmp)).toEqual([])
  expect(existsSync(mesh.home)).toBe(false)
}

test('demo --json shows each step as it happened and leaves nothing', async () => {
  const done = await mesh.run(['demo', '--json'], { env: { TMPDIR: tmp } })
  const told = done.jsonLines
  expect(told.filter(({ ok }) => !ok)).toEqual([])
  expect(done.code).toBe(0)
  const names = ['home', 'engine', 'join', 'join', 'join', 'ps', 'send', 'wake', 'ask', 'heal', 'gone', 'mail', 'down']
  expect(told.map(({ step }) => step)).toEqual(names)
  const step = (name: string) => told.find((one) => one.step === name)
  expect(step('home').path.startsWith(tmp)).toBe(true)
  expect(step('engine')).toMatchObject({ running: true, version: expect.any(String), source: 'MESH_ENGINE' })
  expect(step('ps').sessions.map(({ status }: { status: string }) => status)).toEqual(['idle', 'idle', 'idle'])
  expect(step('send').trace.map(({ state }: { state: string }) => state)).toEqual(
    expect.arrayContaining(['stored', 'delivered']),
  )
  expect(step('wake')).toMatchObject({ waitedMs: expect.any(Number), wokenMs: expect.any(Number) })
  expect(step('ask').reply).toBe('8080')
  expect(step('heal').pid).not.toBe(step('heal').killed)
  expect(step('heal').arrivedMs).toBeGreaterThan(0)
  expect(step('gone')).toMatchObject({ session: 'docs', noticedMs: expect.any(Number), reason: 'killed' })
  expect(step('mail')).toMatchObject({ note: expect.stringContaining('gone'), read: 1 })
  expect(step('down')).toMatchObject({ stopped: true, left: [] })
  expectNoTrace()
})

test('demo - lines for people come with the time at which they happened', async () => {
  const done = await mesh.run(['demo'], { env: { TMPDIR: tmp } })
  expect(done.code).toBe(0)
  expect(done.stdout).toMatch(/^ +\d+\.\d\d s {2}engine {2}nats-server \d/m)
  expect(done.stdout).toContain('nothing left running')
  expect(done.stdout).not.toContain('\x1b')
  expectNoTrace()
})

test.each(['SIGINT', 'SIGTERM'] as const)('demo - %s in the middle cleans up', async (signal) => {
  const demo = mesh.start(['demo'], { env: { TMPDIR: tmp } })
  await demo.sees(/web joined/)
  demo.child.kill(signal)
  const done = await demo.finished
  expect(done.code).toBe(signal === 'SIGINT' ? 130 : 143)
  expect(done.stdout).toContain(`FAILED: interrupted by ${signal}`)
  await eventually(() => mesh.leftovers().length === 0, 'the end of everything')
  expectNoTrace()
})

test('demo - a step that fails is reported, and everything is cleaned up all the same', async () => {
  const done = await mesh.run(['demo', '--json'], { env: { TMPDIR: tmp, MESH_ENGINE: '/bin/false' } })
  expect(done.code).toBe(1)
  const [, engine, down] = done.jsonLines
  expect(engine).toMatchObject({ step: 'engine', ok: false, text: expect.stringContaining('/bin/false') })
  expect(down).toMatchObject({ step: 'down', left: [] })
  expectNoTrace()
})
