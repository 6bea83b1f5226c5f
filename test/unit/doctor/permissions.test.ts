/** Doctor's look at permissions takes no longer the more runs there were. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { lookAtPermissions } from '../../../src/doctor/checks/permissions.ts'
import type { Setup } from '../../../src/doctor/setup.ts'
import { meshHome } from '../../../src/host/home.ts'
import { temporaryDir } from '../../support/engine.ts'

test('permissions of the first 6000 files are looked at, a key before any run', async ({ onTestFinished }) => {
  const { path, remove } = temporaryDir()
  onTestFinished(remove)
  const home = meshHome({ MESH_HOME: path })
  mkdirSync(home.runs, { recursive: true, mode: 0o700 })
  for (let n = 0; n < 6500; n++) writeFileSync(join(home.runs, `r_${n}`), '', { mode: 0o600 })
  expect(await lookAtPermissions({ home } as Setup)).toMatchObject([
    { detail: expect.stringContaining('the first 6000 files') },
  ])
  writeFileSync(join(path, 'member.key'), '', { mode: 0o644 })
  expect(await lookAtPermissions({ home } as Setup)).toMatchObject([{ check: 'permissions.open' }])
})
