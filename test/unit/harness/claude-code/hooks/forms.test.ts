/** Hooks in the settings and in a plugin at once: in each client's life those that come first do all the work. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { pluginHooks, settingsHooks } from '../../../../../src/harness/claude-code/hooks/entries.ts'
import { hookScript } from '../../../../../src/harness/claude-code/hooks/script.ts'

let root: string
let home: string
let client: ChildProcess
let dir: string

beforeEach(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), "mesh form's-")))
  home = join(root, 'home')
  for (const name of ['hooks', 'run']) mkdirSync(join(home, name), { recursive: true })
  const sidecar = join(root, 'sidecar.js')
  // Stands for the sidecar: says that it runs, answers every start once, and ends with its client.
  writeFileSync(
    sidecar,
    `const fs = require('node:fs'), dir = process.argv[3]
     fs.appendFileSync(${JSON.stringify(join(root, 'starts'))}, process.pid + '\\n')
     setInterval(() => {
       try { process.kill(Number(dir.split('cc-')[1]), 0) } catch { process.exit(0) }
       for (const name of fs.readdirSync(dir + '/spool')) {
         if (!/^SessionStart-\\d+\\.json$/.test(name)) continue
         fs.rmSync(dir + '/spool/' + name)
         fs.writeFileSync(dir + '/start/.new', 'welcome\\n')
         fs.renameSync(dir + '/start/.new', dir + '/start/' + name.slice(0, -5))
       }
     }, 5)`,
  )
  writeFileSync(join(home, 'hooks', 'claude-code.sh'), hookScript({ home, node: process.execPath, sidecar }))
  client = spawn('sleep', ['60'])
  dir = join(home, 'run', `cc-${client.pid}`)
})
afterEach(async () => {
  client.kill('SIGKILL')
  await Promise.all(running.splice(0).map(({ ended }) => ended))
  rmSync(root, { recursive: true, force: true })
})

type Hooks = ReturnType<typeof settingsHooks>
const running: { ended: Promise<void> }[] = []

/** Runs all lines of an event at once, as the client does; gives what the synchronous ones printed. */
async function fire(event: string, ...forms: Hooks[]): Promise<string[]> {
  const env = { PATH: process.env.PATH, CLAUDE_PID: String(client.pid) }
  const started = forms
    .flatMap((hooks) => hooks[event]!)
    .map(({ command, async }) => {
      const child = spawn('sh', ['-c', command], { env, stdio: ['pipe', 'pipe', 'pipe'] })
      child.stdin.on('error', () => {}).end('{}')
      let output = ''
      for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += String(chunk)))
      const ended = new Promise<string>((resolve) =>
        child.once('close', (code) => resolve(code === 0 ? output : `${code}`)),
      )
      if (async) running.push({ ended: ended.then(() => {}) })
      return { async, ended }
    })
  return Promise.all(started.filter(({ async }) => !async).map(({ ended }) => ended))
}

const spooled = (event: string) => readdirSync(join(dir, 'spool')).filter((name) => name.startsWith(`${event}-`))
const starts = () => readFileSync(join(root, 'starts'), 'utf8').trim().split('\n')
const said = (outputs: string[]) => outputs.filter((output) => output !== '')

test('a sidecar starts also where its last words cannot be kept, as on a full disk', async () => {
  mkdirSync(join(dir, 'stderr'), { recursive: true })
  expect(await fire('SessionStart', settingsHooks(home))).toContain('welcome\n')
})

test('both forms at once - one sidecar, one start text, one of each event', async () => {
  const forms = [settingsHooks(home), pluginHooks(home)]
  expect(said(await fire('SessionStart', ...forms))).toEqual(['welcome\n'])
  expect(starts()).toHaveLength(1)
  for (const event of ['UserPromptSubmit', 'Stop', 'StopFailure', 'SessionEnd']) {
    expect(said(await fire(event, ...forms))).toEqual([])
    expect(spooled(event)).toHaveLength(1)
  }
  writeFileSync(join(dir, 'mail'), '"words"')
  expect(said(await fire('Stop', ...forms))).toHaveLength(1)
  // The mail went on with the turn: nobody says that it stopped.
  expect(spooled('Stop')).toHaveLength(1)
  writeFileSync(join(dir, 'mail'), '"words"')
  expect(said(await fire('PostToolBatch', ...forms))).toHaveLength(1)
  // As after /clear.
  expect(said(await fire('SessionStart', ...forms))).toEqual(['welcome\n'])
  expect(starts()).toHaveLength(1)
})

