/**
 * A supervisor's process: `supervisor.js <mesh home>`. Its starter sends the run on descriptor 3, and reads there how it
 * went. It ends when the run is over and published.
 */
import { Socket } from 'node:net'
import { type FromSupervisor, type RunSpec, toSupervisor } from '../api/supervisor.schema.ts'
import { MeshError } from '../errors.ts'
import { followSpawned, launchBackground } from '../harness/spawned.ts'
import { ensurePrivateDir } from '../host/files.ts'
import { type Home, meshHome, runDir } from '../host/home.ts'
import { tryLock } from '../host/lock.ts'
import { type Logger, openLog } from '../host/log.ts'
import { findExecutable } from '../host/process/executable.ts'
import { identifyProcess } from '../host/process/process.ts'
import { files, removeRun, writeSpec } from '../run/dir.ts'
import { serveRun } from '../run/socket.ts'
import type { RunSubject } from '../run/subject.ts'
import { parseJson } from '../wire/codec.ts'
import { limits } from '../wire/limits.ts'
import { quote } from '../wire/names.ts'
import { AgentRun } from './agent.ts'
import { BackgroundProcess } from './background.ts'
import { RunLog } from './output.ts'
import { schemaFault } from './schema.ts'
import { Supervisor } from './supervisor.ts'

const STARTER_FD = 3
/** JSON escapes can make a text six times as long. */
const START_BYTES = (limits.commandBytes + limits.promptChars) * 6 + 64 * 1024
/** Asked to end while the run lives, it passes these on; SIGKILL is what ends a supervisor itself. */
const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT'] as const
const EXIT = { not_found: 127, not_executable: 126, other: 125 } as const

async function main(): Promise<void> {
  const root = process.argv[2]
  if (!root) throw new MeshError('bad_request', 'usage: supervisor.js HOME')
  const home = meshHome({ ...process.env, MESH_HOME: root })
  const starter = new Starter()
  const spec = await starter.spec
  const found = spec.attach ? { path: '' } : findExecutable(spec.command[0]!, process.env.PATH, spec.cwd)
  if ('fault' in found) return refuse(starter, found.fault, found.path)
  const fault = spec.schema === undefined ? null : schemaFault(spec.schema)
  if (fault !== null) {
    const error = {
      code: 'bad_request',
      message: `this is no JSON Schema: ${fault}`,
      hint: 'see https://json-schema.org',
    }
    return end(starter, { refused: { exit: EXIT.other, ...error } })
  }
  const begun = await begin(spec, found.path, home, starter)
  if (begun instanceof MeshError) {
    const { code, message, hint } = begun
    return end(starter, { refused: { exit: EXIT.other, code, message, hint } })
  }
  const { supervisor, close } = begun
  for (const signal of SIGNALS) {
    // A process that was there before is not ours to end: the witness watches it from then on.
    const isFree = () => supervisor.isOver || spec.attach !== undefined || spec.background
    process.on(signal, () => (isFree() ? process.exit(0) : supervisor.forward(signal, 'its supervisor')))
  }
  starter.onSignal = (signal) => supervisor.forward(signal, spec.owner)
  await supervisor.watch()
  close()
  await starter.close()
  // The lock goes with this process: a dead holder's is none.
  process.exit(0)
}

/** Puts the run on disk, opens its socket and lets it begin. Returns an error when nothing was run. */
async function begin(
  spec: RunSpec,
  path: string,
  home: Home,
  starter: Starter,
): Promise<{ supervisor: Supervisor; close: () => void } | MeshError> {
  const dir = runDir(home, spec.run)
  let isOurs = false
  try {
    for (const each of [home.root, home.runs, dir]) ensurePrivateDir(each)
    if (!tryLock(files.lock(dir))) throw new MeshError('conflict', `${spec.run} has a supervisor`)
    isOurs = true
    writeSpec(dir, spec)
    const { log } = openLog(files.log(dir), process.env.MESH_LOG_LEVEL ?? 'info')
    guard(log)
    const supervisor = await Supervisor.start({
      subject: spec.background ? await inBackground(spec, path, dir) : undefined,
      spec,
      path,
      agent: spec.runKind === 'session' ? new AgentRun(spec, dir, followSpawned(process.env, spec.session)) : null,
      home,
      env: process.env,
      log,
      send: (word) => starter.send(word),
      isAttended: () => !spec.detach && starter.isThere,
    })
    const close = await serveRun(files.socket(dir), (request) => supervisor.answer(request))
    await supervisor.go()
    return { supervisor, close }
  } catch (error) {
    if (isOurs) removeRun(home, spec.run)
    return MeshError.from(error)
  }
}

