/** mesh run: supervisors, engines and machines that go away, and commands that misbehave. */
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { eventually, meshBin, type RunOptions, TestMesh } from '../../support/mesh.ts'
import { isThere, type Json, sh, tryKill } from './processes.ts'

/** script(1) of util-linux gives a command a terminal. */
const hasScript = /util-linux/.test(spawnSync('script', ['--version'], { encoding: 'utf8' }).stdout ?? '')

let mesh: TestMesh
let pids: number[]

beforeEach(async () => {
  mesh = new TestMesh()
  pids = []
  await mesh.json(['up'])
})

afterEach(async () => {
  for (const pid of pids) tryKill(pid)
  for (const { pid } of mesh.leftovers().filter(({ command }) => command.includes('supervisor.js'))) tryKill(pid)
  await mesh.dispose()
})

async function detach(
  script: string,
  options: RunOptions = {},
  ...flags: string[]
): Promise<{ runId: string; pid: number }> {
  const started = await mesh.json(['run', '--detach', ...flags, ...sh(script)], options)
  pids.push(started.pid)
  return started
}

async function ends(runId: string): Promise<Json[]> {
  const done = await mesh.run(['events', '--run', runId, '--json'])
  return done.stdout === '' ? [] : done.jsonLines.filter(({ type }: Json) => !/spawned|progress|waiting/.test(type))
}

/** The end of a run as `wait` tells it, which must be what the events and the list say. */
async function endOf(runId: string, options: RunOptions = {}): Promise<Json> {
  const waited = await mesh.run(['wait', runId, '--timeout', '30s', '--json'], options)
  const end = waited.json
  expect(await ends(runId)).toEqual([end])
  const listed = (await mesh.json(['tree'])).find((run: Json) => run.runId === runId)
  expect(listed).toMatchObject({ state: end.type.slice('run_'.length), reason: end.reason })
  return { ...end, code: waited.code }
}

function supervisorOf(runId: string): number {
  const [line] = readFileSync(join(mesh.home, 'runs', runId, 'journal.jsonl'), 'utf8').split('\n')
  return JSON.parse(line!).supervisor.pid
}

test('a run goes on when mesh run is killed, and its end is reported', async () => {
  const running = mesh.start(['run', ...sh('echo on; sleep 1; exit 5')])
  await running.sees(/on/)
  running.child.kill('SIGKILL')
  const [{ runId }] = await eventually(async () => {
    const runs = await mesh.json(['tree'])
    return runs.length > 0 && runs
  }, 'the run')
  expect(await endOf(runId)).toMatchObject({ reason: 'exit 5' })
})

test('without an engine a command runs all the same; its end is reported when the engine is back', async () => {
  await mesh.json(['down'])
  expect(await mesh.run(['run', ...sh('echo hi; exit 4')])).toMatchObject({ code: 4, stdout: 'hi\n' })
  const [runId] = readdirSync(join(mesh.home, 'runs'))
  await mesh.json(['up'])
  expect(await endOf(runId!)).toMatchObject({ reason: 'exit 4' })
})

test('a run that ends while the engine is dead is reported when it is back', async () => {
  const { runId } = await detach('sleep 1; echo boom >&2; exit 7')
  const { pid } = await mesh.json(['status'])
  process.kill(pid, 'SIGKILL')
  expect(await endOf(runId)).toMatchObject({ reason: 'exit 7', stderrTail: 'boom\n' })
})

test('supervisor and command die together: the witness reports supervisor lost, with the last words', async () => {
  await mesh.join('tester')
  const { runId, pid } = await detach('echo last words >&2; sleep 100')
  await eventually(async () => (await mesh.run(['logs', runId, '--stderr'])).stdout !== '', 'the words')
  tryKill(supervisorOf(runId))
  process.kill(-pid, 'SIGKILL')
  const end = await endOf(runId)
  expect(end).toMatchObject({ type: 'run_terminated', reason: 'supervisor lost', stderrTail: 'last words\n', code: 11 })
  expect(end.exitCode).toBe(undefined)
})

test('a command that outlives its supervisor runs on, unsupervised, until it is gone', async () => {
  await mesh.join('tester')
  const { runId, pid } = await detach('sleep 100')
  tryKill(supervisorOf(runId))
  const listed = await eventually(async () => {
    const [run] = await mesh.json(['ps', '--runs'])
    return run?.supervised === false && run
  }, 'unsupervised')
  expect(listed).toMatchObject({ runId, state: 'running' })
  expect(await ends(runId)).toEqual([])
  const stopped = await mesh.json(['stop', runId])
  expect(stopped).toMatchObject({ type: 'run_cancelled', reason: 'cancelled by tester' })
  expect(isThere(pid)).toBe(false)
})

