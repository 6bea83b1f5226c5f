/** Which run a background session is, of which nothing but an environment tells. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { ownRun } from '../../../src/daemon/runs/own-run.ts'
import { type Home, meshHome, runDir } from '../../../src/host/home.ts'
import { files, writeSpec } from '../../../src/run/dir.ts'
import { sessionRunId } from '../../../src/wire/lineage.ts'
import { temporaryDir } from '../../support/engine.ts'
import { identity } from '../../support/samples.ts'

const run = `r_${'a'.repeat(32)}`
const parent = `r_${'b'.repeat(32)}`
const [first, again] = [identity(2), identity(3)]

let temporary: ReturnType<typeof temporaryDir>
let home: Home
beforeEach(() => {
  temporary = temporaryDir()
  home = meshHome({ MESH_HOME: join(temporary.path, 'mesh') })
  mkdirSync(runDir(home, run), { recursive: true })
  writeSpec(runDir(home, run), {
    ...({ v: 1, run, name: 'kid', owner: 'api', project: 'shop', lineage: [parent], command: ['claude'] } as const),
    ...({ cwd: '/', detach: true, timeoutMs: null, runKind: 'session', background: true } as const),
  })
})
afterEach(() => temporary.remove())

function who(process: typeof first, sessionId = 's-1') {
  return ownRun({ home, project: 'shop', process, sessionId, env: {}, candidate: run, earlier: null })
}

function started(): void {
  const step = { t: 'started', child: first, supervisor: identity(9), at: '2026-11-21T00:00:00.000Z' }
  writeFileSync(files.journal(runDir(home, run)), `${JSON.stringify(step)}\n`)
}

test('the run that it was spawned as, also before its supervisor knows its process', () => {
  const spawned = { id: run, lineage: [parent], isSupervised: true, name: 'kid', startedBy: 'api' }
  expect(who(first)).toEqual(spawned)
  started()
  expect(who(first)).toEqual(spawned)
})

test('a run of its own, below the same parent, once its client started it again', () => {
  who(first)
  started()
  expect(who(again)).toEqual({ id: sessionRunId('shop', again), lineage: [parent], isSupervised: false })
})

test('a run of nobody’s that only has the environment of it', () => {
  who(first)
  started()
  expect(who(again, 's-2')).toEqual({ id: sessionRunId('shop', again), lineage: [], isSupervised: false })
})
