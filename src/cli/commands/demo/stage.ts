/** The demo's own mesh: its directory, its processes, and how its lines are printed. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, realpathSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { engineStatus } from '../../../engine/engine.ts'
import { MeshError } from '../../../errors.ts'
import { type Env, type Home, meshHome } from '../../../host/home.ts'
import { commandLine } from '../../../host/process/process.ts'
import type { Output } from '../../output.ts'

const PROJECT = 'demo'
export const NAMES = ['api', 'web', 'docs'] as const
/** Limit of a step; the first one downloads the engine. */
const STEP_MS = 20_000
const POLL_MS = process.platform === 'linux' ? 5 : 50
/** Limit for a process that was asked to end. */
const END_MS = 2000
/** The output of commands stands below the words of its step. */
const INDENT = 10
/** Variables of the session that this runs in, which the demo's own sessions must not have. */
const FOREIGN = /^(CLAUDE|ANTHROPIC|MESH_)/

type Fields = Record<string, unknown>

export interface Shown {
  text: string
  /** A command's output, shown below the text. */
  output?: string
  fields: Fields
}

interface Running {
  /** Resolves to what it printed; rejects when it failed. */
  done: Promise<string>
  /** `Date.now()` when it had printed everything. */
  endedAt(): number
}

interface RunOptions {
  ms?: number
  /** Passes its standard error on. */
  notes?: boolean
  /** Also after an interrupt, and out of its reach. */
  always?: boolean
}

export class Stage {
  readonly root: string
  readonly env: Env
  readonly home: Home
  readonly out: Output
  readonly stop = new AbortController()
  /** Sidecars, by session. */
  readonly pids = new Map<string, number>()
  readonly #startedAt = performance.now()
  readonly #children = new Set<ChildProcess>()

  constructor(env: Env, usual: Home, out: Output) {
    this.out = out
    this.root = realpathSync(mkdtempSync(join(tmpdir(), 'mesh-demo-')))
    for (const name of NAMES) mkdirSync(join(this.root, name))
    const kept = Object.entries(env).filter(([key]) => !FOREIGN.test(key))
    const own = { MESH_HOME: join(this.root, 'home'), MESH_PROJECT: PROJECT, MESH_ENGINE: knownEngine(env, usual) }
    this.env = { ...Object.fromEntries(kept), ...own }
    this.home = meshHome(this.env)
  }

