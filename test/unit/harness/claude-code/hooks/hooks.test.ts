import { spawn, spawnSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { settingsHooks } from '../../../../../src/harness/claude-code/hooks/entries.ts'
import { hookScript } from '../../../../../src/harness/claude-code/hooks/script.ts'

/** Read from files beside the payloads of the real client, compact as it sends them. */
function payload(name: string): string {
  const path = new URL(`../../../../fixtures/claude-code/hooks/${name}.json`, import.meta.url)
  return JSON.stringify(JSON.parse(readFileSync(path, 'utf8')))
}

const PID = '4242'
const shells = ['dash', 'bash'].filter((shell) => spawnSync(shell, ['-c', 'exit 0']).status === 0)

let root: string
let home: string
let dir: string
let sidecar: string

beforeEach(() => {
  // A quote and a blank: paths of users hold such things.
  root = realpathSync(mkdtempSync(join(tmpdir(), "mesh hook's-")))
  home = join(root, 'home')
  dir = join(home, 'run', `cc-${PID}`)
  sidecar = join(root, 'sidecar.js')
  mkdirSync(join(home, 'hooks'), { recursive: true })
  mkdirSync(join(dir, 'spool'), { recursive: true })
  writeFileSync(join(home, 'hooks', 'claude-code.sh'), hookScript({ home, node: process.execPath, sidecar }))
})
afterEach(() => {
  rmSync(root, { recursive: true, force: true })
})

interface RunOptions {
  input?: string
  env?: Record<string, string>
  /** Put before the settings line. */
  before?: string
  line?: string
}

describe.each(shells)('hooks with %s', (shell) => {
  const lineOf = (event: string, at = 0) => settingsHooks(home)[event]![at]!.command

  /** `sh` is this shell, for the settings line and for the script that it runs with `sh`. */
  let sh: string
  let env: Record<string, string>

  beforeEach(() => {
    const bin = join(root, 'bin')
    mkdirSync(bin)
    sh = join(bin, 'sh')
    symlinkSync(spawnSync('sh', ['-c', `command -v ${shell}`], { encoding: 'utf8' }).stdout.trim(), sh)
    env = { PATH: `${bin}:${process.env.PATH}`, CLAUDE_PID: PID }
  })

  /** As the client does it: the settings line is a command of `sh -c`. */
  function run(event: string, options: RunOptions = {}) {
    const { input = payload(event), before = '', line = lineOf(event) } = options
    return spawnSync(sh, ['-c', `${before}${line}`], {
      input,
      encoding: 'utf8',
      cwd: root,
      env: { ...env, ...options.env },
    })
  }
  const silent = { status: 0, stdout: '', stderr: '' }
  const spooled = () => readdirSync(join(dir, 'spool'))

  test.each(['UserPromptSubmit', 'Stop', 'StopFailure', 'SessionEnd'])('%s goes into the spool, as it is', (event) => {
    expect(run(event)).toMatchObject(silent)
    const [name, ...rest] = spooled()
    expect(rest).toEqual([])
    expect(name).toMatch(new RegExp(`^${event}-\\d+\\.json$`))
    expect(readFileSync(join(dir, 'spool', name!), 'utf8')).toBe(payload(event))
    expect(statSync(join(dir, 'spool', name!)).mode & 0o777).toBe(0o600)
  })

  test('a large event goes through whole; one over the limit is cut', () => {
    const input = `${'x'.repeat(1_000_000)}\n`
    expect(run('Stop', { input })).toMatchObject(silent)
    expect(statSync(join(dir, 'spool', spooled()[0]!)).size).toBe(input.length)
    rmSync(join(dir, 'spool', spooled()[0]!))
    expect(run('Stop', { input: 'x'.repeat(6_000_000) })).toMatchObject({ stdout: '', stderr: '' })
    expect(statSync(join(dir, 'spool', spooled()[0]!)).size).toBe(4 * 1024 * 1024)
  })

  test('a spool over its limit gets a mark instead of the event', () => {
    for (let i = 0; i < 4; i++) writeFileSync(join(dir, 'spool', `Stop-${i}.json`), 'x'.repeat(4_300_000))
    expect(run('Stop')).toMatchObject(silent)
    expect(spooled().toSorted()).toEqual(['Stop-0.json', 'Stop-1.json', 'Stop-2.json', 'Stop-3.json', 'overflow'])
  })

  const all = ['UserPromptSubmit', 'PostToolBatch', 'Stop', 'StopFailure', 'SessionEnd', 'SessionStart', 'FileChanged']
  describe.each(all)('%s never disturbs the session', (event) => {
    const lines = () => settingsHooks(home)[event]!.map(({ command }) => command)
    const expectSilence = (options: RunOptions = {}) => {
      for (const line of lines()) expect(run(event, { ...options, line })).toMatchObject(silent)
    }

    test('with the script gone', () => {
      rmSync(join(home, 'hooks'), { recursive: true })
      expectSilence()
    })
    test('with the mesh home gone', () => {
      rmSync(home, { recursive: true })
      expectSilence()
      expect(existsSync(home)).toBe(false)
    })
    test('with the run directory gone', () => {
      rmSync(join(home, 'run'), { recursive: true })
      expectSilence()
      expect(existsSync(join(home, 'run'))).toBe(false)
    })
    test('with a file in place of the run directory', () => {
      rmSync(join(home, 'run'), { recursive: true })
      writeFileSync(join(home, 'run'), '')
      expectSilence()
    })
    test('with another mesh home that is not there', () => {
      expectSilence({ env: { MESH_HOME: join(root, 'nowhere') } })
      expect(spooled()).toEqual([])
    })
    test('with no variable set', () => {
      expectSilence({ before: 'unset CLAUDE_PID MESH_HOME HOME; ' })
      expect(spooled()).toEqual([])
      expect(readdirSync(root).toSorted()).toEqual(['bin', 'home'])
    })
    test('with nonsense for a process id', () => {
      expectSilence({ env: { CLAUDE_PID: '../../x' } })
      expect(spooled()).toEqual([])
    })
    test('with no space left for files', () => {
      writeFileSync(join(dir, 'mail'), '"words"')
      writeFileSync(join(dir, 'loop'), String(process.pid))
      for (const line of lines().slice(0, 1)) {
        const { status, stderr } = run(event, { line, before: 'ulimit -f 0; ' })
        expect([status, stderr]).toEqual([0, ''])
      }
      expect(spooled().filter((name) => name.endsWith('.t'))).toEqual([])
    })
  })

  test('a full disk loses the event and nothing else', ({ skip }) => {
    const spool = join(dir, 'spool')
    const script = `mount -t tmpfs -o size=64k tmpfs "$0" && head -c 65536 /dev/zero >"$0/fill"; H=1; ${lineOf('Stop')}`
    const mounted = spawnSync('unshare', ['-m', 'sh', '-c', 'mount -t tmpfs tmpfs "$0"', spool])
    if (mounted.status !== 0) skip('no mount namespaces here')
    const line = script.replace(/; exit 0 # mesh$/, '; echo "exit $?"; ls "$0"; exit 0 # mesh')
    const result = spawnSync('unshare', ['-m', sh, '-c', line, spool], {
      input: payload('Stop'),
      encoding: 'utf8',
      env,
    })
    expect(result).toMatchObject({ status: 0, stdout: 'exit 0\nfill\n' })
  })

  const context = (event: string, text: string) =>
    `${JSON.stringify({ hookSpecificOutput: { hookEventName: event, additionalContext: text } })}\n`
  const mail = 'two\nlines "quoted" ✓'

  test.each(['PostToolBatch', 'Stop'])('%s gives waiting mail to the model, once', (event) => {
    writeFileSync(join(dir, 'mail'), JSON.stringify(mail))
    expect(run(event)).toMatchObject({ ...silent, stdout: context(event, mail) })
    // The turn goes on, so there was no Stop.
    expect(spooled()).toEqual([expect.stringMatching(/^MailTaken-\d+\.json$/)])
    expect(existsSync(join(dir, 'mail'))).toBe(false)
    expect(run('PostToolBatch')).toMatchObject(silent)
  })

  test('a MESH_HOME counts if it is absolute: the client changes directories', () => {
    const other = join(root, 'other')
    for (const at of [other, join(root, 'relative')]) {
      mkdirSync(join(at, 'run', `cc-${PID}`, 'spool'), { recursive: true })
      writeFileSync(join(at, 'run', `cc-${PID}`, 'mail'), JSON.stringify(at))
    }
    writeFileSync(join(dir, 'mail'), JSON.stringify(mail))
    const relative = { MESH_HOME: 'relative' }
    expect(run('PostToolBatch', { env: relative }).stdout).toBe(context('PostToolBatch', mail))
    expect(run('PostToolBatch', { env: relative })).toMatchObject(silent)
    expect(run('PostToolBatch', { env: { MESH_HOME: other } }).stdout).toBe(context('PostToolBatch', other))
    expect(run('UserPromptSubmit', { env: relative })).toMatchObject(silent)
    expect(
      spooled()
        .map((name) => name.replace(/-.*/, ''))
        .toSorted(),
    ).toEqual(['MailTaken', 'UserPromptSubmit'])
  })

  test('UserPromptSubmit gives what mesh itself left, once, and mail before it', () => {
    const [mail, left] = ['mail', 'left']
    writeFileSync(join(dir, 'left'), JSON.stringify(left))
    writeFileSync(join(dir, 'mail'), JSON.stringify(mail))
    expect(run('UserPromptSubmit')).toMatchObject({ ...silent, stdout: context('UserPromptSubmit', mail) })
    expect(run('UserPromptSubmit')).toMatchObject({ ...silent, stdout: context('UserPromptSubmit', left) })
    expect(run('UserPromptSubmit')).toMatchObject(silent)
    expect(readdirSync(dir).filter((name) => /left|taken/.test(name))).toEqual([])
  })

  test('UserPromptSubmit takes waiting mail along, after its event', () => {
    writeFileSync(join(dir, 'mail'), JSON.stringify(mail))
    expect(run('UserPromptSubmit')).toMatchObject({ ...silent, stdout: context('UserPromptSubmit', mail) })
    expect(
      spooled()
        .map((name) => name.replace(/-.*/, ''))
        .toSorted(),
    ).toEqual(['MailTaken', 'UserPromptSubmit'])
    expect(run('UserPromptSubmit')).toMatchObject(silent)
  })

  describe('FileChanged', () => {
    const wake = () => join(dir, 'wake')

    test('gives the text to the client and asks for the wake, once', () => {
      writeFileSync(wake(), mail)
      expect(run('FileChanged')).toMatchObject({ status: 2, stdout: '', stderr: mail })
      expect(spooled()).toEqual([expect.stringMatching(/^MailTaken-\d+\.json$/)])
      expect(existsSync(wake())).toBe(false)
      expect(run('FileChanged')).toMatchObject(silent)
    })

    test("a change of another's file is nothing, also with mail for the next prompt", () => {
      writeFileSync(join(dir, 'mail'), JSON.stringify(mail))
      expect(run('FileChanged', { input: '' })).toMatchObject(silent)
      expect(spooled()).toEqual([])
      expect(existsSync(join(dir, 'mail'))).toBe(true)
    })

    test('with the script broken it is silent, mail or not', () => {
      writeFileSync(wake(), mail)
      for (const text of ['exit 2\n', 'exit 1\n', '. /nowhere/gone\n', 'if\n', '']) {
        writeFileSync(join(home, 'hooks', 'claude-code.sh'), text)
        expect(run('FileChanged')).toMatchObject(silent)
      }
      rmSync(join(home, 'hooks'), { recursive: true })
      expect(run('FileChanged')).toMatchObject(silent)
    })

    test('of many takers one wakes the session', async () => {
      writeFileSync(wake(), mail)
      const takers = Array.from({ length: 12 }, () => {
        const child = spawn(sh, ['-c', lineOf('FileChanged')], { env, stdio: ['ignore', 'inherit', 'pipe'] })
        let output = ''
        child.stderr.on('data', (chunk) => (output += String(chunk)))
        return new Promise((resolve) => child.once('close', (code) => resolve([code, output])))
      })
      const outcomes = await Promise.all(takers)
      expect(outcomes.filter((outcome) => JSON.stringify(outcome) !== '[0,""]')).toEqual([[2, mail]])
    })

    test('does not wait', () => {
      const [entry] = settingsHooks(home).FileChanged!
      expect(entry).toMatchObject({ asyncRewake: true })
      expect(hookScript({ home, node: 'node', sidecar })).toMatch(/FileChanged\)\n {2}wake\n/)
    })
  })

  describe('a client that does not tell its process id is the parent of the line', () => {
    const own = () => join(home, 'run', `cc-${process.pid}`)
    const unnamed = (event: string, line = lineOf(event)) => {
      const { CLAUDE_PID: _, ...rest } = env
      return spawnSync(sh, ['-c', line], { input: payload(event), encoding: 'utf8', cwd: root, env: rest })
    }
    beforeEach(() => {
      mkdirSync(join(own(), 'spool'), { recursive: true })
    })

    test.each(['UserPromptSubmit', 'Stop', 'StopFailure', 'SessionEnd'])('%s', (event) => {
      expect(unnamed(event)).toMatchObject(silent)
      expect(readdirSync(join(own(), 'spool'))).toEqual([expect.stringMatching(`^${event}-`)])
    })
    test.each(['PostToolBatch', 'Stop', 'UserPromptSubmit'])('%s with mail', (event) => {
      writeFileSync(join(own(), 'mail'), JSON.stringify(mail))
      expect(unnamed(event).stdout).toBe(context(event, mail))
    })
    test('FileChanged', () => {
      writeFileSync(join(own(), 'wake'), mail)
      expect(unnamed('FileChanged')).toMatchObject({ status: 2, stderr: mail })
    })
    test('the sidecar, which takes the place of its shell', () => {
      const args = join(root, 'args')
      writeFileSync(sidecar, `require('node:fs').writeFileSync(${JSON.stringify(args)}, process.argv[3])`)
      expect(unnamed('SessionStart', settingsHooks(home).SessionStart![1]!.command)).toMatchObject(silent)
      expect(readFileSync(args, 'utf8')).toBe(own())
    })
  })

  test('PostToolBatch without mail leaves no trace', () => {
    expect(run('PostToolBatch')).toMatchObject(silent)
    expect(spooled()).toEqual([])
  })

  test("a subagent's PostToolBatch leaves the mail", () => {
    writeFileSync(join(dir, 'mail'), '"words"')
    expect(run('PostToolBatch', { input: payload('PostToolBatch.in-subagent') })).toMatchObject(silent)
    expect(existsSync(join(dir, 'mail'))).toBe(true)
  })

  test("a subagent's Stop leaves the mail, and is spooled", () => {
    writeFileSync(join(dir, 'mail'), '"words"')
    const event = { ...JSON.parse(payload('Stop')), agent_id: 'a1', agent_type: 'general-purpose' }
    expect(run('Stop', { input: JSON.stringify(event) })).toMatchObject(silent)
    expect(existsSync(join(dir, 'mail'))).toBe(true)
    expect(spooled()).toHaveLength(1)
    expect(JSON.parse(readFileSync(join(dir, 'spool', spooled()[0]!), 'utf8'))).toEqual(event)
  })

  test('last words that speak of agents are no subagent’s', () => {
    writeFileSync(join(dir, 'mail'), JSON.stringify('words'))
    const event = { ...JSON.parse(payload('Stop')), last_assistant_message: '{"agent_id": "a1"}' }
    expect(run('Stop', { input: JSON.stringify(event) }).stdout).toBe(context('Stop', 'words'))
  })

  test('tool output that speaks of agents is not a subagent', () => {
    writeFileSync(join(dir, 'mail'), JSON.stringify('words'))
    const event = JSON.parse(payload('PostToolBatch')) as { cwd: string; tool_calls: object[] }
    event.cwd = '/home/dev/"agent_id"'
    event.tool_calls.push({ agent_id: 'x', tool_response: `"agent_id" ${'y'.repeat(500_000)}` })
    expect(run('PostToolBatch', { input: JSON.stringify(event) }).stdout).toBe(context('PostToolBatch', 'words'))
  })

  test('of many takers one gets the mail', async () => {
    writeFileSync(join(dir, 'mail'), JSON.stringify('words'))
    const takers = Array.from({ length: 12 }, () => {
      const child = spawn(sh, ['-c', lineOf('PostToolBatch')], { env, stdio: ['ignore', 'pipe', 'inherit'] })
      let output = ''
      child.stdout.on('data', (chunk) => (output += String(chunk)))
      return new Promise<string>((resolve) => child.once('close', () => resolve(output)))
    })
    const outputs = await Promise.all(takers)
    expect(outputs.filter((output) => output !== '')).toEqual([context('PostToolBatch', 'words')])
    expect(spooled()).toHaveLength(1)
  })

  describe('SessionStart', () => {
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

    test('waits for the answer to its own event and prints it; tells shells where the sidecar is', async () => {
      writeFileSync(sidecar, answering)
      rmSync(dir, { recursive: true })
      const envFile = join(root, 'env.sh')
      const [start, side] = settingsHooks(home).SessionStart!
      env = { ...env, CLAUDE_PID: String(process.pid), NODE_OPTIONS: '--no-warnings' }
      const hook = spawn(sh, ['-c', side!.command], { env, stdio: ['pipe', 'pipe', 'pipe'] })
      const ended = new Promise<number | null>((resolve) => hook.once('close', (code) => resolve(code)))
      const result = run('SessionStart', { line: start!.command, env: { CLAUDE_ENV_FILE: envFile } })
      expect(result).toMatchObject({ ...silent, stdout: `${home} clean\n` })
      const asked = `. "$0"; echo "$MESH_HOME $MESH_SESSION"`
      const seenBy = (more: object) =>
        spawnSync(sh, ['-c', asked, envFile], { encoding: 'utf8', env: { PATH: env.PATH, ...more } })
      expect(seenBy({}).stdout).toBe(`${home} cc-${process.pid}\n`)
      expect(seenBy({ CLAUDE_PID: '7' }).stdout).toBe(`${home} cc-7\n`)
      rmSync(envFile)
      writeFileSync(join(home, 'run', `cc-${process.pid}`, 'failed'), '')
      run('SessionStart', { line: start!.command, env: { CLAUDE_ENV_FILE: envFile, MESH_HOME: 'relative' } })
      expect(seenBy({ MESH_HOME: 'relative' }).stdout).toBe(`${home} cc-${process.pid}\n`)
      expect(await ended).toBe(0)
    })

    test('does not wait for a sidecar that cannot run', async () => {
      writeFileSync(sidecar, 'process.exit(3)')
      const [start, side] = settingsHooks(home).SessionStart!
      const client = spawn('sleep', ['60'])
      env.CLAUDE_PID = String(client.pid)
      const hook = spawn(sh, ['-c', side!.command], { env, stdio: 'ignore' })
      const failed = join(home, 'run', `cc-${client.pid}`, 'failed')
      await expect.poll(() => existsSync(failed), { timeout: 10_000 }).toBe(true)
      const slept = join(root, 'slept')
      const stub = '#!/bin/sh\necho "$1" >>"$(dirname "$0")/../slept"; exec /bin/sleep "$1"'
      writeFileSync(join(root, 'bin', 'sleep'), stub, { mode: 0o755 })
      expect(run('SessionStart', { line: start!.command })).toMatchObject(silent)
      const waits = existsSync(slept)
        ? readFileSync(slept, 'utf8')
            .split('\n')
            .filter((time) => time === '0.02')
        : []
      // For a sidecar that is starting it looks 150 times.
      expect(waits.length).toBeLessThan(100)
      client.kill('SIGKILL')
      hook.kill('SIGTERM')
      await new Promise((resolve) => hook.once('close', resolve))
    })

    test('the sidecar is started again after a crash, not after it is done, and ended with its hook', async () => {
      const starts = join(root, 'starts')
      writeFileSync(
        sidecar,
        `const fs = require('node:fs'); fs.appendFileSync(${JSON.stringify(starts)}, process.pid + '\\n')
         process.on('SIGTERM', () => process.exit(0)); setInterval(() => {}, 1000)`,
      )
      const pids = () => (existsSync(starts) ? readFileSync(starts, 'utf8').trim().split('\n').map(Number) : [])
      const client = spawn('sleep', ['60'])
      env.CLAUDE_PID = String(client.pid)
      const side = settingsHooks(home).SessionStart![1]!.command
      const hook = spawn(sh, ['-c', side], { env, stdio: ['ignore', 'pipe', 'pipe'] })
      let output = ''
      for (const stream of [hook.stdout, hook.stderr]) stream.on('data', (chunk) => (output += String(chunk)))
      const ended = new Promise<number | null>((resolve) => hook.once('close', (code) => resolve(code)))
      await expect.poll(pids, { timeout: 10_000 }).toHaveLength(1)
      process.kill(pids()[0]!, 'SIGKILL')
      await expect.poll(pids, { timeout: 10_000 }).toHaveLength(2)
      // A second SessionStart of the same client, as by /clear.
      expect(spawnSync(sh, ['-c', side], { env }).status).toBe(0)
      expect(pids()).toHaveLength(2)
      hook.kill('SIGTERM')
      expect(await ended).toBe(0)
      expect(() => process.kill(pids()[1]!, 0)).toThrow()
      expect(output).toBe('')
      client.kill('SIGKILL')
    })
  })
})

test('both shells are here', () => {
  expect(shells).toEqual(['dash', 'bash'])
})
