import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { SidecarRecord } from '../../../src/api/sidecar-record.schema.ts'
import { notifyOfKilled } from '../../../src/daemon/witness/killed.ts'
import { type Home, meshHome, runDir } from '../../../src/host/home.ts'
import { writeSpec } from '../../../src/run/dir.ts'
import { temporaryDir } from '../../support/engine.ts'

const run = `r_${'a'.repeat(32)}`
let temporary: ReturnType<typeof temporaryDir>
let home: Home
let texts: string[]
beforeEach(() => {
  temporary = temporaryDir()
  home = meshHome({ MESH_HOME: join(temporary.path, 'mesh') })
  mkdirSync(runDir(home, run), { recursive: true })
  texts = []
})
afterEach(() => temporary.remove())

async function killed(more: { attended?: true }): Promise<string[]> {
  writeSpec(runDir(home, run), {
    ...({ v: 1, run, name: 'api', owner: 'api', project: 'shop', lineage: [], command: ['claude-code'] } as const),
    ...({ cwd: '/work', detach: true, timeoutMs: null, runKind: 'session', teller: 'sidecar', ...more } as const),
  })
  const record = { run, name: 'api', project: 'shop', process: { pid: 42 } } as SidecarRecord
  const notifyPeople = async (text: string) => void texts.push(text)
  await notifyOfKilled({ home, notifyPeople }, record)
  await notifyOfKilled({ home, notifyPeople }, record)
  return texts
}

test("killed - a person's session is reported to the people, once", async () => {
  expect(await killed({ attended: true })).toEqual([
    'The session "api" has ended: killed (process 42 in /work, project shop). Its mail waits.',
  ])
})

test('killed - a session that another one started has an owner who hears of it', async () => {
  expect(await killed({})).toEqual([])
})
