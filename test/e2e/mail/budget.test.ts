/** `mesh budget` and `mesh budget resume`, by the command alone. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { TestMesh } from '../../support/mesh.ts'

let mesh: TestMesh
beforeEach(() => {
  mesh = new TestMesh()
})
afterEach(() => mesh.dispose())

test('without a loop there is nothing to show and nothing to resume', async () => {
  await mesh.join('api')
  expect((await mesh.run(['budget'], { as: 'api' })).stdout).toBe('no sessions answer each other without a person\n')
  expect(await mesh.json(['budget'], { as: 'api' })).toEqual([])
  expect(await mesh.json(['budget', 'resume', '--all'], { as: 'api' })).toEqual([])
  expect((await mesh.run(['budget', 'resume', 'nobody'], { as: 'api' })).code).toBe(3)
  expect((await mesh.run(['budget', 'resume'], { as: 'api' })).code).toBe(2)
  expect((await mesh.run(['budget', 'resume', 'api', '--all'], { as: 'api' })).code).toBe(2)
  const [own] = await mesh.json(['budget', 'resume', 'api'], { as: 'api' })
  expect(own).toMatchObject({ name: 'api', with: null, evidence: "nothing is counted in a person's own session" })
})

test('in an agent session it is denied, whatever --as says', async () => {
  const dir = join(mesh.home, 'run', `cc-${process.pid}`)
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  const record = { pid: process.pid, name: 'api', project: 'e2e', version: '0.1.0' }
  writeFileSync(join(dir, 'sidecar.json'), JSON.stringify(record))
  const env = { MESH_SESSION: `cc-${process.pid}` }
  for (const args of [
    ['budget', 'resume', 'api'],
    ['budget', 'resume', '--all', '--as', 'ann'],
  ]) {
    const refused = await mesh.run([...args, '--json'], { env })
    expect([refused.code, refused.error.code]).toEqual([6, 'denied'])
    expect(refused.error.hint).toContain('in a plain shell: mesh budget resume')
  }
  rmSync(dir, { recursive: true })
})
