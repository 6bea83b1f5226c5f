/** Commands with wrong names, flags and ids: refused in words, and no sidecar ends. */
import { spawnSync } from 'node:child_process'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { meshBin, TestMesh } from '../../support/mesh.ts'

let mesh: TestMesh
let pids: number[]

beforeAll(async () => {
  mesh = new TestMesh()
  await mesh.json(['up'])
  await mesh.join('alice', 'bob')
  pids = await sidecars()
})

afterEach(async () => {
  expect(await sidecars()).toEqual(pids)
  expect(await mesh.texts('bob')).toEqual([])
})

afterAll(() => mesh.dispose())

async function sidecars(): Promise<number[]> {
  const all = await Promise.all(['alice', 'bob'].map((as) => mesh.json(['whoami'], { as })))
  return all.map(({ pid }) => pid)
}

const badNames = [
  '.',
  '..',
  '*',
  '>',
  'a.b',
  'a b',
  ' a',
  'a\r\nb',
  'a\n',
  '$JS',
  'a'.repeat(65),
  'a'.repeat(10_000),
  'Alice',
  'älice',
  'аlice',
  '\u{1f600}',
  'a\u202eb',
  'a\u200bb',
  '__proto__',
  'toString',
  'm_x',
  'r_1',
  't_',
  'all',
  'topic',
  'role',
  '_a',
  '',
  '../../etc/passwd',
  '/etc',
]

test.each([
  [['attach'], 'mesh attach: it needs <pid> (see: mesh attach --help)'],
  [['run', 'true'], 'mesh run: it takes no "true": a command comes after -- (see: mesh run --help)'],
  [['send'], 'mesh send: it needs <to>… -- <text> (see: mesh send --help)'],
  [['spawn', 'do it'], 'mesh spawn: it takes no "do it": a text comes after -- (see: mesh spawn --help)'],
  [['inbox', '--limit', 'x'], '--limit "x" is not a number from 1 to 100 (see: mesh inbox --help)'],
  [['ps', '--as'], 'mesh ps: --as <name> needs a value (see: mesh ps --help)'],
  [['run', '--timeout', '0s', '--', 'true'], '--timeout "0s" is too short (see: mesh run --help)'],
  [['rename', 'alice'], 'this session is alice already (mesh whoami)'],
  [['rename', 'nobody', 'carol'], 'there is no session "nobody" (mesh ps lists the sessions of this project)'],
  [['leave', 'nobody'], 'there is no session "nobody" (mesh ps lists the sessions of this project)'],
  [
    ['forget', 'bob'],
    'bob is not gone (mesh leave bob ends the session of a person’s shells, mesh stop bob an agent’s)',
  ],
  [['trace', 'nobody'], 'there is no message or run "nobody" (mesh inbox --peek lists messages, mesh ps --runs runs)'],
  [['trace', ''], '"" is neither the id nor the name of a run (mesh ps --runs lists them)'],
  [['logs', ''], '"" is neither the id nor the name of a run (mesh ps --runs lists them)'],
  [['stop', ''], '"" is neither the id nor the name of a run (mesh ps --runs lists them)'],
  [['events', '--run', ''], '"" is neither the id nor the name of a run (mesh ps --runs lists them)'],
  [['stop', 'bob'], 'bob is the session of a person’s shells, not a run (mesh leave bob)'],
  [['wait', 'nobody'], 'there is no session or run "nobody" (mesh ps lists sessions, mesh ps --runs runs)'],
  [['wait', '--timeout', '50ms'], 'nothing came in time (wait again, or look later: mesh inbox)'],
  [
    ['wait', '--until', 'progress'],
    'mesh wait: name the run or the session whose progress to wait for (see: mesh wait --help)',
  ],
  [
    ['wait', 'r_12345678', 'bob'],
    'mesh wait: runs cannot be waited for together with sessions or messages; wait for each in a call of its own (see: mesh wait --help)',
  ],
  [
    ['wait', 'bob', '--any'],
    'mesh wait: --any is gone: mesh wait returns with the first target anyway; leave the flag out (see: mesh wait --help)',
  ],
  [
    ['events', '--since', 'soon'],
    '--since "soon" is neither a duration nor a time (for example --since 10m, --since 2026-01-31T09:00:00Z)',
  ],
])('%j is refused in words', async (call, said) => {
  const done = await mesh.run(call, { as: 'alice' })
  expect([done.stdout, done.stderr]).toEqual(['', `mesh: ${said}\n`])
})

test.each(badNames)('a name that is none: %j', async (name) => {
  const calls = [
    ['send', name, '--json', '--', 'x'],
    ['send', 'bob', name, '--json', '--', 'x'],
    ['ask', name, '--timeout', '1s', '--json', '--', 'x'],
    ['alive', name, '--json'],
    ['rename', name, '--json'],
    ['forget', name, '--json'],
    ['whoami', '--as', name, '--json'],
  ]
  for (const call of calls) {
    const done = await mesh.run(call, { as: 'alice' })
    expect(done, call.join(' ')).toMatchObject({ code: 2, stdout: '' })
    expect(done.stderr.trimEnd().split('\n')).toHaveLength(1)
    expect(done.error.code).toBe('bad_name')
    expect(done.error.message.length).toBeLessThan(200)
    expect(done.error.message).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u)
  }
})