describe.each([
  ['settings', settingsHooks],
  ['plugin', pluginHooks],
])('only the %s', (form, hooksOf) => {
  test('they do the work, also in a directory that another client of that pid left', async () => {
    mkdirSync(join(dir, 'spool'), { recursive: true })
    writeFileSync(join(dir, 'form'), form === 'plugin' ? 'settings\n' : 'plugin\n')
    writeFileSync(join(dir, 'form-17'), form === 'plugin' ? 'settings\n' : 'plugin\n')
    expect(said(await fire('SessionStart', hooksOf(home)))).toEqual(['welcome\n'])
    await fire('Stop', hooksOf(home))
    expect(spooled('Stop')).toHaveLength(1)
  })

  test('on a system without /proc', async () => {
    const script = join(home, 'hooks', 'claude-code.sh')
    writeFileSync(script, readFileSync(script, 'utf8').replace('/proc/$pid/stat', '/nowhere/stat'))
    expect(said(await fire('SessionStart', hooksOf(home)))).toEqual(['welcome\n'])
    expect(readdirSync(dir).filter((name) => name.startsWith('form-'))).toEqual([expect.stringMatching(/^form-\w+$/)])
  })
})

test('a plugin without a fixed mesh home finds the one that MESH_HOME or the platform names', () => {
  const line = pluginHooks(null).UserPromptSubmit![0]!.command
  for (const [env, at] of [
    [{ MESH_HOME: home }, home],
    [{ HOME: root, XDG_STATE_HOME: join(root, 'state') }, join(root, 'state', 'mesh')],
    [{ HOME: root, MESH_HOME: 'relative' }, join(root, '.local', 'state', 'mesh')],
  ] as const) {
    for (const gone of ['.local', 'state']) rmSync(join(root, gone), { recursive: true, force: true })
    mkdirSync(join(at, 'hooks'), { recursive: true })
    writeFileSync(join(at, 'hooks', 'claude-code.sh'), 'echo "$0 $3"')
    const { status, stdout } = spawnSync('sh', ['-c', line], {
      encoding: 'utf8',
      env: { PATH: process.env.PATH, ...env },
    })
    expect([status, stdout]).toEqual([0, `${join(at, 'hooks', 'claude-code.sh')} plugin\n`])
  }
})

test('without Node, and with a Node that cannot run it, the session goes on at once and says why it did not join', async () => {
  const script = join(home, 'hooks', 'claude-code.sh')
  for (const node of ['/gone/node', '/bin/false']) {
    writeFileSync(
      script,
      readFileSync(script, 'utf8')
        .replace(/^node=.*/m, `node=${node}`)
        // And no other one anywhere.
        .replace(/for node in [^;]*;/, 'for node in "$installed_node";'),
    )
    const begun = performance.now()
    expect(said(await fire('SessionStart', settingsHooks(home)))).toEqual([
      expect.stringContaining('this session did not join'),
    ])
    expect(existsSync(join(dir, 'failed'))).toBe(true)
    expect(said(await fire('SessionStart', settingsHooks(home))), 'said once').toEqual([])
    rmSync(dir, { recursive: true })
    console.log(`SessionStart with ${node}: ${Math.round(performance.now() - begun)} ms`)
  }
})

test('a plugin that the client fetched by itself makes the script where mesh is, and is silent where it is not', () => {
  const plugin = fileURLToPath(new URL('../../../../../plugin', import.meta.url))
  const bin = join(root, 'bin')
  mkdirSync(bin)
  const copy = join(root, 'cache', 'mesh', 'plugin')
  cpSync(plugin, copy, { recursive: true })
  const start = () => {
    const env = { HOME: root, PATH: `${bin}:/usr/bin:/bin`, CLAUDE_PLUGIN_ROOT: copy, CLAUDE_PID: String(client.pid) }
    return pluginHooks(null).SessionStart!.map(({ command }) => {
      const { status, stdout, stderr } = spawnSync('sh', ['-c', command], {
        encoding: 'utf8',
        env: { ...env, MESH_HOME: home },
      })
      return [status, stdout, stderr]
    })
  }
  const silent = [0, '', '']
  rmSync(join(home, 'hooks'), { recursive: true })
  expect(start()).toEqual([silent, silent])
  const said = `mkdir "${home}/hooks" && echo 'echo "$*"' >"${home}/hooks/claude-code.sh"; echo "$*"`
  writeFileSync(join(bin, 'mesh'), `#!/bin/sh\n[ "$*" = 'install --script' ] && ${said}\n`, { mode: 0o755 })
  expect(start()).toEqual([
    [0, `SessionStart ${client.pid} plugin\n`, ''],
    [0, `sidecar ${client.pid} plugin\n`, ''],
  ])
})
