/** What is known of a run whose end came while the engine was away. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { RunSpec } from '../../../src/api/supervisor.schema.ts'
import { current } from '../../../src/daemon/runs/find.ts'
import type { Session } from '../../../src/daemon/session.ts'
import { type Home, meshHome, runDir } from '../../../src/host/home.ts'
import type { RunStore } from '../../../src/nats/run-store.ts'
import { files, type RunStep } from '../../../src/run/dir.ts'
import { eventOf, recordOf } from '../../../src/run/record.ts'
import { temporaryDir } from '../../support/engine.ts'

const at = '2026-11-21T00:00:00.000Z'
const run = `r_${'a'.repeat(32)}`
const spec: RunSpec = {
  ...({ v: 1, run, name: 'build', owner: 'api', project: 'shop', lineage: [], command: ['make'] } as const),
  ...({ cwd: '/', detach: true, timeoutMs: null } as const),
}
const end: RunStep = {
  t: 'event',
  event: eventOf(spec, 2, 'api', { type: 'run_failed', at, reason: 'exit 3', exitCode: 3 }),
}

let temporary: ReturnType<typeof temporaryDir>
let home: Home
beforeEach(() => {
  temporary = temporaryDir()
  home = meshHome({ MESH_HOME: join(temporary.path, 'mesh') })
})
afterEach(() => temporary.remove())

function look(...steps: RunStep[]) {
  mkdirSync(runDir(home, run), { recursive: true })
  writeFileSync(files.journal(runDir(home, run)), steps.map((step) => `${JSON.stringify(step)}\n`).join(''))
  const store = { end: () => Promise.resolve(null) } as Partial<RunStore> as RunStore
  return current({ home } as Session, store, recordOf(spec, at, { state: 'running', seq: 1 }))
}

test('run - an end that is on disk and not yet published is the end', async () => {
  const ended = { state: 'failed', seq: 2, endedAt: at, reason: 'exit 3', exitCode: 3 }
  expect(await look({ t: 'told', seq: 1 }, end)).toMatchObject(ended)
})

test('run - a run without an end on disk goes on, and so does one whose end another process published', async () => {
  expect(await look({ t: 'told', seq: 1 })).toMatchObject({ state: 'running' })
  expect(await look(end, { t: 'superseded', seq: 2 })).toMatchObject({ state: 'running' })
})