test.each(['.', '*', '>', 'a.b', 'a b', '', '$JS', 'a'.repeat(65), 'Ä'])(
  'a topic or role that is none: %j',
  async (name) => {
    for (const call of [
      ['topic', 'join', name],
      ['role', 'add', name],
      ['send', `topic:${name}`, '--', 'x'],
    ]) {
      const end = call.indexOf('--')
      const withJson = end < 0 ? [...call, '--json'] : [...call.slice(0, end), '--json', ...call.slice(end)]
      const done = await mesh.run(withJson, { as: 'alice' })
      expect(done, call.join(' ')).toMatchObject({ code: 2, stdout: '' })
      expect(done.error.code).toBe('bad_name')
    }
  },
)

test.each(['constructor', 'hasownproperty', 'valueof', 'null', 'undefined', '0', '007', '1e3'])(
  'a name that is one, although it looks odd: %j',
  async (name) => {
    const done = await mesh.run(['alive', name, '--json'], { as: 'alice' })
    expect(done).toMatchObject({ code: 3, stdout: '' })
    expect(done.error.message).toContain(`"${name}"`)
  },
)

test.each([
  ['a flag and no command', ['--frobnicate', '--json']],
  ['no such command', ['sned', '--json']],
  ['a command with a line break', ['a\nb\x1b[31m', '--json']],
  ['no recipient', ['send', '--json', '--', 'x']],
  ['no text', ['send', 'bob', '--json']],
  ['an empty text', ['send', 'bob', '--json', '--', '']],
  ['no such flag', ['ps', '--jsno', '--json']],
  ['a flag of another command', ['ps', '--thread', 'x', '--json']],
  ['flags that objects have', ['ps', '--constructor', 'x', '--json']],
  ['a flag into a prototype', ['ps', '--__proto__.polluted', '1', '--json']],
  ['a dotted flag', ['ps', '--as.x', 'y', '--json']],
  ['a flag without its value', ['send', 'bob', '--json', '--thread', '--', 'x']],
  ['a flag twice', ['send', 'bob', '--json', '--thread', 'a', '--thread', 'b', '--', 'x']],
  ['a bad duration', ['wait', '--json', '--timeout', '5']],
  ['a duration of ages', ['wait', '--json', '--timeout', '9999999h']],
  ['a negative duration', ['wait', '--json', '--timeout=-5s']],
  ['a bad state', ['send', 'bob', '--json', '--wait', 'read', '--', 'x']],
  ['a timeout for nothing', ['send', 'bob', '--json', '--timeout', '5s', '--', 'x']],
  ['a bad limit', ['inbox', '--json', '--limit', '0']],
  ['a limit that is no number', ['inbox', '--json', '--limit', '1e2']],
  ['a bad id', ['reply', 'bob', '--json', '--', 'x']],
  ['an id with something behind it', ['trace', `m_${'0'.repeat(33)}`, '--json']],
  ['too many arguments', ['alive', 'a', 'b', '--json']],
  ['a text where none is taken', ['ps', '--json', '--', 'x']],
  ['an empty thread', ['send', 'bob', '--json', '--thread', '', '--', 'x']],
  ['a thread with a line break', ['send', 'bob', '--json', '--thread', 'a\nb', '--', 'x']],
  ['a long thread', ['send', 'bob', '--json', '--thread', 'a'.repeat(129), '--', 'x']],
  ['a bad intent', ['send', 'bob', '--json', '--intent', 'Do It', '--', 'x']],
  ['65 recipients', ['send', ...Array.from({ length: 65 }, (_, i) => `r${i}`), '--json', '--', 'x']],
])('a call that must be changed: %s', async (_, args) => {
  const done = await mesh.run(args, { as: 'alice' })
  expect(done).toMatchObject({ code: 2, stdout: '' })
  expect(done.error.code).toBe('bad_request')
  expect(done.error.hint.length).toBeGreaterThan(10)
  expect(done.stderr.trimEnd().split('\n')).toHaveLength(1)
  const [plain] = [
    await mesh.run(
      args.filter((arg) => arg !== '--json'),
      { as: 'alice' },
    ),
  ]
  if (args.length > 1) expect(plain.stderr).toMatch(/^mesh: [^\x00-\x1f]+ \([^\x00-\x1f]+\)\n$/)
})

test('an unknown id is not found', async () => {
  const id = `m_${'0'.repeat(32)}`
  for (const args of [
    ['trace', id, '--json'],
    ['reply', id, '--json', '--', 'x'],
    ['inbox', id, '--json'],
  ]) {
    const done = await mesh.run(args, { as: 'alice' })
    expect(done, args.join(' ')).toMatchObject({ code: 3, stdout: '' })
    expect(done.error.code).toBe('not_found')
  }
})

test('a project that is none', async () => {
  for (const project of ['.', 'a.b', '*', 'A', '../x', 'a'.repeat(81)]) {
    const done = await mesh.run(['ps', '--json'], { as: 'alice', env: { MESH_PROJECT: project } })
    expect(done).toMatchObject({ code: 2, stdout: '' })
    expect(done.error.code).toBe('bad_name')
  }
})

test('a directory that was removed', async () => {
  const script = 'mkdir gone && cd gone && rmdir ../gone && exec "$0" "$@"'
  for (const [command, code] of [
    ['ps', 2],
    ['spawn', 2],
    ['run', 125],
  ] as const) {
    const words = [process.execPath, meshBin, command, '--json', ...(command === 'ps' ? [] : ['--', 'true'])]
    const done = spawnSync('sh', ['-c', script, ...words], {
      cwd: mesh.cwd,
      env: mesh.env({ as: 'alice' }),
      encoding: 'utf8',
    })
    expect(done).toMatchObject({ status: code, stdout: '' })
    expect(JSON.parse(done.stderr.trim().split('\n').at(-1)!).error.code, command).toBe('bad_request')
  }
})
