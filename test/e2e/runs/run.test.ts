/** mesh run: a command under supervision, its output, its code, its one end. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { eventually, meshBin, type RunOptions, TestMesh } from '../../support/mesh.ts'
import { isThere, type Json, sh, tryKill } from './processes.ts'

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

test('output passes through, and the code is the command’s', async () => {
  const done = await mesh.run(['run', ...sh('cat; echo err >&2; exit 7')], { input: 'typed' })
  expect(done).toMatchObject({ code: 7, stdout: 'typed', stderr: 'err\n' })
  const json = await mesh.run(['run', '--json', '--name', 'build', ...sh('echo out; echo boom >&2; exit 3')])
  const [out, last] = json.stdout.trimEnd().split('\n')
  expect(out).toBe('out')
  expect(JSON.parse(last!)).toMatchObject({
    state: 'failed',
    reason: 'exit 3',
    exitCode: 3,
    signal: null,
    stderrTail: 'boom\n',
  })
  expect(await endOf(JSON.parse(last!).runId)).toMatchObject({
    type: 'run_failed',
    name: 'build',
    owner: 'tester',
    exitCode: 3,
    stderrTail: 'boom\n',
    verified: true,
    code: 10,
  })
  expect(await mesh.run(['run', ...sh('kill -9 $$')])).toMatchObject({ code: 137 })
  expect(await mesh.run(['run', '--', 'true'])).toMatchObject({ code: 0, stdout: '', stderr: '' })
})

test('the words of a command are words, not a script', async () => {
  const words = ['a b', '$HOME', '`id`', '"', "'", '*', '', '-', '--', '\n', '; exit 9']
  const done = await mesh.run(['run', '--', 'printf', '[%s]', ...words])
  expect(done).toMatchObject({ code: 0, stdout: words.map((word) => `[${word}]`).join('') })
})

test('a signal to mesh run goes to the command, and is reported', async () => {
  const running = mesh.start(['run', '--json', ...sh('echo on; exec sleep 60')])
  await running.sees(/on/)
  running.child.kill('SIGINT')
  const done = await running.finished
  expect(done.code).toBe(130)
  const last = JSON.parse(done.stdout.trimEnd().split('\n').at(-1)!)
  expect(last).toMatchObject({ state: 'terminated', reason: 'signal SIGINT sent by tester' })
})

test('a command that cannot be run is refused at once, and makes no run', async () => {
  writeFileSync(join(mesh.cwd, 'plain'), 'x')
  for (const [words, code, text] of [
    [['nosuchcommand'], 127, 'was not found'],
    [['./plain'], 126, 'cannot be executed'],
    [['/'], 126, 'cannot be executed'],
  ] as const) {
    for (const flags of [[], ['--detach']]) {
      const done = await mesh.run(['run', ...flags, '--', ...words])
      expect(done).toMatchObject({ code, stdout: '', stderr: expect.stringContaining(text) })
    }
  }
  for (const args of [[], ['--'], ['--', ''], ['--cwd', 'nowhere', '--', 'true'], ['--name', 'A b', '--', 'true']]) {
    expect((await mesh.run(['run', ...args])).code, args.join(' ')).toBe(125)
  }
  expect(existsSync(join(mesh.home, 'runs')) ? readdirSync(join(mesh.home, 'runs')) : []).toEqual([])
  expect(await mesh.json(['tree'])).toEqual([])
})

test('a detached run is logged, listed, awaited, and reported with its last words', async () => {
  const gate = join(mesh.home, 'gate')
  const script = `echo out; until [ -e "${gate}" ]; do sleep 0.05; done; echo boom >&2; exit 7`
  const { runId } = await detach(script, {}, '--name', 'build')
  const [listed] = await mesh.json(['ps', '--runs'])
  expect(listed).toMatchObject({
    runId,
    name: 'build',
    owner: 'tester',
    state: 'running',
    supervised: true,
    parent: null,
  })
  writeFileSync(gate, '')
  expect(await endOf(runId)).toMatchObject({ reason: 'exit 7', stderrTail: 'boom\n', code: 10 })
  expect((await mesh.run(['logs', 'build'])).stdout).toBe('out\n')
  expect((await mesh.run(['logs', runId, '--stderr', '-n', '1'])).stdout).toBe('boom\n')
})

test('logs are followed to the end of the run', async () => {
  const { runId } = await detach('for i in 1 2 3; do echo $i; sleep 0.3; done')
  expect((await mesh.run(['logs', runId, '-f'])).stdout).toBe('1\n2\n3\n')
})

test('a run that exceeds its timeout is terminated with all its processes', async () => {
  const polite = await mesh.run([
    'run',
    '--timeout',
    '300ms',
    ...sh('trap "exit 0" TERM; while :; do sleep 0.05; done'),
  ])
  expect([polite.code, polite.stderr]).toEqual([124, expect.stringContaining('terminated: timeout')])
  const done = await mesh.run(['run', '--json', '--timeout', '300ms', ...sh('sleep 100 & echo $!; wait')])
  const [pid, last] = done.stdout.trimEnd().split('\n')
  expect(JSON.parse(last!)).toMatchObject({ state: 'terminated', reason: 'timeout' })
  expect(done.code).toBe(124)
  await eventually(() => !isThere(Number(pid)), 'the end of the child')
})

test('stop ends the whole group, also one that ignores SIGTERM or is stopped', async () => {
  const deaf = await detach("trap '' TERM; echo on; while :; do sleep 1; done")
  await eventually(async () => (await mesh.run(['logs', deaf.runId])).stdout === 'on\n', 'the trap')
  const stopped = await mesh.json(['stop', deaf.runId, '--grace', '200ms'])
  expect(stopped).toMatchObject({ type: 'run_cancelled', reason: 'cancelled by tester', signal: 'SIGKILL' })
  const asleep = await detach('kill -STOP $$; sleep 100')
  await mesh.json(['stop', asleep.runId])
  expect(await endOf(asleep.runId)).toMatchObject({ type: 'run_cancelled', code: 12 })
  for (const { pid } of [deaf, asleep]) await eventually(() => !isThere(pid), 'the end of all')
  expect((await mesh.run(['stop', deaf.runId, '--json'])).error).toMatchObject({ code: 'not_alive' })
})

test('a name that two living runs have is refused with their ids; one that has ended makes no doubt', async () => {
  const first = await detach('sleep 100', {}, '--name', 'tests')
  const second = await detach('sleep 100', {}, '--name', 'tests')
  for (const command of ['stop', 'wait', 'logs', 'trace']) {
    const refused = await mesh.run([command, 'tests', '--json'])
    expect([command, refused.code, refused.error.code]).toEqual([command, 2, 'bad_request'])
    for (const { runId } of [first, second]) expect(refused.error.message).toContain(runId)
  }
  for (const { pid } of [first, second]) expect(isThere(pid)).toBe(true)
  await mesh.json(['stop', first.runId])
  expect(await mesh.json(['stop', 'tests'])).toMatchObject({ runId: second.runId, type: 'run_cancelled' })
  // Of two that are over it is the newest.
  expect((await mesh.run(['wait', 'tests', '--json'])).json).toMatchObject({ runId: second.runId })
})

test('only its owner or an operator may stop a run', async () => {
  const { runId } = await detach('sleep 100', { as: 'alice' })
  // Both are operators here.
  expect(await mesh.json(['stop', runId], { as: 'bob' })).toMatchObject({ reason: 'cancelled by bob' })
})

test('progress comes in order, and runs in runs know whose they are', async () => {
  const mesh_ = `"${process.execPath}" "${join(import.meta.dirname, '..', '..', '..', 'bin', 'mesh.js')}"`
  const script = `${mesh_} progress one; ${mesh_} progress two --percent 50; ${mesh_} run -- sh -c '${mesh_} run -- false'; exit 0`
  const { runId } = await detach(script)
  await endOf(runId)
  const events = (await mesh.run(['events', '--run', runId, '--json'])).jsonLines
  expect(events.map(({ type, seq, text }: Json) => [type, seq, text])).toEqual([
    ['run_spawned', 1, undefined],
    ['run_progress', 2, 'one'],
    ['run_progress', 3, 'two'],
    ['run_completed', 4, undefined],
  ])
  const runs = await eventually(async () => {
    const all = await mesh.json(['tree'])
    return all.filter(({ state }: Json) => state !== 'running').length === 3 && all
  }, 'three ends')
  const child = runs.find(({ parent }: Json) => parent === runId)
  const grandchild = runs.find(({ parent }: Json) => parent === child.runId)
  expect(grandchild).toMatchObject({ lineage: [runId, child.runId], state: 'failed', reason: 'exit 1' })
  expect((await mesh.run(['tree'])).stdout).toMatch(/^r_\w+ sh.*\n {2}r_\w+ sh.*\n {4}r_\w+ false, failed: exit 1/)
  expect((await mesh.run(['progress', 'x', '--json'])).error.code).toBe('bad_request')
})

test('a run of another project, an unknown run and a malformed id are refused with the reason', async () => {
  const { runId } = await detach('sleep 0.1')
  await endOf(runId)
  const elsewhere = { env: { MESH_PROJECT: 'other' } }
  for (const command of ['wait', 'stop', 'logs', 'trace']) {
    expect((await mesh.run([command, runId, '--json'], elsewhere)).error).toMatchObject({ code: 'not_found' })
    expect((await mesh.run([command, `r_${'0'.repeat(32)}`, '--json'])).error).toMatchObject({ code: 'not_found' })
    expect((await mesh.run([command, 'r_xyz', '--json'])).error).toMatchObject({ code: 'bad_request' })
  }
  expect(await mesh.run(['wait', runId])).toMatchObject({ code: 0 })
})

test('a suspended command is waiting, and reported when it goes on', async () => {
  const { runId, pid } = await detach('exec sleep 600')
  process.kill(pid, 'SIGSTOP')
  const waiting = await eventually(async () => {
    const [run] = await mesh.json(['ps', '--runs'])
    return run.state === 'waiting' && run
  }, 'waiting')
  expect(waiting.runId).toBe(runId)
  const [news] = await eventually(async () => {
    const messages = await mesh.json(['inbox'])
    return messages.length > 0 && messages
  }, 'its owner to be told')
  expect(news.text).toContain(`waits: stopped by a signal; goes on with: kill -CONT ${pid}`)
  process.kill(pid, 'SIGCONT')
  await eventually(async () => (await mesh.json(['ps', '--runs']))[0].state === 'running', 'going on')
  await mesh.json(['stop', runId])
})

test('malformed flags and words are refused before anything runs, and make no run', async () => {
  const evil = '\u001b[2J'
  for (const flags of [
    ['--timeout', 'soon'],
    ['--timeout', '-1s'],
    ['--timeout', '1e9h'],
    ['--nosuch'],
    ['--timeout', '25000h'],
    ['--cwd', '/nowhere/at/all'],
    ['--name', evil],
    ['--name', `r_${'0'.repeat(32)}`],
    ['--name', 'x'.repeat(65)],
  ]) {
    const done = await mesh.run(['run', ...flags, '--', 'touch', 'ran'])
    expect(done, flags.join(' ')).toMatchObject({ code: 125, stdout: '' })
    expect(done.stderr).not.toContain(evil)
  }
  expect(existsSync(join(mesh.cwd, 'ran'))).toBe(false)
  expect(await mesh.json(['tree'])).toEqual([])
})

test('output of a command cannot pass for words of mesh', async () => {
  const { runId } = await detach("printf '\\033[2J\\033]52;c;aGk=\\007\\342\\200\\256evil\\n' >&2; exit 1")
  await endOf(runId)
  const script = `"${process.execPath}" "${meshBin}" progress "$(printf '\\033]0;x\\007\\342\\200\\256')"`
  const talking = await detach(script)
  await endOf(talking.runId)
  for (const command of [['events'], ['tree'], ['trace', runId], ['ps', '--runs'], ['inbox']]) {
    const shown = (await mesh.run(command)).stdout
    expect(shown, command.join(' ')).not.toMatch(/[\u001b\u0007\u202e]/)
    if (command[0] === 'events') expect(shown).toMatch(/\\x1b\[2J[\s\S]*run_progress.*\\x1b\]0;x/)
  }
})

test('followers see what happens as it happens', async () => {
  const following = mesh.start(['events', '--follow', '--json'])
  const { runId } = await detach('sleep 0.2; exit 3')
  await following.sees(new RegExp(`run_failed.*${runId}|${runId}.*run_failed`))
  following.child.kill('SIGINT')
  await following.finished
  // One run's events have an end: also when it was there before.
  const other = await detach('sleep 0.5')
  const followed = mesh.start(['events', '--run', other.runId, '--follow', '--json'])
  expect((await followed.finished).code).toBe(0)
  const again = await mesh.run(['events', '--run', other.runId, '-f', '--json'])
  expect(again.jsonLines.map(({ type }: Json) => type)).toEqual(['run_spawned', 'run_completed'])
})

test('a run is found by its name before its supervisor has published it', async () => {
  await mesh.json(['down'])
  const { runId } = await detach('sleep 100', {}, '--name', 'early')
  process.kill(supervisorOf(runId), 'SIGSTOP')
  await mesh.json(['up'])
  expect((await mesh.run(['wait', 'early', '--timeout', '300ms'])).code).toBe(124)
  process.kill(supervisorOf(runId), 'SIGCONT')
  expect(await mesh.json(['stop', 'early'])).toMatchObject({ runId, type: 'run_cancelled' })
})
