/**
 * The supervised process: started so that it is on record before it begins, in a process group of its own, with its
 * last words on standard error kept.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Duplex, Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { isatty } from 'node:tty'
import type { RunSpec } from '../api/supervisor.schema.ts'
import { tailOf } from '../core/runs/process-end.ts'
import { MeshError } from '../errors.ts'
import type { Env } from '../host/home.ts'
import { identifyProcess } from '../host/process/process.ts'
import { type Exit, type RunSubject, signalGroup } from '../run/subject.ts'
import type { ProcessIdentity } from '../wire/envelope.schema.ts'
import { limits } from '../wire/limits.ts'

/**
 * The process waits for a word before it becomes the command: a supervisor that dies before the process is on record
 * closes the pipe, and nothing was run. The command's words are arguments here, never a script.
 */
const GATE = 'read -r go <&3 || exit 125; exec 3<&-; exec "$@"'
/** Output from before the end is read after it; a process that left the group may keep the pipe open for ever. */
const DRAIN_MS = 250
const POLL_MS = 20

interface ChildOptions {
  spec: RunSpec
  /** The command's file. */
  path: string
  env: Env
  /** Descriptors that it writes to. Null: the output goes to where the supervisor's own goes. */
  output: readonly [stdout: number, stderr: number] | null
}

export class RunChild implements RunSubject {
  readonly identity: ProcessIdentity
  readonly isOnTerminal: boolean
  readonly #child: ChildProcess
  readonly #gate: Duplex
  #tail: Buffer = Buffer.alloc(0)
  #over = false

  private constructor(child: ChildProcess, identity: ProcessIdentity, isOnTerminal: boolean) {
    this.#child = child
    this.identity = identity
    this.isOnTerminal = isOnTerminal
    this.#gate = child.stdio[3] as Duplex
    this.#gate.on('error', () => {})
    child.once('exit', () => {
      this.#over = true
    })
    child.stderr?.on('data', (chunk: Buffer) => {
      this.#keep(chunk)
      pass(chunk, child.stderr!)
    })
  }

  /** Starts the process, which waits for `go`. Throws `internal` when not even a shell can be started. */
  static async start({ spec, path, env, output }: ChildOptions): Promise<RunChild> {
    const words = [path, ...spec.command.slice(1)]
    // Programs show colour and progress on a terminal alone, and a pipe is none.
    const isOnTerminal = output === null && isatty(2)
    const child = spawn('/bin/sh', ['-c', GATE, 'mesh', ...words], {
      cwd: spec.cwd,
      env,
      detached: true,
      stdio: output
        ? [spec.input === undefined ? 'ignore' : 'pipe', ...output, 'pipe']
        : ['inherit', 'inherit', isOnTerminal ? 'inherit' : 'pipe', 'pipe'],
    })
    // A command that does not read it has its reasons.
    child.stdin?.on('error', () => {}).end(spec.input)
    await Promise.race([once(child, 'spawn'), once(child, 'error').then(([error]) => Promise.reject(error))])
    const identity = identifyProcess(child.pid!)
    if (identity) return new RunChild(child, identity, isOnTerminal)
    child.kill('SIGKILL')
    throw new MeshError('internal', 'the started process cannot be seen')
  }

  /** Lets the process begin. */
  go(): void {
    this.#gate.end('go\n')
  }

  /** Resolves when the process itself has ended, whatever it left behind. */
  async exit(): Promise<Exit> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) await once(this.#child, 'exit')
    return { code: this.#child.exitCode, signal: this.#child.signalCode }
  }

  /** Reads what the process had written before it ended. */
  async drain(): Promise<void> {
    const { stderr } = this.#child
    if (stderr && !stderr.readableEnded) await Promise.race([once(stderr, 'close'), sleep(DRAIN_MS)])
  }

  /** The last bytes that came through a pipe from standard error, as text. */
  get stderrTail(): string {
    return tailOf(this.#tail, limits.stderrTailBytes)
  }

  /** Signals the whole group. False if nothing of it is left. */
  signal(signal: NodeJS.Signals | 0): boolean {
    return signalGroup(this.identity.pid, signal)
  }

  get isOver(): boolean {
    return this.#over
  }

  /** True if processes of the group outlived the one that was started. */
  get hasGroup(): boolean {
    return signalGroup(this.identity.pid, 0)
  }

  /** Signals the group, and kills what is left of it after `graceMs`. */
  async end(signal: NodeJS.Signals, graceMs: number): Promise<void> {
    this.signal(signal)
    // A stopped process takes a signal only when it goes on.
    this.signal('SIGCONT')
    const deadline = performance.now() + graceMs
    while (this.hasGroup) {
      if (performance.now() >= deadline) return void this.signal('SIGKILL')
      await sleep(POLL_MS)
    }
  }

  #keep(chunk: Buffer): void {
    const whole = Buffer.concat([this.#tail, chunk])
    this.#tail = Buffer.from(whole.subarray(-(limits.stderrTailBytes + 1)))
  }
}

/** Passes output on no faster than it is taken. A reader that went away is none: what comes then is thrown away. */
function pass(chunk: Buffer, from: Readable): void {
  if (process.stderr.destroyed || process.stderr.write(chunk)) return
  from.pause()
  const resume = () => from.resume()
  process.stderr.once('drain', resume)
  process.stderr.once('close', resume)
}
