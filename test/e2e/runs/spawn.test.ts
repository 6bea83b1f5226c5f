/** `mesh spawn` and `mesh done` with a client that does what its prompt says: what must not go wrong. */
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { eventually, meshBin, type RunOptions, TestMesh } from '../../support/mesh.ts'

// biome-ignore lint/suspicious/noExplicitAny: tests look into whatever a command printed
type Json = any

/** Stands for the client: its prompt is a script, `$MESH` the command. */
const CLIENT = `#!/bin/sh
for word; do echo "word: $word" >&2; done
prompt=$(cat)
eval "$prompt"
`

let mesh: TestMesh
let bin: string
const pids: number[] = []
beforeAll(async () => {
  mesh = new TestMesh()
  bin = join(mesh.root, 'bin')
  mkdirSync(bin)
  writeFileSync(join(bin, 'claude'), CLIENT, { mode: 0o755 })
  await mesh.json(['up'])
})
afterEach(() => {
  for (const pid of pids.splice(0)) tryKill(pid)
})
afterAll(async () => {
  for (const { pid } of mesh.leftovers().filter(({ command }) => command.includes('supervisor.js'))) tryKill(pid)
  await mesh.dispose()
})

function tryKill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It ended by itself.
  }
}

function withClient(options: RunOptions = {}): RunOptions {
  const env = { PATH: `${bin}:/usr/bin:/bin`, MESH: `${process.execPath} ${meshBin}`, ...options.env }
  return { ...options, env }
}

async function spawn(prompt: string, flags: string[] = [], options: RunOptions = {}): Promise<Json> {
  const started = await mesh.json(['spawn', ...flags, '--', prompt], withClient(options))
  pids.push(started.pid)
  return started
}

async function endOf(runId: string): Promise<Json> {
  const waited = await mesh.run(['wait', runId, '--timeout', '30s', '--json'])
  return { ...waited.json, code: waited.code }
}

/** What the client prints as its last line. */
function result(text: string, more: object = {}): string {
  const line = JSON.stringify({
    type: 'result',
    subtype: 'success',
    is_error: false,
    result: text,
    stop_reason: 'end_turn',
    total_cost_usd: 0.25,
    usage: { input_tokens: 10, cache_creation_input_tokens: 20, cache_read_input_tokens: 30, output_tokens: 5 },
    ...more,
  })
  return `printf '%s\\n' '${line}'`
}

function schemaFile(schema: unknown): string {
  const path = join(mesh.cwd, 'schema.json')
  writeFileSync(path, typeof schema === 'string' ? schema : JSON.stringify(schema))
  return path
}

const NUMBER = { type: 'object', required: ['n'], properties: { n: { type: 'integer' } } }

/** The runs that have a directory. */
function runs(): string[] {
  const dir = join(mesh.home, 'runs')
  return existsSync(dir) ? readdirSync(dir) : []
}

describe('refused, with nothing started', () => {
  test('a client that is not there, or cannot be executed', async () => {
    const closedBin = join(mesh.root, 'closed')
    mkdirSync(closedBin)
    writeFileSync(join(closedBin, 'claude'), CLIENT, { mode: 0o644 })
    const absent = await mesh.run(['spawn', '--json', '--', 'x'], { env: { PATH: '/nonexistent' } })
    expect(absent).toMatchObject({ code: 127, stdout: '' })
    expect(absent.error).toMatchObject({ code: 'not_found', message: expect.stringContaining('claude') })
    const closed = await mesh.run(['spawn', '--json', '--', 'x'], { env: { PATH: closedBin } })
    expect(closed).toMatchObject({ code: 126, stdout: '' })
    expect(closed.error.code).toBe('denied')
    expect(runs()).toEqual([])
  })

  test.each([
    ['no prompt', []],
    ['an empty prompt', ['--', '']],
    ['a flag that was removed', ['--print', '--', 'x']],
    ['a bad name', ['--name', 'No Name', '--', 'x']],
    ['a bad time', ['--timeout', 'soon', '--', 'x']],
    ['no repository', ['--worktree', '--', 'x']],
    ['an empty model', ['--model=', '--', 'x']],
    ['a schema that is not there', ['--schema', 'none.json', '--', 'x']],
    ['a prompt without end', ['--', 'x'.repeat(300_000).slice(0, 130_000), 'y'.repeat(130_000), 'z'.repeat(10_000)]],
  ])('%s', async (_, args) => {
    const done = await mesh.run(['spawn', '--json', ...args], withClient())
    expect(done).toMatchObject({ code: 2, stdout: '' })
    expect(done.error.hint).not.toBe('')
    expect(runs()).toEqual([])
  })

  test.each([
    ['not JSON', '{', /not JSON/],
    ['a list', [], /no JSON Schema/],
    ['an unknown type', { type: 'strnig' }, /type/],
    ['a reference to nowhere', { $ref: '#/$defs/x' }, /leads nowhere/],
    ['too much', { description: 'x'.repeat(20_000) }, /characters/],
  ])('a schema that is %s', async (_, schema, why) => {
    const done = await mesh.run(['spawn', '--json', '--schema', schemaFile(schema), '--', 'x'], withClient())
    expect(done).toMatchObject({ code: 2, stdout: '' })
    expect(done.error.message).toMatch(why)
    expect(runs()).toEqual([])
  })

  test('mesh done where no session was spawned', async () => {
    for (const args of [['done'], ['run', '--', process.execPath, meshBin, 'done']]) {
      const done = await mesh.run(args)
      expect(done.code).toBe(2)
      expect(done.stderr).toMatch(/spawned session|exit code is its result/)
    }
  })
})

