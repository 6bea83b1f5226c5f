/** The two hooks of a session's start: one waits for the sidecar's text, the other keeps the sidecar running. */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { hookScript } from '../../../../../src/harness/claude-code/hooks/script.ts'
import { describeEachShell, silent } from './lab.ts'

/** Stands for the sidecar: answers the first event that it finds. */
const answering = `
  const fs = require('node:fs'), dir = process.argv[3]
  const id = () => fs.readdirSync(dir + '/spool').find((name) => /^SessionStart-\\d+\\.json$/.test(name))
  const timer = setInterval(() => {
    if (!id()) return
    fs.writeFileSync(dir + '/start/.new', process.env.MESH_HOME + ' ' + (process.env.NODE_OPTIONS ?? 'clean') + '\\n')
    fs.renameSync(dir + '/start/.new', dir + '/start/' + id().slice(0, -5))
    clearInterval(timer)
  }, 5)`

/** Stands for the sidecar: writes down that it runs, and does so until it is asked to end. */
function lasting(starts: string): string {
  return `
    const fs = require('node:fs'); fs.appendFileSync(${JSON.stringify(starts)}, process.pid + '\\n')
    process.on('SIGTERM', () => process.exit(0)); setInterval(() => {}, 1000)`
}

describeEachShell('SessionStart', (lab) => {
  const directory = (pid: number | undefined) => join(lab.home, 'run', `cc-${pid}`)

  test('waits for the answer to its own event and prints it; shells learn where the sidecar is', async () => {
    writeFileSync(lab.sidecar, answering)
    rmSync(lab.dir, { recursive: true })
    const envFile = join(lab.root, 'env.sh')
    const [start, side] = lab.lines('SessionStart')
    lab.env = { ...lab.env, CLAUDE_PID: String(process.pid), NODE_OPTIONS: '--no-warnings' }
    const { ended } = lab.start(side!, 'stdout')
    const result = lab.run('SessionStart', { line: start!, env: { CLAUDE_ENV_FILE: envFile } })
    expect(result).toMatchObject({ ...silent, stdout: `${lab.home} clean\n` })
    const asked = `. "$0"; echo "$MESH_HOME $MESH_SESSION"`
    const seenBy = (more: object) =>
      spawnSync(lab.sh, lab.args(asked, envFile), { encoding: 'utf8', env: { PATH: lab.env.PATH, ...more } })
    expect(seenBy({}).stdout).toBe(`${lab.home} cc-${process.pid}\n`)
    expect(seenBy({ CLAUDE_PID: '7' }).stdout).toBe(`${lab.home} cc-7\n`)
    rmSync(envFile)
    writeFileSync(join(directory(process.pid), 'failed'), '')
    lab.run('SessionStart', { line: start!, env: { CLAUDE_ENV_FILE: envFile, MESH_HOME: 'relative' } })
    expect(seenBy({ MESH_HOME: 'relative' }).stdout).toBe(`${lab.home} cc-${process.pid}\n`)
    expect(await ended).toEqual({ code: 0, text: '' })
  })

  test('does not wait for a sidecar that cannot run, and tells the user once why', async () => {
    writeFileSync(lab.sidecar, `console.error('Error: no "room"'); process.exit(3)`)
    const [start, side] = lab.lines('SessionStart')
    const client = spawn('sleep', ['60'])
    lab.env.CLAUDE_PID = String(client.pid)
    const { hook, ended } = lab.start(side!, 'stdout')
    await expect.poll(() => existsSync(join(directory(client.pid), 'failed')), { timeout: 10_000 }).toBe(true)
    const slept = join(lab.root, 'slept')
    const stub = '#!/bin/sh\necho "$1" >>"$(dirname "$0")/../slept"; exec /bin/sleep "$1"'
    writeFileSync(join(lab.root, 'bin', 'sleep'), stub, { mode: 0o755 })
    const said = JSON.stringify({
      systemMessage: 'mesh: this session did not join: Error: no  room  (mesh doctor says more)',
    })
    expect(lab.run('SessionStart', { line: start! })).toMatchObject({ ...silent, stdout: `${said}\n` })
    expect(lab.run('SessionStart', { line: start! })).toMatchObject(silent)
    expect(readFileSync(join(lab.home, 'logs', `cc-${client.pid}.log`), 'utf8')).toMatch(
      /^\{"level":60,"time":"[-0-9T:]+Z","error":"Error: no {2}room ","msg":"not started"\}\n/,
    )
    const waits = existsSync(slept) ? readFileSync(slept, 'utf8').split('\n') : []
    // For a sidecar that is starting it looks 195 times.
    expect(waits.filter((time) => /^0\.0/.test(time)).length).toBeLessThan(100)
    client.kill('SIGKILL')
    hook.kill('SIGTERM')
    await ended
  })

  test('a Node that fails at once, or is gone, gives way to another one', async () => {
    const broken = join(lab.root, 'broken')
    for (const [at, node] of [broken, join(lab.root, 'gone')].entries()) {
      writeFileSync(broken, '#!/bin/sh\nexit 134\n', { mode: 0o755 })
      const starts = join(lab.root, `starts-${at}`)
      writeFileSync(lab.sidecar, lasting(starts))
      const script = hookScript({ home: lab.home, node, sidecar: lab.sidecar })
      writeFileSync(join(lab.home, 'hooks', 'claude-code.sh'), script)
      const client = spawn('sleep', ['60'])
      lab.env.CLAUDE_PID = String(client.pid)
      const { hook, ended } = lab.start(lab.lines('SessionStart')[1]!, 'stdout')
      await expect.poll(() => existsSync(starts), { timeout: 10_000 }).toBe(true)
      client.kill('SIGKILL')
      hook.kill('SIGTERM')
      await ended
    }
  })

  test('the user is told when the program itself is gone', () => {
    const { stdout } = lab.run('SessionStart')
    expect(JSON.parse(stdout).systemMessage).toContain('its program is gone; run mesh install again')
    expect(lab.run('SessionStart')).toMatchObject(silent)
  })

  test('the sidecar is started again after a crash, not after it is done, and ended with its hook', async () => {
    const starts = join(lab.root, 'starts')
    writeFileSync(lab.sidecar, lasting(starts))
    const pids = () => (existsSync(starts) ? readFileSync(starts, 'utf8').trim().split('\n').map(Number) : [])
    const client = spawn('sleep', ['60'])
    lab.env.CLAUDE_PID = String(client.pid)
    const side = lab.lines('SessionStart')[1]!
    const { hook, ended } = lab.start(`exec 2>&1; ${side}`, 'stdout')
    await expect.poll(pids, { timeout: 10_000 }).toHaveLength(1)
    process.kill(pids()[0]!, 'SIGKILL')
    await expect.poll(pids, { timeout: 10_000 }).toHaveLength(2)
    // A second SessionStart of the same client, as by /clear.
    expect(spawnSync(lab.sh, lab.args(side), { env: lab.env }).status).toBe(0)
    expect(pids()).toHaveLength(2)
    hook.kill('SIGTERM')
    expect(await ended).toEqual({ code: 0, text: '' })
    expect(() => process.kill(pids()[1]!, 0)).toThrow()
    client.kill('SIGKILL')
  })

  test.each(['UserPromptSubmit', 'Stop'])('%s starts it again once it and its loop were killed', async (event) => {
    const starts = join(lab.root, 'starts')
    writeFileSync(lab.sidecar, lasting(starts))
    const pids = () => (existsSync(starts) ? readFileSync(starts, 'utf8').trim().split('\n').map(Number) : [])
    const client = spawn('sleep', ['60'])
    lab.env.CLAUDE_PID = String(client.pid)
    const dir = directory(client.pid)
    const loop = () => Number(readFileSync(join(dir, 'loop'), 'utf8'))
    const { hook } = lab.start(lab.lines('SessionStart')[1]!, 'stdout')
    await expect.poll(pids, { timeout: 10_000 }).toHaveLength(1)
    expect(lab.run(event)).toMatchObject(silent)
    const [first] = pids()
    writeFileSync(join(dir, 'lock'), JSON.stringify({ host: 'h', pid: first, start: '1' }))
    writeFileSync(join(dir, 'client.json'), '{}')
    const isGone = once(hook, 'exit')
    hook.kill('SIGKILL')
    await isGone
    // One that outlives its loop still serves.
    expect(lab.run(event)).toMatchObject(silent)
    expect(pids()).toHaveLength(1)
    process.kill(first!, 'SIGKILL')
    await expect
      .poll(() => {
        expect(lab.run(event)).toMatchObject(silent)
        return pids()
      })
      .toHaveLength(2)
    expect(existsSync(join(dir, 'client.json'))).toBe(true)
    // The one that it started is kept running like any other.
    process.kill(pids()[1]!, 'SIGKILL')
    await expect.poll(pids, { timeout: 10_000 }).toHaveLength(3)
    client.kill('SIGKILL')
    process.kill(loop(), 'SIGTERM')
    await expect.poll(() => existsSync(join(dir, 'loop')), { timeout: 10_000 }).toBe(false)
  })

  test('the sidecar takes the place of its shell, whose parent is the client', () => {
    const args = join(lab.root, 'args')
    writeFileSync(lab.sidecar, `require('node:fs').writeFileSync(${JSON.stringify(args)}, process.argv[3])`)
    lab.env = { PATH: lab.env.PATH! }
    expect(lab.run('SessionStart', { line: lab.lines('SessionStart')[1]! })).toMatchObject(silent)
    expect(readFileSync(args, 'utf8')).toBe(directory(process.pid))
  })
})
