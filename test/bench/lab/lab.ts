/** A private mesh for the benchmark: its home, its commands, its processes, and proof that none of them is left. */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { operatorTarget, type Target } from '../../../src/client/find.ts'
import { engineStatus } from '../../../src/engine/engine.ts'
import { type Home, meshHome } from '../../../src/host/home.ts'
import { commandLine } from '../../../src/host/process/process.ts'
import { resolvePlace } from '../../../src/host/repository/project.ts'
import { finished, greets, isLinux, kill } from './process.ts'

const PATIENCE_MS = 30_000
const POLL_MS = isLinux ? 2 : 20

export class Lab {
  /** Everything is below it; every command line of ours holds it. */
  readonly root = needed('MESH_BENCH_ROOT')
  readonly checkout = needed('MESH_BENCH_CHECKOUT')
  readonly home: Home
  readonly user: string
  readonly cwd: string
  readonly env: Record<string, string>
  /** The built command. */
  readonly bin: string
  readonly #children = new Set<ChildProcess>()

  constructor() {
    this.user = join(this.root, 'user')
    this.cwd = join(this.root, 'shop')
    this.bin = join(this.checkout, 'bin', 'mesh.js')
    for (const dir of [this.user, this.cwd]) mkdirSync(dir)
    // A repository, as sessions have; without git a plain directory serves.
    spawnSync('git', ['init', '-q', '-b', 'main', this.cwd])
    const { MESH_BENCH_ROOT: _r, MESH_BENCH_CHECKOUT: _c, ...env } = process.env as Record<string, string>
    this.env = {
      ...env,
      HOME: this.user,
      CLAUDE_CONFIG_DIR: join(this.user, '.claude'),
      MESH_HOME: join(this.root, 'mesh'),
      MESH_ENGINE: process.env.MESH_ENGINE ?? this.#fetchEngine(),
    }
    this.home = meshHome(this.env)
  }

  /** Kept in the tests' cache, so that it is downloaded once. */
  #fetchEngine(): string {
    const cache = process.env.MESH_TEST_CACHE || join(homedir(), '.cache', 'sessionmesh-test')
    const args = [this.bin, 'engine', 'install', '--json']
    const done = execFileSync(process.execPath, args, {
      env: { ...process.env, MESH_HOME: cache },
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    return (JSON.parse(done) as { path: string }).path
  }

  get project(): string {
    return resolvePlace(this.env, this.cwd, this.home).project
  }

  /** The sidecar of an operator of this mesh. */
  target(name: string): Target {
    const { project, worktree } = resolvePlace(this.env, this.cwd, this.home)
    return operatorTarget(this.home, { project, worktree, name })
  }

  /** Starts a program; it is killed at the end if it still runs. */
  start(command: string, args: string[], options: { env?: Record<string, string>; input?: boolean } = {}) {
    const child = spawn(command, args, {
      cwd: this.cwd,
      env: { ...this.env, ...options.env },
      stdio: [options.input ? 'pipe' : 'ignore', 'pipe', 'pipe'],
    })
    this.#children.add(child)
    child.once('close', () => this.#children.delete(child))
    return child
  }

  /** Runs the mesh command and gives what it printed. Throws when it fails. */
  async mesh(
    args: string[],
    as = 'bench',
    env: Record<string, string> = {},
    node: string = process.execPath,
  ): Promise<string> {
    const child = this.start(node, [this.bin, ...args], { env: { MESH_NAME: as, ...env } })
    const { code, stdout, stderr } = await finished(child)
    if (code !== 0) throw new Error(`mesh ${args.join(' ')}: exit ${code}: ${stderr}`)
    return stdout
  }

  async json<T>(args: string[], as?: string): Promise<T> {
    const end = args.indexOf('--')
    const withJson = end < 0 ? [...args, '--json'] : [...args.slice(0, end), '--json', ...args.slice(end)]
    return JSON.parse(await this.mesh(withJson, as)) as T
  }

  /** Makes sure that an operator's sidecar runs; resolves to its pid. */
  async join(name: string): Promise<number> {
    return (await this.json<{ pid: number }>(['whoami'], name)).pid
  }

  /** The same in another project. */
  async pidOf(name: string, project: string): Promise<number> {
    const told = await this.mesh(['whoami', '--json'], name, { MESH_PROJECT: project })
    return (JSON.parse(told) as { pid: number }).pid
  }

  enginePid(): number {
    const { pid } = engineStatus(this.home)
    if (pid === null) throw new Error('the engine does not run')
    return pid
  }

  /** Waits until an engine other than `pid` serves; resolves to when it did, `performance.now()`. */
  async untilServing(pid: number): Promise<number> {
    const deadline = performance.now() + PATIENCE_MS
    while (performance.now() < deadline) {
      const engine = engineStatus(this.home)
      if (engine.running && engine.pid !== pid && (await greets(Number(new URL(engine.url!).port))))
        return performance.now()
      await sleep(POLL_MS)
    }
    throw new Error('the engine is not back')
  }

  /** Ends everything. Resolves to the command lines of what `mesh down` left behind. */
  async close(): Promise<string[]> {
    for (const child of this.#children) child.kill('SIGKILL')
    await this.mesh(['down']).catch((error) => console.error(String(error)))
    const deadline = performance.now() + 3000
    let left = this.#processes()
    while (left.length > 0 && performance.now() < deadline) {
      await sleep(50)
      left = this.#processes()
    }
    for (const { pid } of left) kill(pid, 'SIGKILL')
    return left.map(({ pid, line }) => `${pid} ${line}`)
  }

  #processes(): { pid: number; line: string }[] {
    const own = new Set([process.pid, process.ppid])
    const lines = allPids().map((pid) => ({ pid, line: commandLine(pid) }))
    return lines.filter(({ pid, line }) => line.includes(this.root) && !own.has(pid))
  }
}

function needed(name: string): string {
  const value = process.env[name]
  if (!value) throw new Error('run it by: npm run bench')
  return value
}

function allPids(): number[] {
  const names = isLinux ? readdirSync('/proc') : execFileSync('/bin/ps', ['-A', '-o', 'pid=']).toString().split('\n')
  return names.map(Number).filter((pid) => Number.isSafeInteger(pid) && pid > 0)
}