test('a command whose supervisor was killed goes on writing, into its logs', async () => {
  await mesh.join('tester')
  const gate = join(mesh.home, 'gate')
  const wait = `until [ -e "${gate}" ]; do sleep 0.05; done`
  const { runId, pid } = await detach(`echo before; ${wait}; echo after; echo late >&2; sleep 0.2; echo last`)
  tryKill(supervisorOf(runId))
  writeFileSync(gate, '')
  expect(await endOf(runId)).toMatchObject({ reason: 'supervisor lost', stderrTail: 'late\n' })
  expect(isThere(pid)).toBe(false)
  expect((await mesh.run(['logs', runId])).stdout).toBe('before\nafter\nlast\n')
})

test('a suspended supervisor is not lost', async () => {
  await mesh.join('tester')
  const { runId } = await detach('exit 6', {})
  const slow = await detach('sleep 0.5; exit 6')
  process.kill(supervisorOf(slow.runId), 'SIGSTOP')
  await endOf(runId)
  await eventually(
    () => !isThere(slow.pid) || readFileSync(`/proc/${slow.pid}/stat`, 'utf8').includes(') Z'),
    'its end',
  )
  await new Promise((resolve) => setTimeout(resolve, 1500))
  expect(await ends(slow.runId)).toEqual([])
  process.kill(supervisorOf(slow.runId), 'SIGCONT')
  expect(await endOf(slow.runId)).toMatchObject({ reason: 'exit 6' })
})

test('a gigabyte of output stays bounded on disk', async () => {
  const { runId } = await detach('head -c 1000000000 /dev/zero; echo end >&2')
  expect(await endOf(runId)).toMatchObject({ type: 'run_completed', stderrTail: 'end\n' })
  const dir = join(mesh.home, 'runs', runId)
  const bytes = readdirSync(dir).reduce((sum, name) => sum + (statSync(join(dir, name)).size ?? 0), 0)
  expect(bytes).toBeLessThan(20 * 1024 * 1024)
})

test('a command that closes its output lives on; one that leaves processes behind is over when it ends', async () => {
  const silent = await detach('exec >&- 2>&-; sleep 0.7; exit 8')
  expect(await endOf(silent.runId)).toMatchObject({ reason: 'exit 8' })
  const left = await mesh.run(['run', '--json', ...sh('sleep 100 >/dev/null 2>&1 & echo $!; exit 2')])
  const [pid, last] = left.stdout.trimEnd().split('\n')
  expect(await endOf(JSON.parse(last!).runId)).toMatchObject({
    reason: 'exit 2',
    evidence: expect.stringContaining('processes of its group were left'),
  })
  await eventually(() => !isThere(Number(pid)), 'the end of what was left')
})

test('a process that leaves the group does not keep the run from ending', async () => {
  const { runId } = await detach('setsid sleep 2 & exit 9')
  expect(await endOf(runId)).toMatchObject({ reason: 'exit 9' })
})

test('after a reboot in the middle of a run the next sidecar reports host lost, with the last words', async () => {
  const { runId, pid } = await detach('echo last words >&2; exec sleep 600')
  await eventually(async () => (await mesh.run(['logs', runId, '--stderr'])).stdout !== '', 'the words')
  await mesh.signal('tester', 'SIGKILL')
  tryKill(supervisorOf(runId))
  tryKill(pid)
  const path = join(mesh.home, 'runs', runId, 'journal.jsonl')
  writeFileSync(path, readFileSync(path, 'utf8').replaceAll(/"boot":"[^"]*"/g, '"boot":"an earlier one"'))
  const end = await endOf(runId)
  expect(end).toMatchObject({ type: 'run_terminated', reason: 'host lost', stderrTail: 'last words\n', code: 11 })
  expect(end.evidence).toMatch(/^the machine was started anew: it ran in boot an earlier one, now it is /)
})

test.skipIf(!hasScript)('at a terminal the standard error of a command is the terminal', () => {
  const command = `'${process.execPath}' '${meshBin}' run -- sh -c 'test -t 2 && echo it is one >&2; exit 3'`
  const options = { cwd: mesh.cwd, env: mesh.env(), encoding: 'utf8' } as const
  const done = spawnSync('script', ['-qec', command, '/dev/null'], options)
  expect([done.status, done.stdout]).toEqual([3, expect.stringContaining('it is one')])
})

test('a mesh home that cannot be prevents no command, but one that is to outlive its call', async () => {
  for (const home of ['/dev/null/x', '/proc/nowhere']) {
    const ran = await mesh.run(['run', ...sh('echo out; exit 7')], { env: { MESH_HOME: home } })
    expect(ran).toMatchObject({ code: 7, stdout: 'out\n', stderr: expect.stringContaining('unsupervised') })
    const left = await mesh.run(['run', '--detach', ...sh('exit 7')], { env: { MESH_HOME: home } })
    expect([left.code, left.stdout]).toEqual([125, ''])
  }
})
