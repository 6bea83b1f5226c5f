/**
 * What the fault suite stands on: a mesh home of its own, its processes and how to kill them, seeds that can be
 * replayed, and waiting for conditions. Only processes of that home are ever signalled.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import type { SidecarRecord } from '../../../src/api/sidecar-record.schema.ts'
import { readRecord, sessionKeys } from '../../../src/daemon/disk/session-dir.ts'
import { engineStatus } from '../../../src/engine/engine.ts'
import { type Home, meshHome, operatorKey, sessionDir, socketPath } from '../../../src/host/home.ts'
import { processState } from '../../../src/host/process/process.ts'
import { endEngine, scrubbedEnv, testEngineBinary } from '../engine.ts'

/** The command under test; another build of it for comparisons. */
export const MESH_JS = process.env.MESH_TEST_BIN ?? join(import.meta.dirname, '..', '..', '..', 'bin', 'mesh.js')
/** The built sidecar. */
export const SIDECAR_JS = join(MESH_JS, '..', '..', 'dist', 'sidecar.js')
/** `npm run test:fault` asks for the full counts, the plain test run for short ones. */
export const FULL = process.env.MESH_FAULT_FULL === '1'
const END_MS = 10_000
/** Log files in a report. */
const LOGS = 8

export interface Ran {
  code: number | null
  stdout: string
  stderr: string
  ms: number
}

// --- chance

export interface Random {
  readonly seed: number
  /** From 0 up to but not including 1. */
  next(): number
  /** From 0 up to but not including `n`. */
  below(n: number): number
  pick<T>(from: readonly T[]): T
}

/** The seed of this run: `MESH_FAULT_SEED`, else a fresh one. It is printed with the command that repeats the run. */
export function chooseSeed(suite: string): number {
  const seed = Number(process.env.MESH_FAULT_SEED ?? Math.floor(Math.random() * 2 ** 31))
  const counts = FULL ? 'MESH_FAULT_FULL=1 ' : ''
  console.log(`${suite}: again with MESH_FAULT_SEED=${seed} ${counts}npx vitest run test/fault/${suite}.test.ts`)
  return seed
}

/** mulberry32: small, and the same on every machine. */
export function random(seed: number): Random {
  let state = seed >>> 0
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
  const below = (n: number) => Math.floor(next() * n)
  return { seed, next, below, pick: (from) => from[below(from.length)]! }
}

// --- a home

export class FaultHome {
  readonly root: string
  readonly home: Home
  readonly env: Record<string, string>
  readonly #children = new Set<ChildProcess>()
  readonly #parent: string

  private constructor(parent: string, root: string, env: Record<string, string>) {
    this.#parent = parent
    this.root = root
    this.env = env
    this.home = meshHome(env)
  }

  /** A fresh home below a new temporary directory, or at `root`. Nothing is started. */
  static async make(options: { root?: string; project?: string } = {}): Promise<FaultHome> {
    const parent = mkdtempSync(join(tmpdir(), 'mesh-fault-'))
    const root = options.root ?? join(parent, 'home')
    const MESH_ENGINE = await testEngineBinary()
    const env = scrubbedEnv({ MESH_HOME: root, MESH_PROJECT: options.project ?? 'fault', MESH_ENGINE })
    mkdirSync(join(parent, 'work'))
    return new FaultHome(parent, root, env)
  }

