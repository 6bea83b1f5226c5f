/**
 * `mesh demo`: what mesh does, shown on a mesh of its own that is gone afterwards. Every line is printed when its thing
 * has happened, as the mesh command itself tells it: everything here runs as child processes.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, realpathSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { findEngine } from '../../engine/binary.ts'
import { engineStatus } from '../../engine/engine.ts'
import { MeshError } from '../../errors.ts'
import { type Env, type Home, meshHome } from '../../host/home.ts'
import { commandLine } from '../../host/process.ts'
import type { Context } from '../context.ts'
import type { Output } from '../output.ts'

const PROJECT = 'demo'
const NAMES = ['api', 'web', 'docs'] as const
/** How long a step may take before it counts as failed; the first engine is downloaded. */
const STEP_MS = 20_000
const FETCH_MS = 300_000
/** So that a waiting command really waits; on a terminal also time to read. */
const PAUSE_MS = 400
const READ_MS = 900
const POLL_MS = process.platform === 'linux' ? 5 : 50
/** How long a process that was told to end may take. */
const END_MS = 2000
/** What commands print stands below the words of its step. */
const INDENT = 10
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
/** Of the session that this runs in, not of the demo's. */
const FOREIGN = /^(CLAUDE|ANTHROPIC|MESH_)/

type Fields = Record<string, unknown>

interface Told {
  text: string
  /** What a command printed, shown below the text. */
  output?: string
  fields: Fields
}

interface Step {
  name: string
  run(stage: Stage): Promise<Told>
}

export async function run({ env, home, out }: Context): Promise<number> {
  const stage = new Stage(env, home, out)
  const stopped = catchSignals(stage)
  let code = 1
  try {
    await stage.tell({ name: 'home' }, { text: `a mesh of its own in ${stage.root}`, fields: { path: stage.root } })
    code = await play(stage)
  } finally {
    code = Math.max(code, await strike(stage))
  }
  if (stopped.signal) return 128 + constants.signals[stopped.signal]
  if (code === 0 && !out.json) await out.line(NEXT)
  return code
}

const NEXT = [
  '',
  'Next: mesh install    every new Claude Code session joins by itself',
  '      mesh ps         who is there; mesh --help lists the commands, README.md has a tour',
].join('\n')

/** The command line ends itself at once on an interrupt. Here there is something to clean up first. */
function catchSignals(stage: Stage): { signal: NodeJS.Signals | null } {
  const stopped: { signal: NodeJS.Signals | null } = { signal: null }
  for (const signal of SIGNALS) {
    process.removeAllListeners(signal)
    process.on(signal, () => {
      stopped.signal ??= signal
      stage.stop.abort(new MeshError('internal', `interrupted by ${signal}`))
      stage.endChildren()
    })
  }
  return stopped
}

async function play(stage: Stage): Promise<number> {
  for (const step of steps) {
    try {
      await stage.tell(step, await step.run(stage))
      if (process.stdout.isTTY) await stage.pause(READ_MS)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EPIPE') throw error
      const { message } = stage.stop.signal.aborted ? stage.stop.signal.reason : MeshError.from(error)
      await stage.tell(step, { text: `FAILED: ${message}`, fields: { ok: false } })
      return 1
    }
  }
  return 0
}

/** Ends everything and says what was left. Never throws: who reads along may have gone. */
async function strike(stage: Stage): Promise<number> {
  let ok = false
  let told: Told
  try {
    told = await cleanUp(stage)
    ok = told.fields.ok !== false
  } catch (error) {
    told = { text: `FAILED: ${MeshError.from(error).message}`, fields: { ok: false } }
  }
  await stage.tell({ name: 'down' }, told).catch(() => {})
  return ok ? 0 : 1
}

async function cleanUp(stage: Stage): Promise<Told> {
  const startedAt = performance.now()
  stage.endChildren()
  const down = await stage.mesh(null, ['down', '--json'], { always: true })
  const left = await stage.processesLeft()
  for (const pid of left) process.kill(pid, 'SIGKILL')
  rmSync(stage.root, { recursive: true, force: true })
  const fields = { ...(JSON.parse(down) as object), left, ms: since(startedAt), ok: left.length === 0 }
  if (left.length === 0) return { text: `mesh down: nothing left running, ${stage.root} removed`, fields }
  return { text: `FAILED: mesh down left ${left.length} processes running, which were killed`, fields }
}

