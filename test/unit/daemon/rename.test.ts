/** A renamed session takes its files along. */
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { meshHome, nameDir } from '../../../src/host/home.ts'

vi.mock('node:fs', async (original) => ({
  ...(await original<typeof import('node:fs')>()),
  renameSync: () => {
    throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' })
  },
}))
const { dirLock, moveName } = await import('../../../src/daemon/names/rename.ts')

test('rename - files that cannot be moved are not locked afterwards', async () => {
  const root = mkdtempSync(join(tmpdir(), 'mesh-rename-'))
  const home = meshHome({ MESH_HOME: root })
  const from = nameDir(home, 'p', 'before')
  mkdirSync(from, { recursive: true })
  await expect(moveName(home, 'p', 'before', 'after')).rejects.toThrow('no space left')
  expect(existsSync(dirLock(from))).toBe(false)
  rmSync(root, { recursive: true })
})
