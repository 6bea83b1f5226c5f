/** A mesh home whose machine got another name, as a container with a kept volume: what is locked stays locked. */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { identifyProcess } from '../../../src/host/process/process.ts'
import { eventually, TestMesh } from '../../support/mesh.ts'

let mesh: TestMesh
let bystander: ChildProcess
beforeEach(() => {
  mesh = new TestMesh()
  bystander = spawn('sleep', ['600'], { stdio: 'ignore' })
})
afterEach(async () => {
  bystander.kill('SIGKILL')
  await mesh.dispose()
})

/** Kills everything and makes it look as if that had been on a machine of another name. */
async function moveToAnotherHost(): Promise<void> {
  for (const { pid } of mesh.leftovers()) process.kill(pid, 'SIGKILL')
  await eventually(() => mesh.leftovers().length === 0, 'the end of all')
  const { host } = identifyProcess(process.pid)!
  for (const name of readdirSync(mesh.home, { recursive: true, encoding: 'utf8' })) {
    const path = join(mesh.home, name)
    if (!/(lock|engine\.json|sidecar\.json)$/.test(name) || !statSync(path).isFile()) continue
    writeFileSync(path, readFileSync(path, 'utf8').replaceAll(JSON.stringify(host), '"elsewhere"'))
  }
}

test('commands say which host holds the lock, and down and up cure it', async () => {
  await mesh.join('alice', 'bob')
  await mesh.json(['send', 'alice', '--', 'before'], { as: 'bob' })
  await moveToAnotherHost()
  const since = performance.now()
  const refused = await mesh.run(['whoami', '--json'], { as: 'alice' })
  expect(refused).toMatchObject({ code: 5, stdout: '' })
  expect(refused.error).toMatchObject({
    code: 'sidecar_down',
    message: expect.stringContaining('host elsewhere'),
    hint: expect.stringContaining('mesh down, then mesh up'),
  })
  expect(performance.now() - since).toBeLessThan(8000)
  await mesh.json(['down'])
  await mesh.json(['up'])
  expect(await mesh.json(['whoami'], { as: 'alice' })).toMatchObject({ connected: true })
  expect(await mesh.json(['ps'], { as: 'bob' })).not.toEqual([])
})

test('down forgets the lock of another host and leaves the process alone that has its pid here', async () => {
  const lock = join(mesh.home, 'run', 'op-0123456789abcdef', 'lock')
  mkdirSync(join(lock, '..'), { recursive: true, mode: 0o700 })
  const identity = { ...identifyProcess(bystander.pid!)!, host: 'elsewhere', token: 'a'.repeat(16) }
  for (const start of ['1', identity.start]) {
    writeFileSync(lock, JSON.stringify({ ...identity, start }))
    expect(await mesh.json(['down'])).toMatchObject({ stopped: false })
    expect(bystander.signalCode).toBe(null)
    // Of this machine under its former name: it runs.
    expect(existsSync(lock)).toBe(start === identity.start)
  }
})
