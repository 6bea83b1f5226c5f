/** Commands in a sandbox: exit code 5 and its name, nothing touched, and never a person in place of the session. */
import { mkdirSync, realpathSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { meshBin, TestMesh } from '../../support/mesh.ts'
import { type Boxed, noSandbox, runBoxed, writeFilter } from '../../support/sandbox.ts'

const why = noSandbox()
const all = ['--dev', '/dev', '--proc', '/proc']

describe.skipIf(why !== null)(`in a sandbox${why ? ` (skipped: ${why})` : ''}`, () => {
  let mesh: TestMesh
  let filter: string
  beforeAll(async () => {
    mesh = new TestMesh()
    filter = writeFilter(mesh.root)
    await mesh.join('web', 'api')
  })
  afterAll(() => mesh.dispose())

  /** `filter`: with it the sandbox refuses Unix sockets, as Claude Code's does. */
  function boxed(box: string[], args: string[], env: Record<string, string>, isFiltered: boolean): Promise<Boxed> {
    const options = { cwd: mesh.cwd, env: mesh.env({ env }), ...(isFiltered ? { filter } : {}) }
    return runBoxed(box, [process.execPath, meshBin, ...args], options)
  }

  const readOnly = () => ['--ro-bind', '/', '/', ...all, '--bind', mesh.cwd, mesh.cwd]
  const boxes: [string, () => string[], boolean][] = [
    ['that refuses sockets', () => ['--bind', '/', '/', ...all], true],
    ['that refuses sockets and writing', readOnly, true],
    ['that refuses writing and hides processes', () => [...readOnly(), '--unshare-pid', '--unshare-net'], false],
    ['that refuses all of it', () => [...readOnly(), '--unshare-pid', '--unshare-net'], true],
  ]

  test.each(boxes)(
    'one %s: a new operator is refused at once, with the setting that lets mesh through',
    async (_, box, isFiltered) => {
      const before = await mesh.json(['status'])
      const { code, stdout, stderr } = await boxed(
        box(),
        ['send', 'web', '--json', '--', 'hi'],
        { MESH_NAME: 'probe' },
        isFiltered,
      )
      expect([code, stdout]).toEqual([5, ''])
      const { error } = JSON.parse(stderr)
      expect(error).toMatchObject({ code: 'sandboxed', message: expect.stringContaining('sandbox') })
      expect(error.hint).toContain('"allowAllUnixSockets":true')
      expect(error.hint).toContain('"excludedCommands":["mesh *"]')
      expect(await mesh.json(['status'])).toEqual(before)
    },
  )

  test('a session whose process is hidden is never a person: its socket decides, else the sandbox is named', async () => {
    const session = join(mesh.home, 'run', 'cc-1999999999')
    const env = { CLAUDE_PID: '1999999999', SANDBOX_RUNTIME: '1', MESH_NAME: 'api' }
    const hidden = await boxed(['--bind', '/', '/', ...all, '--unshare-pid'], ['whoami', '--json'], env, false)
    expect([hidden.code, JSON.parse(hidden.stderr).error.code]).toEqual([5, 'sandboxed'])
    expect(JSON.parse(hidden.stderr).error.message).toContain('Claude Code’s sandbox')
    mkdirSync(session, { mode: 0o700 })
    const record = { pid: 1, name: 'me', project: mesh.project, version: '0.1.0' }
    writeFileSync(join(session, 'sidecar.json'), JSON.stringify(record))
    const filtered = await boxed(['--bind', '/', '/', ...all, '--unshare-pid'], ['whoami', '--json'], env, true)
    expect([filtered.code, JSON.parse(filtered.stderr).error.code]).toEqual([5, 'sandboxed'])
  })

  test('mesh run prevents no command: it runs unsupervised, with its own code; what should outlive it is refused', async () => {
    const say = ['run', '--json', '--', 'sh', '-c', 'echo said; exit 3']
    const { code, stdout, stderr } = await boxed([...readOnly(), '--unshare-pid'], say, {}, true)
    const [said, ended] = stdout.trim().split('\n')
    expect([code, said]).toEqual([3, 'said'])
    expect(JSON.parse(ended!)).toMatchObject({ state: 'failed', exitCode: 3, reasonCode: 'exited' })
    expect(stderr).toContain('runs unsupervised')
    const none = await boxed(readOnly(), ['run', '--', 'no-such-command'], {}, true)
    expect([none.code, none.stdout]).toEqual([127, ''])
    const late = await boxed(readOnly(), ['run', '--timeout', '100ms', '--', 'sleep', '60'], {}, true)
    expect(late.code).toBe(124)
    const detached = await boxed(readOnly(), ['run', '--detach', '--json', '--', 'true'], {}, true)
    expect([detached.code, JSON.parse(detached.stderr).error.code]).toEqual([125, 'sandboxed'])
  })

  test('mesh doctor names the sandbox alone, and sends nobody to another mesh home', async () => {
    const { code, stdout } = await boxed(readOnly(), ['doctor', '--json'], {}, true)
    expect(code).toBe(4)
    expect(JSON.parse(stdout)).toEqual([
      expect.objectContaining({
        check: 'sandbox.shell',
        ok: false,
        detail: expect.stringContaining('allowAllUnixSockets'),
      }),
    ])
    expect(stdout).not.toContain('MESH_HOME=')
  })
})

test('mesh install and doctor say which settings shut the model in, and what opens them', async () => {
  const mesh = new TestMesh()
  try {
    const settings = join(mesh.root, 'home', '.claude', 'settings.json')
    mkdirSync(dirname(settings))
    writeFileSync(settings, '{"sandbox": {"enabled": true}}')
    const { stderr } = await mesh.run(['install'])
    expect(stderr).toContain(`${settings} turns Claude Code’s sandbox on`)
    expect(stderr).toContain(`"allowWrite":["${realpathSync(mesh.home)}"]`)
    const findings = (await mesh.run(['doctor', '--json'])).json
    expect(findings).toContainEqual(expect.objectContaining({ check: 'sandbox.sessions', ok: false }))
    writeFileSync(settings, '{"sandbox": {"enabled": true, "network": {"allowAllUnixSockets": true}}}')
    expect(JSON.stringify((await mesh.run(['doctor', '--json'])).json)).not.toContain('sandbox')
  } finally {
    await mesh.dispose()
  }
})
