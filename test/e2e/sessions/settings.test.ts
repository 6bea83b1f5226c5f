import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { TestMesh } from '../../support/mesh.ts'

let mesh: TestMesh
beforeAll(async () => {
  mesh = new TestMesh()
  await mesh.json(['up'])
})
afterAll(() => mesh.dispose())

test('wrong settings are reported by the next command that needs a sidecar, until they are mended', async () => {
  const path = join(mesh.home, 'settings.json')
  writeFileSync(path, '{"floorSeconds": "long"}')
  const refused = await mesh.run(['whoami', '--json'], { as: 'ann' })
  expect([refused.code, refused.stdout]).toEqual([2, ''])
  expect(refused.error.message).toBe(`${path}: floorSeconds must be a number from 0 to 3600`)
  writeFileSync(path, '{"floorSeconds": 5, "unknown": true}')
  expect(await mesh.json(['whoami'], { as: 'ann' })).toMatchObject({ name: 'ann' })
  rmSync(path)
  expect(await mesh.json(['whoami'], { as: 'bob' })).toMatchObject({ name: 'bob' })
})
