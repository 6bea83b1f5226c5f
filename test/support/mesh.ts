/** Black-box tests: the built command on a mesh home of its own, and proof that nothing of it is left afterwards. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from 'node:fs'
import { request } from 'node:http'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Space } from './lab/space.ts'

export const meshBin = fileURLToPath(new URL('../../bin/mesh.js', import.meta.url))

const SESSION = /^(CLAUDE|ANTHROPIC|MESH_|NODE_OPTIONS|VITEST)/
const POLL_MS = 50
/** Ten times what ends within a second on an idle machine, and more for a loaded one. */
const PATIENCE_MS = 30_000
const LEFTOVER_MS = 10_000

// biome-ignore lint/suspicious/noExplicitAny: tests look into whatever a command printed
type Json = any

export interface RunOptions {
  /** The operator to act as. */
  as?: string
  env?: Record<string, string>
  input?: string | Uint8Array
  cwd?: string
  /** Another build's command. */
  bin?: string
  /** The process space that it runs in. */
  space?: Space
}

export interface Finished {
  code: number | null
  signal: NodeJS.Signals | null
  stdout: string
  stderr: string
  /** Standard output as one JSON value. Throws if it is none. */
  readonly json: Json
  /** Standard output as JSON lines. */
  readonly jsonLines: Json[]
  /** The `error` of standard error's last line. */
  readonly error: { code: string; message: string; hint: string }
}

/** A command that runs while the test goes on. */
export interface Running {
  readonly child: ChildProcess
  readonly stdout: string
  readonly stderr: string
  /** Resolves with the first match in standard output. */
  sees(pattern: RegExp): Promise<RegExpExecArray>
  finished: Promise<Finished>
}

export class TestMesh {
  readonly root: string
  readonly home: string
  readonly project: string
  /** A working directory that is no repository. */
  readonly cwd: string
  #engine: string | undefined
  #running = new Set<ChildProcess>()

  constructor(project = 'e2e') {
    // Real, because command lines are searched for it.
    this.root = realpathSync(mkdtempSync(join(tmpdir(), 'mesh-e2e-')))
    this.home = join(this.root, 'mesh')
    this.cwd = join(this.root, 'work')
    this.project = project
    mkdirSync(this.cwd)
    mkdirSync(join(this.root, 'home'))
  }

  /** The environment of a plain shell of this mesh. */
  env(options: RunOptions = {}): Record<string, string> {
    const kept = Object.entries(process.env).filter(([key]) => !SESSION.test(key)) as [string, string][]
    this.#engine ??= testEngine()
    return {
      ...Object.fromEntries(kept),
      HOME: join(this.root, 'home'),
      NO_COLOR: '1',
      MESH_HOME: this.home,
      MESH_PROJECT: this.project,
      MESH_ENGINE: this.#engine,
      MESH_NAME: options.as ?? 'tester',
      ...options.env,
    }
  }

  /** Starts the command. */
  start(args: string[], options: RunOptions = {}): Running {
    const argv = [process.execPath, options.bin ?? meshBin, ...args]
    const [command, ...rest] = options.space?.wrap(argv) ?? argv
    const child = spawn(command!, rest, {
      cwd: options.cwd ?? this.cwd,
      env: this.env(options),
      stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    })
    this.#running.add(child)
    const out = { stdout: '', stderr: '' }
    for (const name of ['stdout', 'stderr'] as const) {
      child[name]!.setEncoding('utf8').on('data', (text: string) => (out[name] += text))
    }
    // The command may refuse its input half-way.
    child.stdin?.on('error', () => {}).end(options.input)
    const finished = once(child, 'close').then(() => {
      this.#running.delete(child)
      return finish(child, out.stdout, out.stderr)
    })
    return {
      child,
      finished,
      get stdout() {
        return out.stdout
      },
      get stderr() {
        return out.stderr
      },
      sees: (pattern) => eventually(() => pattern.exec(out.stdout), `${args.join(' ')} to print ${pattern}`),
    }
  }