// --- the steps

const steps: readonly Step[] = [
  { name: 'engine', run: startEngine },
  ...NAMES.map((name) => ({ name: 'join', run: (stage: Stage) => joinAs(stage, name) })),
  { name: 'ps', run: showSessions },
  { name: 'send', run: sendMessage },
  { name: 'wake', run: wakeWaiter },
  { name: 'ask', run: askAndReply },
  { name: 'heal', run: killEngine },
  { name: 'gone', run: killSession },
  { name: 'mail', run: readLater },
]

async function startEngine(stage: Stage): Promise<Told> {
  if (!findEngine(stage.env, stage.home)) stage.out.note('there is no nats-server here yet: fetching one, about 7 MB')
  const startedAt = performance.now()
  await stage.mesh(null, ['up', '--json'], { ms: FETCH_MS, notes: true })
  const ms = since(startedAt)
  const info = engineStatus(stage.home)
  const binary = findEngine(stage.env, stage.home)
  const from = binary?.source === 'fetched' ? 'fetched just now' : (binary?.path ?? '?')
  const text = `nats-server ${info.version} serves ${info.url} (process ${info.pid}, ${from})`
  return { text, fields: { ...info, source: binary?.source, path: binary?.path, ms } }
}

async function joinAs(stage: Stage, name: string): Promise<Told> {
  const startedAt = performance.now()
  const me = await stage.json<{ name: string; pid: number; connected: boolean }>(name, ['whoami'])
  if (me.name !== name || !me.connected) throw failure(`${name} did not join: ${JSON.stringify(me)}`)
  stage.pids.set(name, me.pid)
  const ms = since(startedAt)
  return { text: `${name} joined: sidecar process ${me.pid}, ${ms} ms`, fields: { session: name, pid: me.pid, ms } }
}

async function showSessions(stage: Stage): Promise<Told> {
  const sessions = await stage.json<{ name: string; status: string }[]>('api', ['ps'])
  const missing = NAMES.filter((name) => !sessions.some((one) => one.name === name && one.status === 'idle'))
  if (missing.length > 0) throw failure(`mesh ps does not show ${missing.join(', ')} as idle`)
  return { text: '$ mesh ps', output: await stage.mesh('api', ['ps']), fields: { sessions } }
}

async function sendMessage(stage: Stage): Promise<Told> {
  const text = 'the schema landed'
  const { id } = await stage.send('api', 'web', text, ['--wait', 'delivered', '--timeout', '10s'])
  const { steps: trace } = await stage.json<{ steps: { state: string; at: string }[] }>('api', ['trace', id])
  const at = (state: string) => Date.parse(trace.find((step) => step.state === state)?.at ?? '')
  const ms = at('delivered') - at('queued')
  if (Number.isNaN(ms)) throw failure(`mesh trace does not show ${id} as stored and delivered`)
  const [message] = await stage.json<Message[]>('web', ['inbox'])
  expect(message, text)
  const shown = `api → web "${text}": stored on disk and delivered in ${ms} ms; web read it, sender verified`
  return { text: shown, fields: { id, deliveredMs: ms, trace } }
}

async function wakeWaiter(stage: Stage): Promise<Told> {
  const waiter = stage.start('web', ['wait', '--json'])
  const startedAt = performance.now()
  await Promise.race([stage.pause(PAUSE_MS), waiter.done])
  const waitedMs = since(startedAt)
  const text = 'main is green'
  await stage.send('api', 'web', text)
  const message = expect(JSON.parse(await waiter.done), text)
  const wokenMs = waiter.endedAt() - Date.parse(message.sentAt)
  const shown = `web slept in "mesh wait" for ${waitedMs} ms; api's "${text}" woke it ${wokenMs} ms after it was sent`
  return { text: shown, fields: { id: message.id, waitedMs, wokenMs } }
}