/** Has the client's daemon start the session, which runs before it can be on record. */
async function inBackground({ command, cwd, input = '' }: RunSpec, path: string, dir: string): Promise<RunSubject> {
  const { pid, said, stop } = await launchBackground({ path, env: process.env, cwd }, command.slice(1), input)
  const identity = identifyProcess(pid)
  // The session's output is the client's to show.
  const log = new RunLog(files.output(dir, 'stdout'))
  log.write(Buffer.from(said))
  log.close()
  if (identity) return new BackgroundProcess(identity, stop)
  throw new MeshError('not_alive', 'the session ended as it began')
}

async function refuse(starter: Starter, fault: 'not_found' | 'not_executable', path: string): Promise<void> {
  const [what, code] = fault === 'not_found' ? ['was not found', 'not_found'] : ['cannot be executed', 'denied']
  const hint = fault === 'not_found' ? 'check the name, or give a path' : 'check its permissions: chmod +x'
  return end(starter, { refused: { exit: EXIT[fault], code: code!, message: `${quote(path)} ${what}`, hint } })
}

async function end(starter: Starter, word: FromSupervisor): Promise<never> {
  starter.send(word)
  await starter.close()
  process.exit(0)
}

/** The starter of this process, at the other end of descriptor 3. It may go at any time; the run goes on. */
class Starter {
  readonly spec: Promise<RunSpec>
  onSignal: (signal: NodeJS.Signals) => void = () => {}
  readonly #socket = new Socket({ fd: STARTER_FD, readable: true, writable: true })
  #text = ''

  constructor() {
    this.#socket.on('error', () => {})
    this.spec = new Promise((resolve, reject) => {
      this.#socket.setEncoding('utf8').on('data', (text: string) => {
        this.#text += text
        if (this.#text.length > START_BYTES) this.#socket.destroy()
        for (let end = this.#text.indexOf('\n'); end >= 0; end = this.#text.indexOf('\n')) {
          const word = toSupervisor.safeParse(parseJson(Buffer.from(this.#text.slice(0, end))))
          this.#text = this.#text.slice(end + 1)
          if (!word.success) reject(new MeshError('bad_request', `not a run: ${word.error.issues[0]?.message}`))
          else if ('start' in word.data) resolve(word.data.start)
          else this.onSignal(word.data.signal as NodeJS.Signals)
        }
      })
      this.#socket.once('close', () => reject(new MeshError('bad_request', 'the starter went away')))
    })
  }

  get isThere(): boolean {
    return this.#socket.writable && !this.#socket.readableEnded
  }

  send(word: FromSupervisor): void {
    if (this.#socket.writable) this.#socket.write(`${JSON.stringify(word)}\n`)
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#socket.destroyed) return resolve()
      this.#socket.once('close', resolve)
      this.#socket.end(() => this.#socket.destroy())
    })
  }
}

/** A bug ends the supervisor loudly; its witness then reports the run as lost. */
function guard(log: Logger): void {
  const die = (error: unknown) => {
    log.fatal({ error: String(error), stack: error instanceof Error ? error.stack : undefined }, 'crashed')
    process.exit(1)
  }
  process.on('uncaughtException', die)
  process.on('unhandledRejection', die)
}

main().catch((error) => {
  process.stderr.write(`mesh: ${MeshError.from(error).message}\n`)
  process.exit(1)
})