  /** Starts the installed hook script of Claude Code for the client `pid`. */
  startHook(event: string, pid: number, options: RunOptions = {}): ChildProcess {
    const args = [join(this.home, 'hooks', 'claude-code.sh'), event, String(pid)]
    const child = spawn('sh', args, { cwd: this.cwd, env: this.env(options), stdio: ['ignore', 'pipe', 'ignore'] })
    this.#running.add(child)
    child.once('close', () => this.#running.delete(child))
    return child
  }

  /** Runs the command to its end. */
  run(args: string[], options: RunOptions = {}): Promise<Finished> {
    return this.start(args, options).finished
  }

  /** Runs the command with `--json`; throws unless it exits with 0. */
  async json(args: string[], options: RunOptions = {}): Promise<Json> {
    const end = args.indexOf('--')
    const withJson = end < 0 ? [...args, '--json'] : [...args.slice(0, end), '--json', ...args.slice(end)]
    const done = await this.run(withJson, options)
    if (done.code !== 0)
      throw new Error(`mesh ${args.join(' ').slice(0, 200)} exited with ${done.code}: ${done.stderr}`)
    return done.json
  }

  /** Makes sure that an operator of this name is there. */
  async join(...names: string[]): Promise<void> {
    await Promise.all(names.map((name) => this.json(['whoami'], { as: name })))
  }

  /** The texts of an operator's unread messages, which are read by this. */
  async texts(as: string): Promise<string[]> {
    const messages = await this.json(['inbox'], { as })
    return messages.map(({ text }: { text: string }) => text)
  }

  /** The status of a session as an onlooker sees it; undefined without such a session. */
  async status(name: string, onlooker: string): Promise<string | undefined> {
    const sessions = await this.json(['ps'], { as: onlooker })
    return sessions.find((session: { name: string }) => session.name === name)?.status
  }

  /** Signals an operator's sidecar. */
  async signal(name: string, signal: NodeJS.Signals): Promise<void> {
    const { pid } = await this.json(['whoami'], { as: name })
    process.kill(pid, signal)
  }

  /** The run directory of an operator that is there. */
  runDir(name: string): string {
    for (const key of readdirSync(join(this.home, 'run'))) {
      const dir = join(this.home, 'run', key)
      if (readName(dir) === name) return dir
    }
    throw new Error(`no sidecar of ${name}`)
  }

  /** Posts raw bytes to an operator's sidecar. */
  post(name: string, path: string, body: string | Uint8Array): Promise<{ status: number; body: string }> {
    return new Promise((resolve, reject) => {
      const sent = request({ socketPath: join(this.runDir(name), 'sock'), path, method: 'POST' }, (response) => {
        let text = ''
        response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body: text }))
      })
      sent.on('error', reject)
      sent.end(body)
    })
  }

  /** Everything that still runs on this home. */
  leftovers(): { pid: number; command: string }[] {
    const lines = execFileSync('ps', ['-ww', '-eo', 'pid=,stat=,args='], { encoding: 'utf8' }).split('\n')
    return lines.flatMap((line) => {
      const [, pid, stat, command] = /^\s*(\d+)\s+(\S+)\s+(.*)$/.exec(line) ?? []
      if (!pid || !command?.includes(this.root) || stat!.startsWith('Z') || Number(pid) === process.pid) return []
      return [{ pid: Number(pid), command }]
    })
  }

  /** Ends everything. Throws if `mesh down` left a process behind. */
  async dispose(): Promise<void> {
    for (const child of this.#running) child.kill('SIGKILL')
    const down = await this.run(['down', '--json'])
    const left = await this.#untilNothingIsLeft()
    for (const { pid } of left) tryKill(pid)
    rmSync(this.root, { recursive: true, force: true, maxRetries: 5 })
    if (down.code !== 0) throw new Error(`mesh down exited with ${down.code}: ${down.stderr}`)
    if (left.length > 0) throw new Error(`mesh down left ${JSON.stringify(left)}`)
  }

  async #untilNothingIsLeft(): Promise<{ pid: number; command: string }[]> {
    const deadline = performance.now() + LEFTOVER_MS
    for (;;) {
      const left = this.leftovers()
      if (left.length === 0 || performance.now() > deadline) return left
      await sleep(POLL_MS)
    }
  }
}

/** Polls until `look` gives something, and returns it. Throws after half a minute. */
export async function eventually<T>(
  look: () => T | null | undefined | false | Promise<T | null | undefined | false>,
  what: string,
): Promise<T> {
  const deadline = performance.now() + PATIENCE_MS
  for (;;) {
    const found = await look()
    if (found) return found
    if (performance.now() > deadline) throw new Error(`waited in vain for ${what}`)
    await sleep(POLL_MS)
  }
}

/** The nats-server for tests: `MESH_ENGINE`, else one fetched once into `MESH_TEST_CACHE` or the user's cache. */
function testEngine(): string {
  if (process.env.MESH_ENGINE) return process.env.MESH_ENGINE
  const cache = process.env.MESH_TEST_CACHE || join(homedir(), '.cache', 'sessionmesh-test')
  const env = { ...process.env, MESH_HOME: cache }
  const done = execFileSync(process.execPath, [meshBin, 'engine', 'install', '--json'], { env, encoding: 'utf8' })
  return JSON.parse(done).path
}

function finish(child: ChildProcess, stdout: string, stderr: string): Finished {
  return {
    code: child.exitCode,
    signal: child.signalCode,
    stdout,
    stderr,
    get json() {
      return JSON.parse(stdout)
    },
    get jsonLines() {
      return stdout
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line))
    },
    get error() {
      return JSON.parse(stderr.trimEnd().split('\n').at(-1)!).error
    },
  }
}

function readName(dir: string): string | undefined {
  try {
    return JSON.parse(readFileSync(join(dir, 'sidecar.json'), 'utf8')).name
  } catch {
    return undefined
  }
}

function tryKill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It ended by itself.
  }
}