  async print({ name }: { name: string }, { text, output, fields }: Shown): Promise<void> {
    const ms = since(this.#startedAt)
    if (this.out.json) return this.out.value({ step: name, ok: true, at: ms, text, ...fields })
    const clock = `${(ms / 1000).toFixed(2)} s`.padStart(8)
    await this.out.line(`${paint('2', clock)}  ${paint(fields.ok === false ? '31' : '36', name.padEnd(6))}  ${text}`)
    if (output) await this.out.line(output.trimEnd().replace(/^/gm, ' '.repeat(INDENT)))
  }

  pause(ms: number): Promise<void> {
    return sleep(ms, undefined, { signal: this.stop.signal })
  }

  async json<T>(as: string, args: string[], text?: string): Promise<T> {
    return JSON.parse(await this.mesh(as, [...args, '--json', ...(text === undefined ? [] : ['--', text])])) as T
  }

  send(from: string, to: string, text: string, flags: string[] = []) {
    return this.json<{ id: string; state: string; note?: string }>(from, ['send', to, ...flags], text)
  }

  mesh(as: string | null, args: string[], options: RunOptions = {}): Promise<string> {
    return this.start(as, args, options).done
  }

  /** Starts the mesh command as the session `as`. */
  start(as: string | null, args: string[], { ms = STEP_MS, notes = false, always = false }: RunOptions = {}): Running {
    if (!always) this.stop.signal.throwIfAborted()
    const child = spawn(process.execPath, [process.argv[1]!, ...args], {
      cwd: as === null ? this.root : join(this.root, as),
      env: { ...this.env, ...(as !== null && { MESH_NAME: as }) },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: always,
    })
    if (!always) this.#children.add(child)
    const timer = setTimeout(() => child.kill('SIGKILL'), ms)
    let endedAt = 0
    const done = output(child, notes).finally(() => {
      endedAt = Date.now()
      clearTimeout(timer)
      this.#children.delete(child)
    })
    // Its starter may be waiting for something else when it fails.
    done.catch(() => {})
    return { done: done.catch((error) => fail(error, args)), endedAt: () => endedAt }
  }

  endChildren(): void {
    for (const child of this.#children) child.kill('SIGKILL')
  }

  /** Waits until another engine than `pid` greets its clients. */
  async untilHealed(pid: number): Promise<void> {
    const deadline = performance.now() + STEP_MS
    while (performance.now() < deadline) {
      const engine = engineStatus(this.home)
      if (engine.running && engine.pid !== pid && (await greets(engine.url!))) return
      await this.pause(POLL_MS)
    }
    throw failure('no sidecar started the engine again')
  }

  /** The pids of this mesh's processes that still run: all of them have its directory in their command line. */
  async processesLeft(): Promise<number[]> {
    const deadline = performance.now() + END_MS
    for (;;) {
      const left = allPids().filter((pid) => pid !== process.pid && commandLine(pid).includes(this.root))
      if (left.length === 0 || performance.now() > deadline) return left
      await sleep(POLL_MS)
    }
  }
}

/** Finds the person's engine, which need not be downloaded again. Touches nothing else there. */
function knownEngine(env: Env, usual: Home): string | undefined {
  if (env.MESH_ENGINE) return env.MESH_ENGINE
  const fetched = join(usual.engine, 'bin', 'nats-server')
  return existsSync(fetched) ? fetched : undefined
}

function output(child: ChildProcess, notes: boolean): Promise<string> {
  let [stdout, stderr] = ['', '']
  child.stdout!.on('data', (chunk) => (stdout += String(chunk)))
  child.stderr!.on('data', (chunk) => {
    stderr += String(chunk)
    if (notes) process.stderr.write(chunk)
  })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => {
      if (code === 0) resolve(stdout)
      else reject(failure(signal ? 'it did not end in time' : lastError(stderr) || `exit ${code}`))
    })
  })
}

/** The last line that a command wrote, or the message in it. */
function lastError(stderr: string): string {
  const line = stderr.trim().split('\n').at(-1) ?? ''
  try {
    return (JSON.parse(line) as { error: { message: string } }).error.message
  } catch {
    return line
  }
}

function fail(error: unknown, args: readonly string[]): never {
  throw new MeshError('internal', `mesh ${args.join(' ')}: ${MeshError.from(error).message}`, { cause: error })
}

function greets(url: string): Promise<boolean> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve) => {
    const socket = connect({ host: hostname, port: Number(port), timeout: 1000 })
    const settle = (answer: boolean) => {
      socket.destroy()
      resolve(answer)
    }
    socket.once('data', (chunk) => settle(chunk.toString('latin1').startsWith('INFO ')))
    for (const event of ['error', 'timeout', 'close']) socket.once(event, () => settle(false))
  })
}

function allPids(): number[] {
  const names = process.platform === 'linux' ? readdirSync('/proc') : listPids().split('\n')
  return names.map(Number).filter((pid) => Number.isSafeInteger(pid) && pid > 0)
}

function listPids(): string {
  return spawnSync('/bin/ps', ['-A', '-o', 'pid='], { encoding: 'utf8' }).stdout ?? ''
}

/** Colours only where a person looks. */
function paint(colour: string, text: string): string {
  const { NO_COLOR, TERM } = process.env
  return process.stdout.isTTY && !NO_COLOR && TERM !== 'dumb' ? `\x1b[${colour}m${text}\x1b[0m` : text
}

export function failure(message: string): MeshError {
  return new MeshError('internal', message)
}

/** Whole milliseconds since a moment of `performance.now()`. */
export function since(start: number): number {
  return Math.round(performance.now() - start)
}
