/**
 * A disk that fills up under a run's log, which the command writes itself: it meets the error, and its end says that output may be
 * cut.
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { FaultHome } from '../support/fault/home.ts'

let home: FaultHome
let canMount: boolean
beforeAll(async () => {
  home = await FaultHome.make()
  await home.json('whoami', '--as', 'ann')
  mkdirSync(home.home.runs, { mode: 0o700 })
  canMount = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m,mode=0700', 'mesh-runs', home.home.runs]).status === 0
  if (!canMount) console.log('runs-disk-full: SKIPPED: this user may not mount a tmpfs')
})
afterAll(async () => {
  await home.run('down')
  if (canMount) spawnSync('umount', ['-l', home.home.runs])
  await home.close()
})

test('on a full disk the command runs to its end, which is reported with its code and says that output may be cut', async ({
  skip,
}) => {
  if (!canMount) return skip()
  const script = 'head -c 5000000 /dev/zero; echo boom >&2; exit 7'
  const started = await home.runIn({ MESH_NAME: 'ann' }, 'run', '--detach', '--json', '--', 'sh', '-c', script)
  const { runId } = JSON.parse(started.stdout)
  const waited = await home.runIn({ MESH_NAME: 'ann' }, 'wait', runId, '--json', '--timeout', '60s')
  expect(waited.code).toBe(10)
  expect(JSON.parse(waited.stdout)).toMatchObject({
    reason: 'exit 7',
    evidence: expect.stringContaining('the disk of its logs is full: its output may be cut'),
  })
  // The disk is still full: another is refused at once, and nothing is left of it.
  const refused = await home.runIn({ MESH_NAME: 'ann' }, 'run', '--json', '--', 'true')
  expect(refused.code).toBe(125)
  expect(JSON.parse(refused.stderr.trimEnd().split('\n').at(-1)!)).toMatchObject({ error: { code: 'store_full' } })
})
