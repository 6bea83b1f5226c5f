import { expect, test } from 'vitest'
import type { Session } from '../../../../src/api/ops.schema.ts'
import type { ShownEvent, ShownRun } from '../../../../src/api/run-ops.schema.ts'
import { eventLines, runListing, runTree } from '../../../../src/cli/commands/runs/lines.ts'
import { sessionLines } from '../../../../src/cli/commands/sessions/lines.ts'
import { listLines } from '../../../../src/cli/commands/tasks/lines.ts'
import type { View } from '../../../../src/cli/show/view.ts'
import { widthOf } from '../../../../src/cli/show/width.ts'

const now = Date.parse('2026-11-30T20:00:00Z')
const screen: View = { now, width: 80, lineWidth: 80, isScreen: true, full: false, utc: true }
const everything = Number.POSITIVE_INFINITY
const pipe: View = { now, width: everything, lineWidth: everything, isScreen: false, full: true, utc: false }
const at = '2026-11-30T19:58:00.123Z'

function session(name: string, more: Partial<Session> = {}): Session {
  return {
    ...{ name, status: 'idle', harness: 'claude-code', host: 'vm', pid: 1, lastActivityAt: at, unread: 0, epoch: 1 },
    ...{ cwd: `/srv/${'a-long-folder/'.repeat(6)}${name}`, wake: [], doors: [] },
    ...more,
  } as Session
}

function run(runId: string, more: Partial<ShownRun> = {}): ShownRun {
  const base = { runId, kind: 'command', name: 'build', owner: 'web', parent: null, lineage: [], state: 'running' }
  return { ...base, startedAt: at, host: 'vm', pid: 1, supervised: true, ...more } as ShownRun
}

const sessions = [session('api'), session('old', { status: 'gone', endedAt: at, reason: 'killed' }), session('web')]

test('ps - a terminal shows what fits, and folds who is gone into one line', () => {
  const lines = sessionLines(sessions, screen, false)
  expect(lines[0]).toMatch(/^NAME +STATUS +ACTIVE +UNREAD +CWD$/)
  expect(lines.map((line) => line.split(' ')[0])).toEqual(['NAME', 'api', 'web', '1'])
  expect(lines.at(-1)).toBe('1 gone, mesh ps --all')
  expect(lines[1]).toMatch(/…\S*\/api$/)
  for (const line of lines) expect(widthOf(line)).toBeLessThanOrEqual(80)
})

test('ps --all - a terminal shows who is gone, when and why', () => {
  const lines = sessionLines(sessions, screen, true)
  expect(lines[2]).toMatch(/^old +gone +2m ago +/)
  expect(lines[3]).toBe('  killed')
  expect(lines).toHaveLength(5)
})

test('ps - a terminal names the host where there are several, and inner columns with --verbose', () => {
  const two = [session('api'), session('far', { host: 'elsewhere' })]
  expect(sessionLines(two, screen, false)[0]).toMatch(/UNREAD +HOST +CWD$/)
  const verbose = sessionLines(two, { ...screen, full: true }, false)
  expect(verbose[0]).toContain('WAKE')
  for (const line of verbose) expect(widthOf(line)).toBeLessThanOrEqual(80)
})

test('ps - a pipe gets every row and column, whole', () => {
  const lines = sessionLines(sessions, pipe, false)
  expect(lines[0]).toMatch(/^NAME +STATUS +ACTIVE +UNREAD +WAKE +HARNESS +HOST +CWD$/)
  expect(lines).toHaveLength(4)
  expect(lines[2]).toContain(`${sessions[1]!.cwd} (killed)`)
})

test('events - a terminal has short times and lines that fit, a pipe exact times and whole lines', () => {
  const event = { at, type: 'run_failed', runId: `r_${'0'.repeat(32)}`, name: 'build', owner: 'web', verified: true }
  const failed = { ...event, reason: `exit 7: ${'words '.repeat(40)}`, stderrTail: 'broken\n' } as ShownEvent
  const [line, tail] = eventLines(failed, screen).split('\n')
  expect(line).toMatch(/^19:58:00Z run_failed r_0000000000 build of web: exit 7.*…$/)
  expect([widthOf(line!), tail]).toEqual([expect.any(Number), '  broken'])
  expect(widthOf(line!)).toBeLessThanOrEqual(80)
  expect(eventLines(failed, pipe)).toContain(`${at} run_failed`)
  expect(eventLines(failed, pipe)).not.toContain('…')
})

test('runs - a listing and the tree say that a run is suspect; an event has what was said before', () => {
  const doubtful = run('r_1', { state: 'completed', reason: 'finished', suspect: 'no final message' })
  for (const lines of [runListing([doubtful], pipe), runTree([doubtful], pipe)])
    expect(lines.at(-1)).toContain('completed: finished, suspect: no final message')
  const event = { at, type: 'run_completed', runId: doubtful.runId, name: 'kid', owner: 'web', verified: true }
  const lines = eventLines({ ...event, suspect: 'x', result: 'See above.', earlier: '8080\n[run' } as ShownEvent, pipe)
  expect(lines.split('\n').slice(1)).toEqual(['  See above.', '  8080', '  [run'])
})

test('runs and the tree fit the terminal', () => {
  const runs = [run('r_1', { name: 'n'.repeat(70) }), run('r_2', { parent: 'r_1', text: 'x'.repeat(90) })]
  for (const line of [...runListing(runs, screen), ...runTree(runs, screen)]) {
    expect(widthOf(line)).toBeLessThanOrEqual(80)
  }
  expect(runListing(runs, screen)[0]).not.toContain('PID')
  expect(runListing(runs, pipe)[0]).toMatch(/HOST +PID$/)
  expect(runTree(runs, screen)[1]).toMatch(/^ {2}r_2 build, running/)
})

test('the board fits the terminal, with titles of wide characters too', () => {
  const task = { id: `t_${'0'.repeat(32)}`, priority: 5, state: 'open', owner: null, for: null, changedAt: at }
  const tasks = ['題名'.repeat(40), 'words '.repeat(30)].map((title) => ({ ...task, title, labels: [], waitsFor: [] }))
  const lines = listLines(tasks as unknown as Parameters<typeof listLines>[0], screen)
  for (const line of lines) expect(widthOf(line)).toBeLessThanOrEqual(80)
  expect(lines[1]).toMatch(/[題名]…$/)
})
