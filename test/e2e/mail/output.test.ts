/** The command line's contract: JSON shapes, exit codes, help, and quiet ends. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { meshBin, TestMesh } from '../../support/mesh.ts'

let mesh: TestMesh
beforeAll(async () => {
  mesh = new TestMesh()
  await mesh.json(['up'])
  await mesh.join('alice', 'bob')
})
afterAll(() => mesh.dispose())

const version = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')).version

const commands = [
  'send',
  'ask',
  'reply',
  'inbox',
  'wait',
  'trace',
  'ps',
  'who',
  'alive',
  'whoami',
  'run',
  'tree',
  'logs',
  'stop',
  'progress',
  'events',
  'rename',
  'forget',
  'topic join',
  'topic leave',
  'topic list',
  'role add',
  'role rm',
  'role list',
  'up',
  'down',
  'status',
  'install',
  'uninstall',
  'demo',
  'engine which',
  'engine install',
  'engine run',
  'project allow',
  'schema',
  'version',
]

test.each(commands)('mesh %s --help has usage, flags and examples', async (name) => {
  const done = await mesh.run([...name.split(' '), '--help'])
  expect(done).toMatchObject({ code: 0, stderr: '' })
  for (const part of ['Usage:', 'Options:', '--json', 'Examples:', `$ mesh ${name === 'who' ? 'ps' : name}`]) {
    expect(done.stdout).toContain(part)
  }
  expect((await mesh.run(['help', ...name.split(' ')])).stdout).toBe(done.stdout)
})

test('mesh --help and mesh help list every command within 80 columns, by subject', async () => {
  for (const args of [['--help'], ['help']]) {
    const done = await mesh.run(args)
    expect(done).toMatchObject({ code: 0, stderr: '' })
    for (const name of commands.filter((one) => one !== 'who')) expect(done.stdout).toContain(`mesh ${name}`)
    for (const line of done.stdout.split('\n')) {
      expect(line.length).toBeLessThanOrEqual(80)
      expect(line).toBe(line.trimEnd())
    }
  }
  const { stdout } = await mesh.run(['help', 'tasks'])
  expect(stdout).toContain('mesh task add')
  expect(stdout).not.toContain('mesh send')
})

test('mesh alone shows the state of the project and eight commands', async () => {
  const done = await mesh.run([], { as: 'alice' })
  expect(done).toMatchObject({ code: 0, stderr: '' })
  expect(done.stdout).toMatch(/^project e2e, you are alice, engine up/)
  expect(done.stdout).toMatch(/^alice +idle.*^bob +idle/ms)
  expect(done.stdout).toContain('no open tasks')
  expect(done.stdout.match(/^ {2}mesh /gm)).toHaveLength(8)
  expect(await mesh.json([], { as: 'alice' })).toMatchObject({
    ...{ project: 'e2e', name: 'alice', unread: 0, engine: { running: true }, runs: [], tasks: [] },
    sessions: [{ name: 'alice' }, { name: 'bob' }],
  })
})

test('mesh alone starts nothing', async () => {
  const quiet = new TestMesh()
  try {
    const done = await quiet.run([])
    expect(done).toMatchObject({ code: 0, stderr: '' })
    expect(done.stdout).toContain('engine down, start it with: mesh up')
    expect(quiet.leftovers()).toEqual([])
  } finally {
    await quiet.dispose()
  }
})

test('a group of commands lists them, and says which word is missing', async () => {
  expect((await mesh.run(['topic', '--help'])).stdout).toContain('mesh topic join')
  const done = await mesh.run(['topic'])
  expect(done).toMatchObject({ code: 2, stdout: '' })
  expect(done.stderr).toContain('join, leave, list')
})

test('a mistyped command is answered with the right one', async () => {
  const done = await mesh.run(['sedn', 'alice', '--', 'x'])
  expect(done).toMatchObject({ code: 2, stdout: '' })
  expect(done.stderr).toBe('mesh: there is no command "sedn" (did you mean: mesh send --help)\n')
})

test('version', async () => {
  expect((await mesh.run(['version'])).stdout).toBe(`mesh ${version}\n`)
  expect((await mesh.run(['--version'])).stdout).toBe(`mesh ${version}\n`)
  expect(await mesh.json(['version'])).toMatchObject({ version })
})

test('whoami', async () => {
  expect(await mesh.json(['whoami'], { as: 'alice' })).toMatchObject({
    name: 'alice',
    project: 'e2e',
    sessionId: expect.any(String),
    host: expect.any(String),
    pid: expect.any(Number),
    harness: expect.any(String),
    roles: ['operator'],
    version,
  })
})

test('schema is JSON Schema of every kind on the wire', async () => {
  const schemas = await mesh.json(['schema'])
  for (const kind of ['message', 'receipt', 'name', 'presence']) {
    expect(schemas[kind]).toMatchObject({ $schema: expect.stringContaining('json-schema.org'), type: 'object' })
  }
})

test('lists are JSON even when they are empty', async () => {
  for (const args of [['topic', 'list'], ['inbox']]) expect(await mesh.json(args, { as: 'alice' })).toEqual([])
})

test('plain output: one line for an error, with what to do', async () => {
  const done = await mesh.run(['alive', 'nobody'], { as: 'alice' })
  expect(done).toMatchObject({ code: 3, stdout: '' })
  expect(done.stderr).toMatch(/^mesh: there is no session "nobody" \(.*mesh ps.*\)\n$/)
})

test('plain output: ps is a table without colours', async () => {
  const { stdout } = await mesh.run(['ps'], { as: 'alice' })
  const [head, ...rows] = stdout.trimEnd().split('\n')
  expect(head).toMatch(/^NAME +STATUS/)
  expect(rows[0]).toMatch(/^alice +idle +\d+s ago +0 /)
  expect(stdout).not.toContain('\x1b')
})

test('plain output: send is one line', async () => {
  const { stdout, stderr } = await mesh.run(['send', 'bob', '--', 'x'], { as: 'alice' })
  expect(stdout).toMatch(/^m_[0-9a-f]{32} stored\n$/)
  expect(stderr).toBe('')
})

test('flags may stand before and after the command', async () => {
  const done = await mesh.run(['--as', 'alice', '--json', 'whoami'])
  expect(done.json).toMatchObject({ name: 'alice' })
  expect((await mesh.run(['whoami', '--json', '--as=alice'])).json).toMatchObject({ name: 'alice' })
})

test('a reader that goes away is no error', async () => {
  const command = `"${process.execPath}" "${meshBin}" schema | head -n 1`
  const child = spawn('/bin/sh', ['-c', command], { cwd: mesh.cwd, env: mesh.env(), stdio: ['ignore', 'pipe', 'pipe'] })
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  child.stdout.resume()
  expect((await once(child, 'close'))[0]).toBe(0)
  expect(stderr).toBe('')
})

test('messages that could not be printed stay unread', async () => {
  await mesh.texts('bob')
  await mesh.json(['send', 'bob', '-'], { as: 'alice', input: 'x'.repeat(200_000) })
  // The reader ends before anything can be written.
  const command = `"${process.execPath}" "${meshBin}" inbox --json | sh -c 'exec 0<&-; sleep 1'`
  const child = spawn('/bin/sh', ['-c', command], { cwd: mesh.cwd, env: mesh.env({ as: 'bob' }), stdio: 'ignore' })
  await once(child, 'close')
  const [message] = await mesh.json(['inbox', '--peek'], { as: 'bob' })
  expect(message?.text).toHaveLength(200_000)
  await mesh.texts('bob')
})

test('ps --watch prints changes until it is interrupted', async () => {
  const watch = mesh.start(['ps', '--watch', '--json'], { as: 'alice' })
  await watch.sees(/"name":"bob"/)
  await mesh.join('newcomer')
  await watch.sees(/"name":"newcomer"/)
  watch.child.kill('SIGINT')
  const done = await watch.finished
  expect(done.code).toBe(130)
  expect(done.jsonLines.at(-1)).toContainEqual(expect.objectContaining({ name: 'newcomer' }))
})

test('install and uninstall touch the settings of this HOME only, and say what they did', async () => {
  const installed = await mesh.json(['install'])
  expect(installed).toMatchObject({ changed: true, settingsPath: expect.stringContaining(mesh.root) })
  expect(readFileSync(installed.settingsPath, 'utf8')).toContain('SessionStart')
  expect(await mesh.json(['install'])).toMatchObject({ changed: false })
  expect(await mesh.json(['uninstall'])).toMatchObject({ changed: true })
  // There was none before.
  expect(existsSync(installed.settingsPath)).toBe(false)
})