describe('a child session', () => {
  test('has a clean environment and its prompt on standard input, and writes to no other output', async () => {
    const env = {
      CLAUDECODE: '1',
      CLAUDE_PID: '1',
      CLAUDE_CODE_CHILD_SESSION: '1',
      CLAUDE_CONFIG_DIR: '/c',
      MESH_SESSION: 'cc-1',
    }
    const prompt = `--version; env | sort; ${result('ok')}`
    const child = await spawn(prompt.replace('--version', ': --version'), ['--name', 'kid', '--model=--bg'], { env })
    expect(child).toEqual({ runId: expect.stringMatching(/^r_[0-9a-f]{32}$/), name: 'kid', pid: expect.any(Number) })
    await endOf(child.runId)
    const { stdout } = await mesh.run(['logs', child.runId])
    const lines = stdout.split('\n')
    for (const line of ['CLAUDE_CONFIG_DIR=/c', 'MESH_NAME=kid', 'MESH_PROJECT=e2e', `MESH_RUN_ID=${child.runId}`])
      expect(lines).toContain(line)
    expect(stdout).not.toMatch(/^(CLAUDECODE|CLAUDE_PID|CLAUDE_CODE_CHILD_SESSION|MESH_SESSION)=/m)
    const words = (await mesh.run(['logs', child.runId, '--stderr'])).stdout
    expect(words).toMatch(
      /^word: -p\n.*\n.*\nword: --session-id=[0-9a-f-]{36}\nword: --name=kid\nword: --model=--bg\n$/s,
    )
    expect(words).not.toContain('--version')
  })

  test('runs the client of the calling session where PATH has none, under the name of its run', async () => {
    const env = { PATH: '/usr/bin:/bin', CLAUDE_CODE_EXECPATH: join(bin, 'claude') }
    const { runId } = await spawn(`sleep 0.5; ${result('own')}`, ['--name', 'byname'], { env })
    expect((await mesh.run(['wait', 'byname', '--json'])).json).toMatchObject({ runId, result: 'own' })
    expect(await endOf(runId)).toMatchObject({ result: 'own' })
  })

  test('is named after its parent without --name, and known as the session of its run', async () => {
    const child = await spawn(result('ok', { permission_denials: [{ tool_name: 'Write' }, { tool_name: 'Write' }] }))
    const taken = await mesh.run(['spawn', '--name', 'tester', '--json', '--', 'x'], withClient())
    expect(taken).toMatchObject({ code: 4, error: { code: 'name_taken' } })
    expect(child.name).toBe(`tester-${child.runId.slice(2, 6)}`)
    const end = await endOf(child.runId)
    expect(end).toMatchObject({ type: 'run_completed', kind: 'session', result: 'ok', code: 0 })
    expect(end.evidence).toContain('refused for want of permission: Write')
    expect(end.usage).toEqual({ inputTokens: 60, outputTokens: 5, cost: 0.25 })
  })

  test.each([
    [
      'an API error',
      `${result('API Error: 529 over', { is_error: true, terminal_reason: 'api_error', api_error_status: 529 })}; exit 1`,
      'terminated',
      'API error: 529',
      11,
    ],
    [
      'a limit of turns',
      result('', { subtype: 'error_max_turns', is_error: true }),
      'terminated',
      'API error: error_max_turns',
      11,
    ],
    ['a response that was cut', result('half', { stop_reason: 'max_tokens' }), 'terminated', 'max_tokens', 11],
    ['a client that fails', 'echo no such model >&2; exit 3', 'failed', 'exit 3', 10],
    ['a signal', 'kill -9 $$', 'terminated', 'signal SIGKILL', 11],
  ])('%s is reported as that', async (_, prompt, state, reason, code) => {
    const { runId } = await spawn(prompt)
    expect(await endOf(runId)).toMatchObject({ type: `run_${state}`, reason, code })
  })

  test('that runs out of time, and one that is stopped', async () => {
    const late = await spawn('sleep 600', ['--timeout', '300ms'])
    expect(await endOf(late.runId)).toMatchObject({ type: 'run_terminated', reason: 'timeout' })
    const { runId } = await spawn('sleep 600')
    expect(await mesh.json(['stop', runId])).toMatchObject({ type: 'run_cancelled', reason: 'cancelled by tester' })
  })

  test('that writes 300 MB in one line is logged within bounds, and its end is reported', async () => {
    const { runId } = await spawn(`head -c 300000000 /dev/zero | tr '\\0' x; echo; ${result('big')}`)
    const end = await mesh.run(['wait', runId, '--timeout', '120s', '--json'])
    expect(end.json).toMatchObject({ type: 'run_completed', result: 'big' })
    const dir = join(mesh.home, 'runs', runId)
    const bytes = readdirSync(dir).reduce((sum, name) => sum + statSync(join(dir, name)).size, 0)
    expect(bytes).toBeLessThan(20 * 1024 * 1024)
  }, 180_000)

  test('starts without an engine; its end is reported when the engine is back', async () => {
    await mesh.json(['down'])
    const { runId } = await spawn(result('alone'))
    await mesh.json(['up'])
    expect(await endOf(runId)).toMatchObject({ type: 'run_completed', result: 'alone' })
  })
})

