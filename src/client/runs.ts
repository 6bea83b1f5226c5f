/** Starts a run's supervisor and talks to it: over the line between them, or over the run's own socket. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, fstatSync, openSync } from 'node:fs'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import type { EndedRun, FromSupervisor, RunAnswer, RunRequest, RunSpec } from '../api/supervisor.schema.ts'
import { MeshError } from '../errors.ts'
import { ensurePrivateDir } from '../host/files.ts'
import { type Env, type Home, runDir, socketPath } from '../host/home.ts'
import { askLine } from '../host/line.ts'
import { nodeFlags } from '../host/process/node-flags.ts'
import { hasEnded, lastWords, startError } from './last-words.ts'

/** The built supervisor; it lies beside the built command. */
const supervisorPath = join(import.meta.dirname, 'supervisor.js')
const ANSWER_MS = 5000
const END_MS = 1000

/** Nothing was run. */
export class Refused extends MeshError {
  /** The exit code, as of a shell: 126 cannot be executed, 127 not found, 125 anything else. */
  readonly status: number

  constructor(status: number, error: { code: string; message: string; hint: string }) {
    const { code, message, hint } = MeshError.fromBody(error)
    super(code, message, { hint })
    this.status = status
  }
}

export interface StartedRun {
  pid: number
  /** Resolves when the run has ended; throws `sidecar_down` when its supervisor is gone before. */
  ended: Promise<EndedRun>
  /** Passes a signal on to the command. */
  signal(name: NodeJS.Signals): void
}

/** Starts a supervisor for `spec` and resolves once the command runs. Throws `Refused`: then nothing was run. */
export async function startRun(spec: RunSpec, env: Env, home: Home): Promise<StartedRun> {
  const errors = spec.detach ? openErrors(home) : null
  const supervisor = launch(errors?.fd ?? null, env, home)
  const line = new Line(supervisor)
  line.send({ start: spec })
  const word = await line.next()
  if (word && 'refused' in word) throw new Refused(word.refused.exit, word.refused)
  if (!word || !('started' in word)) throw await supervisorError(supervisor, errors)
  if (spec.detach) line.close()
  return {
    pid: word.started.pid,
    ended: spec.detach ? new Promise(() => {}) : untilEnded(line, spec.run),
    signal: (signal) => line.send({ signal }),
  }
}

/** The file for what a detached supervisor cannot log. This one's part is behind `from`. */
interface Errors {
  path: string
  fd: number
  from: number
}

function openErrors(home: Home): Errors {
  ensurePrivateDir(home.root)
  const path = join(home.root, 'supervisor.err')
  const fd = openSync(path, 'a', 0o600)
  return { path, fd, from: fstatSync(fd).size }
}

/** Without `errors` its standard error is ours. */
function launch(errors: number | null, env: Env, home: Home): ChildProcess {
  ensurePrivateDir(home.root)
  try {
    const child = spawn(process.execPath, [...nodeFlags(home), supervisorPath, home.root], {
      cwd: '/',
      detached: true,
      stdio: errors === null ? ['inherit', 'inherit', 'inherit', 'pipe'] : ['ignore', 'ignore', errors, 'pipe'],
      env,
    })
    child.on('error', () => {})
    child.unref()
    return child
  } finally {
    if (errors !== null) closeSync(errors)
  }
}

/** Its line closes a moment before its end is known. */
async function supervisorError(supervisor: ChildProcess, errors: Errors | null): Promise<Refused> {
  supervisor.ref()
  if (!hasEnded(supervisor)) await once(supervisor, 'exit', { signal: AbortSignal.timeout(END_MS) }).catch(() => {})
  const words = errors === null ? '' : lastWords(errors.path, errors.from)
  const { message, hint } = startError('the supervisor', supervisor, words, 'nothing was run; look with: mesh doctor')
  return new Refused(125, { code: 'internal', message, hint })
}

async function untilEnded(line: Line, run: string): Promise<EndedRun> {
  const word = await line.next()
  line.close()
  if (word && 'ended' in word) return word.ended
  throw new MeshError('sidecar_down', `the supervisor of ${run} was lost; its command may still run`, {
    hint: `mesh ps --runs shows what became of it`,
  })
}

/** The line to the supervisor: JSON lines both ways. */
class Line {
  readonly #socket: Socket
  readonly #words: FromSupervisor[] = []
  #text = ''
  #closed = false
  #wake = () => {}

  constructor(supervisor: ChildProcess) {
    this.#socket = supervisor.stdio[3] as Socket
    this.#socket.on('error', () => {})
    this.#socket.setEncoding('utf8').on('data', (text: string) => {
      this.#text += text
      const lines = this.#text.split('\n')
      this.#text = lines.pop()!
      this.#words.push(...lines.map((line) => JSON.parse(line) as FromSupervisor))
      this.#wake()
    })
    this.#socket.once('close', () => {
      this.#closed = true
      this.#wake()
    })
    supervisor.once('error', () => this.#socket.destroy())
  }

  send(word: object): void {
    if (this.#socket.writable) this.#socket.write(`${JSON.stringify(word)}\n`)
  }

  /** The next word; null when the supervisor is gone. */
  async next(): Promise<FromSupervisor | null> {
    while (this.#words.length === 0 && !this.#closed) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    return this.#words.shift() ?? null
  }

  close(): void {
    this.#socket.destroy()
  }
}

/** Asks a run's supervisor on this machine. Throws `not_found` when none answers, `timeout` when it is asleep. */
export async function askRun(home: Home, run: string, request: RunRequest, waitMs = 0): Promise<RunAnswer> {
  const path = socketPath(runDir(home, run))
  const answer = await askLine(path, JSON.stringify(request), ANSWER_MS + waitMs)
  if (answer === null) throw new MeshError('not_found', `no supervisor of ${run} answers here`)
  const value = JSON.parse(answer) as RunAnswer
  if ('error' in value) throw MeshError.fromBody(value.error)
  return value
}
