/** `mesh attach`: a process that somebody else started is a run from then on, and its end is told. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { eventually, TestMesh } from '../../support/mesh.ts'

let mesh: TestMesh
const children: ChildProcess[] = []
beforeEach(async () => {
  mesh = new TestMesh()
  await mesh.json(['up'])
  await mesh.join('tester')
})
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
  for (const { pid } of mesh.leftovers().filter(({ command }) => command.includes('supervisor.js'))) tryKill(pid)
  await mesh.dispose()
})

function tryKill(pid: number, signal: NodeJS.Signals = 'SIGKILL'): void {
  try {
    process.kill(pid, signal)
  } catch {
    // It ended by itself.
  }
}

/** A process of somebody who waits for it (`reaps`) or does not. */
async function strange(script: string, reaps: boolean): Promise<number> {
  const after = reaps ? 'wait' : 'exec sleep 600'
  const parent = spawn('sh', ['-c', `sh -c '${script}' & echo $!; ${after}`], { stdio: ['ignore', 'pipe', 'ignore'] })
  children.push(parent)
  const [line] = await once(parent.stdout!, 'data')
  return Number(String(line))
}

/** What a script waits with until the test makes the file. */
function untilTold(name: string): string {
  return `until test -e ${join(mesh.cwd, name)}; do sleep 0.05; done`
}

function supervisorOf(runId: string): number {
  const [line] = readFileSync(join(mesh.home, 'runs', runId, 'journal.jsonl'), 'utf8').split('\n')
  return JSON.parse(line!).supervisor.pid
}

test('attach - the end wakes the owner; without an exit code none is claimed', async () => {
  const pid = await strange(`${untilTold('go')}; exit 7`, true)
  const { runId } = await mesh.json(['attach', String(pid), '--name', 'migration'])
  expect((await mesh.json(['tree']))[0]).toMatchObject({
    runId,
    pid,
    name: 'migration',
    state: 'running',
    supervised: true,
  })
  writeFileSync(join(mesh.cwd, 'go'), '')
  const mail = await mesh.json(['wait', '--timeout', '20s'])
  const waited = await mesh.run(['wait', runId, '--json'])
  // Whoever started it may be slow to ask for its code: then it is there to be told.
  const [code, state, reason] =
    waited.code === 10 ? [10, 'failed', 'exit 7'] : [11, 'terminated', 'ended, exit code unknown']
  expect(waited).toMatchObject({ code, json: { type: `run_${state}`, reason } })
  expect(mail.text).toBe(`${runId.slice(0, 12)} migration ${state}: ${reason}`)
})

test.runIf(process.platform === 'linux')(
  'attach - the exit code is reported where the system still has it',
  async () => {
    for (const [script, code, reason] of [
      ['exit 7', 10, 'exit 7'],
      ['exit 0', 0, 'exit 0'],
      ['kill -TERM $$', 11, 'signal SIGTERM'],
    ] as const) {
      // Not before its parent has become one that never reaps.
      const late = 'until read -r name < /proc/$PPID/comm && test $name = sleep; do sleep 0.05; done'
      const { runId } = await mesh.json([
        'attach',
        String(await strange(`${late}; ${untilTold(String(code))}; ${script}`, false)),
      ])
      writeFileSync(join(mesh.cwd, String(code)), '')
      const waited = await mesh.run(['wait', runId, '--timeout', '20s', '--json'])
      expect(waited).toMatchObject({ code, json: { reason } })
    }
  },
)

test('attach - stop ends the process, not others of its group', async () => {
  const parent = await strange('exec sleep 600', true)
  const { runId } = await mesh.json(['attach', String(parent)])
  expect(await mesh.json(['stop', runId])).toMatchObject({ type: 'run_cancelled', reason: 'cancelled by tester' })
  // Whoever started it is of the same group.
  expect(children[0]!.signalCode).toBe(null)
})

test('attach - a process is one run of a project; an unknown pid is refused', async () => {
  const pid = await strange('exec sleep 600', true)
  const { runId } = await mesh.json(['attach', String(pid)])
  expect((await mesh.run(['attach', String(pid), '--json'])).error).toMatchObject({ code: 'conflict' })
  const error = async (word: string) => (await mesh.run(['attach', word, '--json'])).error.code
  expect(await error('4194304')).toBe('not_found')
  for (const word of ['0', '-1', 'x', '1e3', '99999999999']) expect(await error(word), word).toBe('bad_request')
  tryKill(supervisorOf(runId))
  tryKill(pid)
  const waited = await mesh.run(['wait', runId, '--timeout', '20s', '--json'])
  expect(waited).toMatchObject({ code: 11, json: { reason: 'supervisor lost' } })
})

test('attach - init, what the command runs in and a process of another user are refused', async () => {
  const codeOf = async (pid: number) => (await mesh.run(['attach', String(pid), '--json'])).error.code
  expect(await codeOf(1)).toBe('bad_request')
  expect(await codeOf(process.pid)).toBe('bad_request')
  if (process.getuid?.() !== 0) return
  const other = spawn('sleep', ['600'], { uid: 65_534, stdio: 'ignore' })
  children.push(other)
  expect(await codeOf(other.pid!)).toBe('denied')
})

test('attach - a suspended process is reported as waiting, and as running when it goes on', async () => {
  const pid = await strange('exec sleep 600', true)
  const { runId } = await mesh.json(['attach', String(pid)])
  const told = async () =>
    (await mesh.run(['events', '--run', runId, '--json'])).jsonLines.map(({ type }: { type: string }) => type)
  tryKill(pid, 'SIGSTOP')
  await eventually(async () => (await told()).at(-1) === 'run_waiting', 'waiting')
  expect((await mesh.json(['tree']))[0]).toMatchObject({ state: 'waiting' })
  tryKill(pid, 'SIGCONT')
  await eventually(async () => (await told()).at(-1) === 'run_progress', 'going on')
  expect((await mesh.json(['tree']))[0]).toMatchObject({ state: 'running' })
  tryKill(pid)
  await mesh.run(['wait', runId])
})
