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

test('damaged settings keep nobody from working: the defaults hold, and doctor says what is wrong', async () => {
  const path = join(mesh.home, 'settings.json')
  for (const [i, [text, what]] of [
    ['{"floorSeconds": "long"}', 'floorSeconds must be a number from 0 to 3600'],
    ['{"floorSeconds": 5', 'not readable'],
    ['{"floorSeconds": 5, "unknown": true}', 'there is no setting unknown'],
  ].entries()) {
    writeFileSync(path, text!)
    expect(await mesh.json(['whoami'], { as: `ann-${i}` })).toMatchObject({ name: `ann-${i}` })
    const { json } = await mesh.run(['doctor', '--json'], { as: `ann-${i}` })
    expect(json.filter(({ ok }: { ok: boolean }) => !ok)).toContainEqual(
      expect.objectContaining({ detail: expect.stringContaining(`${path}: ${what}`) }),
    )
  }
  rmSync(path)
})
