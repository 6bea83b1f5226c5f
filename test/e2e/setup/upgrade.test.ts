/** Programs of different versions on one mesh, and an upgrade under living sessions. Each version is a real build. */
import { type ChildProcess, spawn } from 'node:child_process'
import { cpSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { buildOther } from '../../support/build.ts'
import { eventually, TestMesh } from '../../support/mesh.ts'

/** Of the same protocol, of the one before it, of the one after it. */
const builds = { past: '', before: '', after: '' }
const bin = (build: string) => join(build, 'bin', 'mesh.js')

let mesh: TestMesh
beforeAll(() => {
  builds.past = buildOther({ version: '0.0.9', isBlindToChildren: true })
  builds.before = buildOther({ version: '0.0.1', api: 0 })
  builds.after = buildOther({ version: '0.99.0', api: 2, future: true })
})
afterAll(() => {
  for (const dir of Object.values(builds)) if (dir) rmSync(dir, { recursive: true })
})
beforeEach(() => {
  mesh = new TestMesh()
})
afterEach(async () => {
  for (const child of clients.splice(0)) child.kill('SIGKILL')
  await mesh.dispose()
})

const record = (name: string) => JSON.parse(readFileSync(join(mesh.runDir(name), 'sidecar.json'), 'utf8'))

async function startOperator(build: string, as: string): Promise<void> {
  expect(await mesh.run(['whoami'], { as, bin: bin(build) })).toMatchObject({ code: 0 })
}

test('a newer command works with an older sidecar of the same protocol, and leaves it be', async () => {
  await startOperator(builds.past, 'api')
  const { pid, version } = record('api')
  expect(version).toBe('0.0.9')
  await mesh.join('web')
  await mesh.json(['send', 'web', '--', 'early'], { as: 'api' })
  expect(await mesh.texts('web')).toEqual(['early'])
  await mesh.json(['send', 'api', '--', 'to the older'], { as: 'web' })
  expect(await mesh.texts('api')).toEqual(['to the older'])
  expect(record('api').pid).toBe(pid)
})

test('a newer command gives the end of a child also where an older sidecar sees only its session', async () => {
  await startOperator(builds.past, 'api')
  const client = join(mesh.root, 'claude')
  writeFileSync(client, `#!/bin/sh\n'${process.execPath}' '${bin(builds.past)}' whoami\nexit 7\n`, { mode: 0o755 })
  await mesh.json(['spawn', '--name', 'kid', '--', 'fail'], { as: 'api', env: { CLAUDE_CODE_EXECPATH: client } })
  await eventually(async () => (await mesh.status('kid', 'api')) !== undefined, 'the session of the child')
  const waited = await mesh.run(['wait', 'kid', '--json'], { as: 'api' })
  expect({ code: waited.code, ...waited.json }).toMatchObject({ code: 10, type: 'run_failed', exitCode: 7 })
})

test('an older command works with a newer sidecar of the same protocol', async () => {
  await mesh.join('api')
  await mesh.json(['send', 'api', '--', 'hi'], { as: 'web' })
  const done = await mesh.run(['inbox', '--json'], { as: 'api', bin: bin(builds.past) })
  expect(done.json).toMatchObject([{ text: 'hi' }])
})

test('sidecars of two protocols talk to each other, and pass over what only the newer knows', async () => {
  await startOperator(builds.after, 'newer')
  await mesh.join('api')
  const later = { as: 'newer', bin: bin(builds.after) }
  const sent = await mesh.run(['send', 'api', '--json', '--', 'from the future'], later)
  expect(sent.json.state).toMatch(/stored|delivered|surfaced/)
  const [message] = await mesh.json(['inbox'], { as: 'api' })
  expect(message).toMatchObject({ text: 'from the future', from: 'newer', verified: true })
  await mesh.json(['reply', message.id, '--', 'and back'], { as: 'api' })
  expect((await mesh.run(['inbox', '--json'], later)).json).toMatchObject([{ text: 'and back', verified: true }])
  expect(await mesh.status('newer', 'api')).toMatch(/idle|busy/)
  await eventually(async () => {
    const { steps } = (await mesh.run(['trace', sent.json.id, '--json'], later)).json
    return steps.some(({ state }: { state: string }) => state === 'surfaced')
  }, 'the receipt of the older')
})

test('an operator’s sidecar of an older protocol is replaced, and its mail is kept', async () => {
  await startOperator(builds.before, 'api')
  const { pid } = record('api')
  await mesh.join('web')
  await mesh.json(['send', 'api', '--', 'kept'], { as: 'web' })
  expect(await mesh.texts('api')).toEqual(['kept'])
  expect(record('api').pid).not.toBe(pid)
})

test('an older command refuses a newer protocol before anything is done, says what to do, and ends nothing', async () => {
  await startOperator(builds.after, 'newer')
  const { pid } = record('newer')
  await mesh.join('web')
  const done = await mesh.run(['send', 'web', '--json', '--', 'x'], { as: 'newer' })
  expect(done.code).toBe(5)
  expect(done.error).toMatchObject({
    code: 'version_skew',
    message: expect.stringContaining('mesh 0.99.0'),
    hint: expect.stringContaining('npm install -g sessionmesh'),
  })
  expect(await mesh.texts('web')).toEqual([])
  expect(record('newer').pid).toBe(pid)
})

// --- a session of Claude Code, whose hooks keep a sidecar

const clients: ChildProcess[] = []

describe('an upgrade under a living session', () => {
  let home: string
  let client: ChildProcess
  let env: Record<string, string>
  const installed = () => bin(home)

  /** A global package that is replaced in place, a client that does nothing, and its hooks. */
  beforeEach(async () => {
    home = join(mesh.root, 'package')
    cpSync(builds.past, home, { recursive: true, filter: (path) => !/\/(node_modules|src)$/.test(path) })
    const config = join(mesh.root, 'config')
    env = { CLAUDE_CONFIG_DIR: config, MESH_NAME: 'api' }
    expect(await mesh.run(['install'], { env, bin: installed() })).toMatchObject({ code: 0 })
    client = spawn('sleep', ['600'], { stdio: 'ignore' })
    clients.push(client)
    const { hooks } = JSON.parse(readFileSync(join(config, 'settings.json'), 'utf8'))
    const lines: string[] = hooks.SessionStart.flatMap((entry: { hooks: { command: string }[] }) =>
      entry.hooks.map(({ command }) => command),
    )
    const start = { hook_event_name: 'SessionStart', session_id: 's-1', source: 'startup', cwd: mesh.cwd }
    for (const line of lines) {
      const options = { cwd: mesh.cwd, env: { ...mesh.env({ env }), ...ofClient() } }
      const hook = spawn('sh', ['-c', line], { ...options, stdio: ['pipe', 'ignore', 'ignore'] })
      hook.stdin.on('error', () => {}).end(JSON.stringify(start))
    }
    await eventually(() => version() === '0.0.9', 'the session joins')
  })

  /** `-p`: no door leads to an idle one, so that its mail waits for whoever asks. */
  const ofClient = () => ({ CLAUDE_PID: String(client.pid), CLAUDE_CODE_ENTRYPOINT: 'sdk-cli' })
  const inside = () => ({ MESH_SESSION: `cc-${client.pid}` })
  function session() {
    return JSON.parse(readFileSync(join(mesh.home, 'run', `cc-${client.pid}`, 'sidecar.json'), 'utf8'))
  }
  function version(): string | null {
    try {
      return session().version
    } catch {
      return null
    }
  }

  /** As `npm install -g` or a build does it. */
  function replaceWith(build: string): void {
    // What is left of the code caches is of the other build, and left aside.
    for (const name of readdirSync(join(build, 'dist')).filter((file) => file !== 'cache' && !file.endsWith('.tmp'))) {
      cpSync(join(build, 'dist', name), join(home, 'dist', `${name}.new`))
      renameSync(join(home, 'dist', `${name}.new`), join(home, 'dist', name))
    }
  }

  test('unread mail and the name survive the change of sidecars', async () => {
    await mesh.join('web')
    const { id } = await mesh.json(['send', 'api', '--', 'before the upgrade'], { as: 'web' })
    await eventually(async () => {
      const { steps } = await mesh.json(['trace', id], { as: 'web' })
      return steps.some(({ state }: { state: string }) => state === 'delivered')
    }, 'the mail is delivered')
    const old = session()
    replaceWith(builds.after)
    // Nobody replaces a sidecar that works.
    expect((await mesh.json(['ps'], { as: 'web' })).map(({ name }: { name: string }) => name)).toContain('api')
    expect(session().pid).toBe(old.pid)
    process.kill(old.pid, 'SIGKILL')
    await eventually(() => version() === '0.99.0', 'the loop starts the new version')
    expect(session()).toMatchObject({ name: 'api', epoch: old.epoch, sessionId: 's-1' })
    const read = await mesh.run(['inbox', '--json'], { env: inside(), bin: installed() })
    expect(read.json).toMatchObject([{ text: 'before the upgrade' }])
    // And back again: a downgrade reads what the newer one wrote.
    await mesh.json(['send', 'api', '--', 'before the downgrade'], { as: 'web' })
    replaceWith(builds.past)
    process.kill(session().pid, 'SIGKILL')
    await eventually(() => version() === '0.0.9', 'the loop starts the old version')
    const again = await mesh.run(['inbox', '--json'], { env: inside(), bin: installed() })
    expect(again.json).toMatchObject([{ text: 'before the downgrade' }])
  })

  test('the new command replaces a sidecar that it cannot talk to, where its own program took the place', async () => {
    replaceWith(builds.after)
    const done = await mesh.run(['whoami', '--json'], { env: inside(), bin: installed() })
    expect(done).toMatchObject({ code: 0 })
    expect(done.json).toMatchObject({ name: 'api', sessionId: 's-1' })
    expect(version()).toBe('0.99.0')
  })

  test('of another installation it is left, and the error says what to do', async () => {
    const { pid } = session()
    const done = await mesh.run(['whoami', '--json'], { env: inside(), bin: bin(builds.after) })
    expect(done.error).toMatchObject({
      code: 'version_skew',
      message: 'this command is mesh 0.99.0, the sidecar is mesh 0.0.9',
      hint: expect.stringContaining('mesh install'),
    })
    expect(session().pid).toBe(pid)
  })

  test('the package gone, the session’s hooks say nothing and its sidecar goes on', async () => {
    rmSync(home, { recursive: true })
    await mesh.join('web')
    const { state } = await mesh.json(['send', 'api', '--', 'hi'], { as: 'web' })
    expect(state).toMatch(/stored|delivered/)
    expect(await mesh.texts('web')).toEqual([])
    const read = await mesh.run(['inbox', '--json'], { env: inside(), bin: bin(builds.past) })
    expect(read.json).toMatchObject([{ text: 'hi' }])
  })
})