async function askAndReply(stage: Stage): Promise<Told> {
  const waiter = stage.start('web', ['wait', '--json'])
  const startedAt = performance.now()
  const asker = stage.start('api', ['ask', 'web', '--timeout', '15s', '--json', '--', 'which port?'])
  const question = expect(JSON.parse(await waiter.done), 'which port?')
  await stage.json('web', ['reply', question.id], '8080')
  const { reply } = JSON.parse(await asker.done) as { reply: Message }
  if (reply.text !== '8080' || reply.from !== 'web') throw failure(`the answer was ${JSON.stringify(reply)}`)
  const ms = since(startedAt)
  return { text: `api asked web "which port?", web replied "8080": ${ms} ms in all`, fields: { reply: reply.text, ms } }
}

async function killEngine(stage: Stage): Promise<Told> {
  const waiter = stage.start('web', ['wait', '--json'])
  await Promise.race([stage.pause(PAUSE_MS), waiter.done])
  const { pid } = engineStatus(stage.home)
  if (pid === null) throw failure('the engine does not run')
  const killedAt = performance.now()
  process.kill(pid, 'SIGKILL')
  const healed = stage.untilHealed(pid).then(() => since(killedAt))
  const text = 'sent while the engine was dead'
  const [healedMs, sent] = await Promise.all([healed, stage.send('api', 'web', text)])
  expect(JSON.parse(await waiter.done), text)
  const arrivedMs = since(killedAt)
  const now = engineStatus(stage.home).pid
  const kept = sent.state === 'queued' ? 'kept on disk' : sent.state
  return {
    text: `engine ${pid} killed by kill -9: a sidecar healed it in ${healedMs} ms (process ${now})`,
    output: `a message sent meanwhile was ${kept} and reached web ${arrivedMs} ms after the kill`,
    fields: { killed: pid, pid: now, healedMs, state: sent.state, arrivedMs },
  }
}

async function killSession(stage: Stage): Promise<Told> {
  const watcher = stage.start('api', ['wait', 'docs', '--until', 'end', '--timeout', '15s', '--json'])
  await Promise.race([stage.pause(PAUSE_MS), watcher.done])
  const pid = stage.pids.get('docs')!
  const killedAt = performance.now()
  process.kill(pid, 'SIGKILL')
  const end = JSON.parse(await watcher.done) as { status: string; reason?: string }
  const ms = since(killedAt)
  if (end.status !== 'gone') throw failure(`docs is shown as ${end.status}`)
  const text = `session docs (process ${pid}) killed by kill -9: api knew after ${ms} ms that it is gone (${end.reason})`
  return { text, fields: { session: 'docs', pid, noticedMs: ms, reason: end.reason } }
}

async function readLater(stage: Stage): Promise<Told> {
  const text = 'read this when you are back'
  const { id, note } = await stage.send('api', 'docs', text)
  const messages = await stage.json<Message[]>('docs', ['inbox'])
  expect(messages[0], text)
  const shown = `api wrote to the dead docs (${note ?? 'no note'}); the next session of that name read it`
  return { text: shown, fields: { id, note, read: messages.length } }
}

interface Message {
  id: string
  from: string
  text: string
  sentAt: string
  verified: boolean
}

function expect(message: Message | undefined, text: string): Message {
  if (message?.text === text && message.from === 'api' && message.verified) return message
  throw failure(`expected "${text}" from api, got ${JSON.stringify(message)}`)
}

function failure(message: string): MeshError {
  return new MeshError('internal', message)
}

function since(start: number): number {
  return Math.round(performance.now() - start)
}

// --- the stage

interface Running {
  /** Resolves to what it printed; rejects when it failed. */
  done: Promise<string>
  /** `Date.now()` when it had printed everything. */
  endedAt(): number
}

interface RunOptions {
  ms?: number
  /** What it says on standard error is passed on. */
  notes?: boolean
  /** Also after an interrupt, and out of its reach. */
  always?: boolean
}

/** The demo's own mesh: its directory, its processes, and the clock that its lines show. */
class Stage {
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

  async tell({ name }: { name: string }, { text, output, fields }: Told): Promise<void> {
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
    // Whoever started it may be waiting for something else when it fails.
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

/** What the person has: the demo should not download it again, and touches nothing else there. */
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