describe('mesh done', () => {
  const say = (args: string) => `$MESH done ${args} >>"$OUT" 2>&1; echo "code $?" >>"$OUT"`
  let count = 0
  beforeEach(() => {
    count++
  })
  const out = () => readFileSync(join(mesh.cwd, `out-${count}`), 'utf8')
  const options = (): RunOptions => ({ env: { OUT: join(mesh.cwd, `out-${count}`) } })

  test('a result that does not fit is refused to the child, which tries again; the last one counts', async () => {
    const script = [say(`--result '{"n":"x"}'`), say(''), say(`--result nonsense`), say(`--result '{"n": 12}'`)]
    const { runId } = await spawn([...script, 'exit 9'].join('\n'), ['--schema', schemaFile(NUMBER)], options())
    const end = await endOf(runId)
    expect(end).toMatchObject({ type: 'run_completed', reason: 'mesh done', result: '{"n":12}', exitCode: 9, code: 0 })
    const told = out()
    expect(told).toContain('/n: Instance type "string" is invalid. Expected "integer"')
    expect(told).toContain('a result is asked for')
    expect(told).toContain('not JSON')
    expect(told.match(/code \d+/g)).toEqual(['code 2', 'code 2', 'code 2', 'code 0'])
    const late = await mesh.run(['done', '--result', '{"n":1}'], { env: { MESH_RUN_ID: runId } })
    expect(late.code).toBe(2)
  })

  test('--failed reports a failure with any reason', async () => {
    const script = `echo '"no network"' | ${say('--failed --result -')}; ${result('I could not.')}`
    const { runId } = await spawn(script, ['--schema', schemaFile(NUMBER)], options())
    expect(await endOf(runId)).toMatchObject({ type: 'run_failed', result: '"no network"', code: 10 })
  })

  test('is required with --schema, unless the last message is a result', async () => {
    const flags = ['--schema', schemaFile(NUMBER)]
    const without = await spawn(result('All done.'), flags)
    expect(await endOf(without.runId)).toMatchObject({ type: 'run_failed', reason: 'no result that fits its schema' })
    const plain = await spawn(result('{"n": 3}'), flags)
    expect(await endOf(plain.runId)).toMatchObject({ type: 'run_completed', result: '{"n": 3}' })
  })

  test('holds when supervisor and child are killed after it; without it they are lost', async () => {
    const ids: string[] = []
    for (const word of [say(`--result '{"n":1}'`), ':']) {
      const { runId, pid } = await spawn(
        `${word}\ntouch ready-$MESH_NAME; exec sleep 600`,
        ['--name', `k${ids.length}`],
        options(),
      )
      await eventually(() => existsSync(join(mesh.cwd, `ready-k${ids.length}`)), 'the child is ready')
      const [line] = readFileSync(join(mesh.home, 'runs', runId, 'journal.jsonl'), 'utf8').split('\n')
      process.kill(JSON.parse(line!).supervisor.pid, 'SIGKILL')
      process.kill(pid, 'SIGKILL')
      ids.push(runId)
    }
    expect(await endOf(ids[0]!)).toMatchObject({ type: 'run_completed', reason: 'mesh done', result: '{"n":1}' })
    expect(await endOf(ids[1]!)).toMatchObject({ type: 'run_terminated', reason: 'supervisor lost' })
  })
})