  /** A directory for programs and files of the test. */
  get work(): string {
    return join(this.#parent, 'work')
  }

  /** Starts a command of ours in this home. Ended at the latest by `close`. */
  start(program: string, args: readonly string[], extra: Record<string, string> = {}): ChildProcess {
    const child = spawn(process.execPath, [program, ...args], {
      cwd: this.work,
      env: { ...this.env, ...extra },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#children.add(child)
    child.once('exit', () => this.#children.delete(child))
    return child
  }

  /** Runs a mesh command to its end. */
  run(...args: string[]): Promise<Ran> {
    return this.runIn({}, ...args)
  }

  /** Runs a mesh command with something more in its environment. */
  async runIn(extra: Record<string, string>, ...args: string[]): Promise<Ran> {
    const startedAt = performance.now()
    const child = this.start(MESH_JS, args, extra)
    const [stdout, stderr] = await Promise.all([text(child.stdout!), text(child.stderr!), ended(child)])
    return { code: child.exitCode, stdout, stderr, ms: performance.now() - startedAt }
  }

  /** What a mesh command prints with `--json`; throws with its error when it fails. */
  async json<T = Record<string, unknown>>(...args: string[]): Promise<T> {
    const [command, ...rest] = args
    const { code, stdout, stderr } = await this.run(command!, '--json', ...rest)
    if (code !== 0) throw new Error(`mesh ${args.join(' ')} ended with ${code}: ${stderr}`)
    return JSON.parse(stdout) as T
  }

  enginePid(): number | null {
    const { running, pid } = engineStatus(this.home)
    return running ? pid : null
  }

  /** The live sidecars of this home by the name that they hold. */
  sidecars(): Map<string, SidecarRecord> {
    const records = sessionKeys(this.home).map((key) => readRecord(this.home, key))
    const live = records.filter((record) => record !== null && isLive(record))
    return new Map(live.map((record) => [record!.name, record!]))
  }

  /** kill -9. False if none runs. */
  killEngine(): boolean {
    return kill(this.enginePid())
  }

  /** The local API of an operator, for calls without a Node start. */
  socketOf(name: string): string {
    return socketPath(sessionDir(this.home, operatorKey(this.env.MESH_PROJECT!, name)))
  }

  killSidecar(name: string): boolean {
    return kill(this.sidecars().get(name)?.sidecar.pid ?? null)
  }

  /** The end of the logs that were last written to and of the engine's, for the report of a failure. */
  logs(lines = 40): string {
    const dir = join(this.root, 'logs')
    const all = existsSync(dir) ? readdirSync(dir).map((name) => join(dir, name)) : []
    const files = all.sort((a, b) => statSync(a).mtimeMs - statSync(b).mtimeMs).slice(-LOGS)
    return [...files, join(this.home.engine, 'log')].map((path) => `--- ${path}\n${tail(path, lines)}`).join('\n')
  }

  /** Pids of everything that runs in this home: sidecars, servers and our own commands. */
  processes(): number[] {
    const lines = execFileSync('ps', ['-ww', '-eo', 'pid=,stat=,args='], { encoding: 'utf8' }).split('\n')
    const ours = lines.filter((line) => line.includes(`${this.root}/`) && !/^\s*\d+\s+Z/.test(line))
    const children = [...this.#children].map((child) => child.pid).filter((pid) => pid !== undefined)
    return [...new Set([...ours.map((line) => Number.parseInt(line, 10)), ...children])]
  }

  /** Ends everything of this home, whatever state it is in, and removes it. Throws if something was left running. */
  async close(): Promise<void> {
    for (const child of this.#children) child.kill('SIGKILL')
    for (const { sidecar } of this.sidecars().values()) kill(sidecar.pid, 'SIGCONT')
    await this.run('down')
    await endEngine(this.home)
    const left = await until(() => (this.processes().length === 0 ? [] : null), END_MS).catch(() => this.processes())
    const told = left.length > 0 ? describe(left) : ''
    for (const pid of left) kill(pid)
    if (process.env.MESH_FAULT_KEEP) console.log(`kept: ${this.#parent}`)
    else rmSync(this.#parent, { recursive: true, force: true })
    if (told) throw new Error(`left running:\n${told}`)
  }
}

function isLive(record: SidecarRecord): boolean {
  return ['alive', 'paused'].includes(processState(record.sidecar))
}

function kill(pid: number | null, signal: NodeJS.Signals = 'SIGKILL'): boolean {
  if (pid === null) return false
  try {
    process.kill(pid, signal)
    return true
  } catch {
    return false
  }
}

function tail(path: string, lines: number): string {
  return existsSync(path) ? readFileSync(path, 'utf8').trimEnd().split('\n').slice(-lines).join('\n') : '(none)'
}

function describe(pids: readonly number[]): string {
  try {
    return execFileSync('ps', ['-ww', '-o', 'pid=,ppid=,stat=,args=', '-p', pids.join(',')], { encoding: 'utf8' })
  } catch {
    return pids.join(' ')
  }
}

// --- waiting

/** Resolves when the child and its streams are over. */
export async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
}

/** Polls until `look` gives something; throws after `ms`. */
export async function until<T>(look: () => T | null | undefined | false, ms: number, what = 'condition'): Promise<T> {
  return untilAsync(async () => look(), ms, what)
}

export async function untilAsync<T>(
  look: () => Promise<T | null | undefined | false>,
  ms: number,
  what = 'condition',
): Promise<T> {
  const deadline = performance.now() + ms
  for (;;) {
    const seen = await look()
    if (seen !== null && seen !== undefined && seen !== false) return seen
    if (performance.now() > deadline) throw new Error(`${what}: not within ${ms} ms`)
    await sleep(5)
  }
}

/** The value below which a share `p` of the sample lies. */
export function percentile(sample: readonly number[], p: number): number {
  const sorted = sample.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.ceil(p * sorted.length) - 1)] ?? Number.NaN
}

/** `p50 12 ms, p95 40 ms, max 41 ms, n 30`. */
export function figures(sample: readonly number[]): string {
  const at = (p: number) => `${Math.round(percentile(sample, p))} ms`
  return `p50 ${at(0.5)}, p95 ${at(0.95)}, max ${at(1)}, n ${sample.length}`
}
