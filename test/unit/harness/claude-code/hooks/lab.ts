/** Runs the lines of the hooks as the client does, once with each shell as the `sh` that line and script find. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, test } from 'vitest'
import { settingsHooks } from '../../../../../src/harness/claude-code/hooks/entries.ts'
import { hookScript } from '../../../../../src/harness/claude-code/hooks/script.ts'

export const PID = '4242'
export const silent = { status: 0, stdout: '', stderr: '' }

interface Shell {
  name: string
  /** What `sh` is: bash then is the POSIX mode that macOS has for one, zsh emulates sh. */
  program: string
  /** The line of the settings is run by the shell under its own name, with this flag, which spares it people's own files. */
  asItself?: string
}

const shells: Shell[] = [
  { name: 'dash', program: 'dash' },
  { name: 'bash as sh', program: 'bash' },
  { name: 'bash', program: 'bash', asItself: '--norc' },
  { name: 'zsh as sh', program: 'zsh' },
  { name: 'zsh', program: 'zsh', asItself: '-f' },
  { name: 'busybox', program: 'busybox' },
]

/** Returns an event's input, read from files beside the payloads of the real client, compact as it sends them. */
export function payload(name: string): string {
  const path = new URL(`../../../../fixtures/claude-code/hooks/${name}.json`, import.meta.url)
  return JSON.stringify(JSON.parse(readFileSync(path, 'utf8')))
}

/** Returns what a hook prints that gives the model a text. */
export function context(event: string, text: string): string {
  return `${JSON.stringify({ hookSpecificOutput: { hookEventName: event, additionalContext: text } })}\n`
}

/** Describes tests for each shell. One that is not installed is a skipped test that says so. */
export function describeEachShell(title: string, tests: (lab: HookLab) => void): void {
  for (const shell of shells) {
    const path = spawnSync('sh', ['-c', `command -v ${shell.program}`], { encoding: 'utf8' }).stdout.trim()
    if (path === '') {
      test(`${title} - with ${shell.name}`, ({ skip }) => skip(`${shell.program} is not installed`))
      continue
    }
    describe(`${title} - with ${shell.name}`, () => {
      const lab = new HookLab(path, shell)
      beforeEach(() => lab.setUp())
      afterEach(() => lab.tearDown())
      tests(lab)
    })
  }
}

interface RunOptions {
  input?: string
  env?: Record<string, string>
  /** Put before the line. */
  before?: string
  line?: string
}

/** A mesh home with the hook script, and a client's environment. */
export class HookLab {
  root = ''
  home = ''
  /** The directory of the session that is process `PID`. */
  dir = ''
  sidecar = ''
  env: Record<string, string> = {}
  /** The shell that runs lines. */
  sh = ''
  readonly #path: string
  readonly #shell: Shell

  constructor(path: string, shell: Shell) {
    this.#path = path
    this.#shell = shell
  }

  get name(): string {
    return this.#shell.name
  }

  setUp(): void {
    // A quote and a blank: paths of users hold such things.
    this.root = realpathSync(mkdtempSync(join(tmpdir(), "mesh hook's-")))
    this.home = join(this.root, 'home')
    this.dir = join(this.home, 'run', `cc-${PID}`)
    this.sidecar = join(this.root, 'sidecar.js')
    mkdirSync(join(this.home, 'hooks'), { recursive: true })
    mkdirSync(join(this.dir, 'spool'), { recursive: true })
    const script = hookScript({ home: this.home, node: process.execPath, sidecar: this.sidecar })
    writeFileSync(join(this.home, 'hooks', 'claude-code.sh'), script)
    const bin = join(this.root, 'bin')
    mkdirSync(bin)
    symlinkSync(this.#path, join(bin, 'sh'))
    this.sh = this.#shell.asItself ? this.#path : join(bin, 'sh')
    this.env = { PATH: `${bin}:${process.env.PATH}`, CLAUDE_PID: PID }
  }

  tearDown(): void {
    rmSync(this.root, { recursive: true, force: true })
  }

  /** Returns the shell's arguments that run a line. */
  args(line: string, ...more: string[]): string[] {
    return [...(this.#shell.asItself ? [this.#shell.asItself] : []), '-c', line, ...more]
  }

  /** Returns the lines that the settings have for an event. */
  lines(event: string): string[] {
    return settingsHooks(this.home)[event]!.map(({ command }) => command)
  }

  /** Runs a line to its end; without one, the first of the event. */
  run(event: string, options: RunOptions = {}) {
    const { input = payload(event), before = '', line = this.lines(event)[0]! } = options
    const env = { ...this.env, ...options.env }
    return spawnSync(this.sh, this.args(`${before}${line}`), { input, encoding: 'utf8', cwd: this.root, env })
  }

  /** Runs a line as a user who has no process left to start; root, whom no limit binds, as `nobody`. */
  runWithoutForks(line: string) {
    chmodSync(this.root, 0o755)
    const user = process.getuid!() === 0 ? { uid: 65_534, gid: 65_534 } : {}
    const args = ['-c', 'ulimit -u 1; exec "$0" "$@"', this.sh, ...this.args(line)]
    return spawnSync('bash', args, { input: '{}', encoding: 'utf8', cwd: '/', env: this.env, ...user })
  }

  /** Starts a line with nothing on its input; `output` is the stream that is read. */
  start(
    line: string,
    output: 'stdout' | 'stderr',
  ): { hook: ChildProcess; ended: Promise<{ code: number; text: string }> } {
    const hook = spawn(this.sh, this.args(line), { env: this.env, stdio: ['ignore', 'pipe', 'pipe'] })
    let text = ''
    hook[output].on('data', (chunk) => (text += String(chunk)))
    return { hook, ended: new Promise((resolve) => hook.once('close', (code) => resolve({ code: code ?? -1, text }))) }
  }

  /** Returns the names of what lies in the spool, in order. */
  spooled(): string[] {
    return readdirSync(join(this.dir, 'spool')).toSorted()
  }

  /** Returns the events that lie in the spool, in order. */
  events(): string[] {
    return this.spooled().map((name) => name.replace(/-.*/, ''))
  }

  put(name: string, text: string): void {
    writeFileSync(join(this.dir, name), text)
  }
}
