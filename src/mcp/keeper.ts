/**
 * The one sidecar of the session that this MCP server belongs to: a hook's where there are hooks, else a child of ours,
 * so that it stays in the client's process tree. The sidecar's own lock keeps it at one.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, fstatSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { readRecord } from '../client/find.ts'
import { lastWords, startError } from '../client/last-words.ts'
import { answers, awaitSocket, scrub, sidecarPath } from '../client/spawn.ts'
import { MeshError } from '../errors.ts'
import { hasHooks, markTools, mayHaveHooks, type ParentSession, parentSession } from '../harness/mcp-parent.ts'
import { ensurePrivateDir } from '../host/files.ts'
import { type Env, type Home, socketPath } from '../host/home.ts'
import { nodeFlags } from '../host/process/node-flags.ts'
import { isDescendant, sendSignal } from '../host/process/process.ts'
import { resolvePlace } from '../host/repository/project.ts'

/** A hook starts its sidecar within this long of the client's start. */
const HOOKS_MS = 3000
const START_MS = 10_000
const POLL_MS = 20
/** A sidecar that failed by then, again perhaps, will not serve this call. */
const PATIENCE_MS = 1500
/** Between starts of a sidecar that fails; as the hook's loop does. */
const PAUSES_MS = [200, 1000, 3000, 10_000, 30_000]
/** A sidecar that ran this long had started well. */
const STEADY_MS = 60_000

interface KeeperOptions {
  env: Env
  home: Home
  cwd: string
  /** The client's pid. */
  client: number
}

export class Keeper {
  readonly session: ParentSession
  readonly socket: string
  readonly #options: KeeperOptions
  isStarted = false
  #child: ChildProcess | null = null
  #startedAt = 0
  #failures = 0
  /** Why the last child did not start. */
  #failure: MeshError | null = null
  #notBefore = 0
  #reviving: Promise<void> | null = null
  #stopped = false

  constructor(options: KeeperOptions) {
    this.#options = options
    this.session = parentSession(options.env, options.home, options.client)
    this.socket = socketPath(this.session.dir)
  }

  /** A hook of ours ran in this session: its model has read the start text, or will. */
  get isIntroduced(): boolean {
    return hasHooks(this.session)
  }

  /** Sees to it that there is a sidecar, for as long as this process lives. Once is enough. */
  async start(): Promise<void> {
    if (this.isStarted) return
    this.isStarted = true
    if (mayHaveHooks(this.session, this.#options.home)) await awaitSocket(this.socket, HOOKS_MS)
    if (this.session.kind !== 'mcp') this.#endStray()
    await this.revive().catch(() => {})
    markTools(this.session)
  }

  /**
   * A sidecar outside of the client's process tree has outlived its starter, an earlier MCP server or hook: nothing would
   * start it again, and a session in bypass mode screens what it posts. All that it had is in its journal.
   */
  #endStray(): void {
    const { sidecar } = readRecord(this.session.dir) ?? {}
    if (sidecar && !isDescendant(sidecar.pid, this.#options.client)) sendSignal(sidecar, 'SIGKILL')
  }

  /** Returns once a sidecar serves; starts one if none does. Throws when it cannot. */
  revive(): Promise<void> {
    this.#reviving ??= this.#revive().finally(() => {
      this.#reviving = null
    })
    return this.#reviving
  }

  /** Starts no more. The sidecar ends by itself when this process is gone. */
  stop(): void {
    this.#stopped = true
  }

  async #revive(): Promise<void> {
    const { env, home, cwd } = this.#options
    // Said by the sidecar too, but only in its log.
    resolvePlace(env, cwd, home)
    const deadline = performance.now() + START_MS
    const patience = performance.now() + PATIENCE_MS
    while (!(await answers(this.socket))) {
      if (this.#failure && !this.#child && performance.now() > patience) throw this.#failure
      if (performance.now() > deadline || this.#stopped) throw late(home, this.session)
      // Of a child that lives the socket is still to come; one that is over had no lock, or failed.
      if (!this.#child && performance.now() >= this.#notBefore) this.#launch()
      await sleep(POLL_MS)
    }
  }

  #launch(): void {
    const { env, home, cwd } = this.#options
    const { kind, dir } = this.session
    for (const path of [home.root, home.run, dir]) ensurePrivateDir(path)
    const errors = openSync(join(dir, 'stderr'), 'a', 0o600)
    // The session's own: it belongs to the run that its client was started in.
    const { MESH_RUN_ID, MESH_LINEAGE } = env
    const {
      NODE_OPTIONS: _,
      NODE_EXTRA_CA_CERTS: __,
      ...own
    } = kind === 'mcp' ? { ...scrub(env), MESH_RUN_ID, MESH_LINEAGE } : env
    const child = spawn(process.execPath, [...nodeFlags(home), sidecarPath, kind, dir], {
      cwd,
      // Out of the terminal's reach; its parent it stays.
      detached: true,
      // Its standard output is a socket whose end of file shows it that we are gone.
      stdio: ['ignore', 'pipe', errors],
      env: { ...own, MESH_HOME: home.root },
    })
    const from = fstatSync(errors).size
    closeSync(errors)
    child.stdout?.resume()
    this.#child = child
    this.#failure = null
    this.#startedAt = performance.now()
    for (const event of ['error', 'exit']) child.once(event, () => this.#onExit(child, from))
  }

  /** Exit code 0: another one serves, or the session is over. It is asked again by the next call that fails. */
  #onExit(child: ChildProcess, from: number): void {
    if (this.#child !== child) return
    this.#child = null
    if (performance.now() - this.#startedAt > STEADY_MS) this.#failures = 0
    const isCalm = child.exitCode === 0
    const pause = isCalm ? PAUSES_MS[0]! : PAUSES_MS[Math.min(this.#failures++, PAUSES_MS.length - 1)]!
    this.#notBefore = performance.now() + pause
    if (isCalm) return
    const { home } = this.#options
    const words = lastWords(join(this.session.dir, 'stderr'), from)
    this.#failure = startError('the sidecar', child, words, logHint(home))
    if (!this.#stopped) setTimeout(() => void this.revive().catch(() => {}), pause)
  }
}

function late(home: Home, { dir }: ParentSession): MeshError {
  return new MeshError('sidecar_down', `no sidecar serves ${dir}`, { hint: logHint(home) })
}

function logHint(home: Home): string {
  return `see ${join(home.root, 'logs')}, or run: mesh doctor`
}
