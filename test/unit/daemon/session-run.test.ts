/** A session that ends before anybody could tell that it began is on disk as a run all the same, for a witness to tell. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { SessionRun } from '../../../src/daemon/runs/session.ts'
import { createShell } from '../../../src/harness/shell.ts'
import { type Home, meshHome, runDir } from '../../../src/host/home.ts'
import type { Logger } from '../../../src/host/log.ts'
import type { ProjectStore } from '../../../src/nats/project-store.ts'
import { readSteps, writeSpec } from '../../../src/run/dir.ts'
import { sessionEnd } from '../../../src/wire/session-end.ts'
import { temporaryDir } from '../../support/engine.ts'

const [id, parent] = [`r_${'a'.repeat(32)}`, `r_${'b'.repeat(32)}`]
const log = { info() {}, warn() {}, debug() {}, error() {} } as unknown as Logger

let temporary: ReturnType<typeof temporaryDir>
let home: Home
beforeEach(() => {
  temporary = temporaryDir()
  home = meshHome({ MESH_HOME: join(temporary.path, 'mesh') })
  mkdirSync(runDir(home, parent), { recursive: true })
})
afterEach(() => temporary.remove())

function sessionRun(lineage: string[]): SessionRun {
  return new SessionRun({
    ...{ home, project: 'shop', log, harness: createShell('kid', '/'), name: () => 'kid', readRecord: () => null },
    ...{ run: { id, lineage, isSupervised: false }, names: async () => [], startedAt: '2026-11-21T00:00:00.000Z' },
  })
}

const events = () => readSteps(runDir(home, id)).flatMap((step) => (step.t === 'event' ? [step.event] : []))

async function ended(lineage: string[]) {
  await sessionRun(lineage).end(sessionEnd('killed'), 0)
  return events()
}

test('a session that is idle before its first turn has ended no turn, however late its run is begun', async () => {
  const session = sessionRun([])
  session.attach({ runs: {} } as ProjectStore)
  await vi.waitFor(() => expect(events()).toHaveLength(1), { timeout: 30_000 })
  for (const status of ['idle', 'busy', 'idle'] as const) session.status(status)
  session.detach()
  await session.end(sessionEnd('killed'), 0)
  expect(events().map(({ type }) => type)).toEqual(['run_spawned', 'run_progress', 'run_idle', 'run_terminated'])
})

test('without the engine, at the top', async () => {
  expect(await ended([])).toMatchObject([
    { type: 'run_spawned', seq: 1, owner: 'kid' },
    { type: 'run_terminated', seq: 2, reason: 'killed', owner: 'kid' },
  ])
})

test('without the engine, below a session of this machine', async () => {
  writeSpec(runDir(home, parent), {
    ...({ v: 1, run: parent, name: 'api', owner: 'ann', project: 'shop', lineage: [], command: ['claude'] } as const),
    ...({ cwd: '/', detach: true, timeoutMs: null, runKind: 'session', teller: 'sidecar' } as const),
  })
  expect((await ended([parent])).map(({ type, owner }) => [type, owner])).toEqual([
    ['run_spawned', 'api'],
    ['run_terminated', 'api'],
  ])
})
