/** Doctor looks where the clients write their transcripts. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { lookAtTranscripts } from '../../../src/doctor/checks/transcripts.ts'
import { Setup } from '../../../src/doctor/setup.ts'
import { meshHome } from '../../../src/host/home.ts'
import { temporaryDir } from '../../support/engine.ts'
import { FullDisk } from '../../support/fault/full-disk.ts'

let temporary: ReturnType<typeof temporaryDir>
beforeEach(() => {
  temporary = temporaryDir()
})
afterEach(() => temporary.remove())

function look(configDir: string) {
  const env = { CLAUDE_CONFIG_DIR: configDir, HOME: temporary.path }
  const home = meshHome({ MESH_HOME: join(temporary.path, 'mesh') })
  const operator = () => {
    throw new Error('nobody is asked')
  }
  return lookAtTranscripts(new Setup({ env, cwd: temporary.path, home, operator, wake: false }))
}

test('transcripts - a folder with room is well, one that is not there yet is none', async () => {
  expect(await look(temporary.path)).toEqual([])
  mkdirSync(join(temporary.path, 'projects'))
  expect(await look(temporary.path)).toMatchObject([{ check: 'transcripts', ok: true }])
})

test('transcripts - what is in the place of the folder is named', async () => {
  writeFileSync(join(temporary.path, 'projects'), '')
  expect(await look(temporary.path)).toMatchObject([{ check: 'transcripts.directory', ok: false }])
})

test('transcripts - a full file system under them is a fault, until there is room', async ({ skip }) => {
  const disk = new FullDisk('transcripts', 4)
  try {
    if (!disk.isMounted) skip('this user may not mount a tmpfs')
    mkdirSync(join(disk.root, 'projects'))
    disk.fill(0)
    const [finding] = await look(disk.root)
    expect(finding).toMatchObject({
      check: 'transcripts.space',
      ok: false,
      fix: `df -h ${join(disk.root, 'projects')}`,
    })
    expect(finding?.detail).toContain('cannot prove what its model read')
    disk.free()
    expect(await look(disk.root)).toMatchObject([{ ok: true }])
  } finally {
    disk.close()
  }
})
