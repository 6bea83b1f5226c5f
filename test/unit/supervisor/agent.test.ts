/** A supervised session in the background: its sidecar's word for the end is read as an unsupervised session's is. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { RunSpec, SessionReport } from '../../../src/api/supervisor.schema.ts'
import { AgentRun } from '../../../src/supervisor/agent.ts'
import { temporaryDir } from '../../support/engine.ts'

const spec: RunSpec = {
  v: 1,
  run: `r_${'a'.repeat(32)}`,
  name: 'kid',
  owner: 'ann',
  project: 'shop',
  lineage: [],
  command: ['claude'],
  cwd: '/',
  detach: true,
  timeoutMs: null,
  runKind: 'session',
  background: true,
}
const client = {
  read: () => '',
  end: () => '',
  evidence: () => ({ clientSays: null, error: null, finalText: null, record: null }),
}
const seen = { exit: null, stop: null, timedOutMs: null, outOfMemory: null, durationMs: 1 }

let temporary: ReturnType<typeof temporaryDir>
beforeEach(() => {
  temporary = temporaryDir()
})
afterEach(() => temporary.remove())

function judged(report: Pick<SessionReport, 'state' | 'reason' | 'reasonCode'> | null) {
  const agent = new AgentRun(spec, temporary.path, client)
  if (report) agent.report({ op: 'session', session: 's', name: 'kid', ...report }, 'running')
  return agent.judge(seen, '')
}

test.each([
  ['its user left', { reason: 'exit', reasonCode: 'left' }, 'run_completed', 'left'],
  ['its user logged out', { reason: 'logout', reasonCode: 'left' }, 'run_completed', 'left'],
  ['it ended in order, without its hook', { reason: 'ended', reasonCode: 'ended' }, 'run_completed', 'left'],
  ['it had finished', { reason: 'finished', reasonCode: 'finished' }, 'run_completed', 'finished'],
  ['a signal ended it', { reason: 'ended by a signal', reasonCode: 'signalled' }, 'run_terminated', 'signalled'],
  ['an earlier sidecar says that its user logged out', { reason: 'logout' }, 'run_completed', 'left'],
  ['an earlier sidecar says that it was killed', { reason: 'killed' }, 'run_terminated', 'killed'],
])('a background session - %s', (_, report, type, reasonCode) => {
  expect(judged({ state: 'ended', ...report })).toMatchObject({ type, reasonCode })
})

test('a background session - one whose sidecar said nothing of its end was killed', () => {
  expect(judged(null)).toMatchObject({ type: 'run_terminated', reasonCode: 'killed' })
  expect(judged({ state: 'running' })).toMatchObject({ type: 'run_terminated', reasonCode: 'killed' })
})
