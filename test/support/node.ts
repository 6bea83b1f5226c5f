/**
 * Sidecars in this process on a real engine: sessions that can be stopped, crashed and cut off, sidecars as processes
 * of their own, and an attacker who has the engine's credentials. Each test has a project of its own.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, connect as dial, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type JetStreamManager, jetstreamManager } from '@nats-io/jetstream'
import { build } from 'esbuild'
import { type MsgHdrs, headers as natsHeaders } from 'nats'
import { test as base, expect } from 'vitest'
import type { Message, Op, Request, Response } from '../../src/api/ops.schema.ts'
import { type CallOptions, call } from '../../src/client/client.ts'
import { version } from '../../src/client/version.ts'
import type { Offer } from '../../src/core/mail/inbox.ts'
import { answersOf } from '../../src/daemon/handlers.ts'
import { Sidecar } from '../../src/daemon/sidecar.ts'
import { type ApiServer, serve } from '../../src/daemon/socket/server.ts'
import { engineStatus, startEngine } from '../../src/engine/engine.ts'
import { engineUser } from '../../src/engine/nkey.ts'
import type { Conversation, Door, Harness, HarnessEvents, Recalled } from '../../src/harness/types.ts'
import { ensurePrivateDir } from '../../src/host/files.ts'
import { type Env, type Home, meshHome, operatorKey, sessionDir, socketPath } from '../../src/host/home.ts'
import { createLogger } from '../../src/host/log.ts'
import { identifyProcess } from '../../src/host/process/process.ts'
import { defaultSettings, type Settings } from '../../src/host/settings.ts'
import { memberKey } from '../../src/link/keys.ts'
import { connectEngine, type NatsConnection } from '../../src/nats/connect.ts'
import { ProjectStore } from '../../src/nats/project-store.ts'
import { encodeEnvelope } from '../../src/wire/codec.ts'
import type { Envelope, ProcessIdentity, SessionStatus } from '../../src/wire/envelope.schema.ts'
import { newId, parseRecipient } from '../../src/wire/names.ts'
import { messageSubject, storeNames } from '../../src/wire/subjects.ts'
import { endEngine, scrubbedEnv, temporaryDir, testEngineBinary } from './engine.ts'

/** A ceiling for what takes a fraction of a second. */
export const WAIT = { timeout: 30_000, interval: 10 }
const root = join(import.meta.dirname, '..', '..')
const SHOWN_LEVEL = 40

/** `test` with a project of its own on this file's engine. What a failed test's sidecars logged is printed. */
export const test = base
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads from the pattern which fixtures are wanted
  .extend('world', { scope: 'file' }, async ({}, { onCleanup }) => {
    const world = await World.start()
    onCleanup(() => world.close())
    return world
  })
  .extend('project', async ({ world, task }, { onCleanup }) => {
    const project = new Project(world)
    onCleanup(() => {
      if (task.result?.state === 'fail') project.printLogs()
      return project.close()
    })
    return project
  })

/** Waits for a condition, also where no assertion can: in a hook or a concurrent test. */
export async function until(look: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const deadline = performance.now() + WAIT.timeout
  while (!(await look())) {
    if (performance.now() > deadline) throw new Error(`${what}: not within ${WAIT.timeout / 1000} s`)
    await sleep(WAIT.interval)
  }
}

/** One mesh home and its engine. */
export class World {
  readonly home: Home
  readonly env: Env
  readonly #temporary: { path: string; remove(): void }
  #programs = 0
  #projects = 0
  #program: Promise<string> | null = null

  private constructor(temporary: { path: string; remove(): void }, env: Env) {
    this.#temporary = temporary
    this.env = env
    this.home = meshHome(env)
  }

  static async start(): Promise<World> {
    const temporary = temporaryDir()
    const env = { MESH_HOME: join(temporary.path, 'h'), MESH_ENGINE: await testEngineBinary() }
    const world = new World(temporary, { ...scrubbedEnv(), ...env })
    await startEngine(world.home, world.env, () => {})
    return world
  }

  get url(): string {
    return engineStatus(this.home).url!
  }

  nextProject(): string {
    return `p${++this.#projects}`
  }

  /** A directory of this world that nobody else uses. */
  directory(): string {
    const path = join(this.#temporary.path, `d${++this.#programs}`)
    mkdirSync(path, { mode: 0o700 })
    return path
  }

  /** The sidecar as a program, from the sources as they are now. */
  program(): Promise<string> {
    this.#program ??= bundleSidecar(join(this.directory(), 'sidecar.js'))
    return this.#program
  }

  killEngine(): void {
    process.kill(engineStatus(this.home).pid!, 'SIGKILL')
  }

  async close(): Promise<void> {
    await endEngine(this.home)
    this.#temporary.remove()
  }
}

async function bundleSidecar(outfile: string): Promise<string> {
  await build({
    entryPoints: [join(root, 'src', 'daemon', 'main.ts')],
    bundle: true,
    platform: 'node',
    format: 'cjs',
    outfile,
    define: { MESH_VERSION: JSON.stringify(version), 'import.meta.dirname': '__dirname' },
    logLevel: 'silent',
  })
  return outfile
}

interface NodeOptions {
  settings?: Partial<Settings>
  /** Null: the name is derived, not asked for. */
  explicit?: boolean
  worktree?: string
  /** The conversation's id. */
  session?: string
  source?: Conversation['source']
  movedAt?: string
  /** The sidecar is there before the client said how the conversation began. */
  early?: boolean
  /** The process that is the session; default: a new one. */
  process?: SessionProcess
  /** Where it runs; default: the world's own machine. */
  machine?: Machine
  doors?: Door[]
}

/** The sessions of one project. */
export class Project {
  readonly world: World
  readonly name: string
  readonly #nodes: Node[] = []
  readonly #others: { close(): Promise<void> | void }[] = []
  #attacker: Promise<Attacker> | null = null

  constructor(world: World) {
    this.world = world
    this.name = world.nextProject()
  }

  async node(name: string, options: NodeOptions = {}): Promise<Node> {
    const node = new Node(this, name, options)
    this.#nodes.push(node)
    await node.start()
    return node
  }

  /** Sessions with these names, each in its own worktree. */
  async nodes<N extends string>(...names: N[]): Promise<Record<N, Node>> {
    const nodes = await Promise.all(names.map((name) => this.node(name)))
    return Object.fromEntries(names.map((name, i) => [name, nodes[i]])) as Record<N, Node>
  }

  /** An operator's sidecar as a process of its own. */
  async spawn(name: string): Promise<SidecarProcess> {
    const sidecar = new SidecarProcess(this, name)
    this.#others.push(sidecar)
    await sidecar.start()
    return sidecar
  }

  /** Another machine of the same member: its own files, its own link to the engine, which can be cut. */
  async machine(): Promise<Machine> {
    const machine = await Machine.make(this.world)
    this.#others.push(machine)
    return machine
  }

  process(): SessionProcess {
    const started = new SessionProcess()
    this.#others.push(started)
    return started
  }

  /** Somebody who holds the engine's credentials and the member's key. Connects anew after an engine's end. */
  async attacker(): Promise<Attacker> {
    const known = await this.#attacker
    if (known && !known.nc.isClosed()) return known
    const connecting = Attacker.connect(this)
    this.#attacker = connecting
    this.#others.push(await connecting)
    return connecting
  }

  printLogs(): void {
    for (const node of this.#nodes) {
      const lines = node.log.filter(({ level }) => level >= SHOWN_LEVEL).map((line) => JSON.stringify(line))
      if (lines.length > 0) console.log(`--- ${node.asked}\n${lines.slice(-20).join('\n')}`)
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.#nodes.map((node) => node.crash()))
    await Promise.all(this.#others.map((other) => other.close()))
  }
}

/** A process that is nothing but a session's identity. It ends with this process at the latest. */
export class SessionProcess {
  readonly identity: ProcessIdentity
  readonly #child: ChildProcess

  constructor() {
    this.#child = spawn('cat', [], { stdio: ['pipe', 'ignore', 'ignore'] })
    this.identity = identifyProcess(this.#child.pid!)!
  }

  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    this.#child.kill('SIGKILL')
    await once(this.#child, 'exit')
  }

  close(): Promise<void> {
    return this.kill()
  }
}

const EARLY_MS = 50

/** A client that does what the test says. */
class FakeHarness implements Harness {
  readonly kind = 'test'
  readonly process: ProcessIdentity
  readonly conversation: Conversation
  readonly doors: readonly Door[]
  events!: HarnessEvents
  /** What the model read at its start. */
  startText = ''

  readonly #first: Conversation

  constructor(identity: ProcessIdentity, conversation: Conversation, doors: readonly Door[], early: boolean) {
    this.process = identity
    this.conversation = early ? { ...conversation, source: null } : conversation
    this.#first = conversation
    this.doors = doors
  }

  async start(events: HarnessEvents): Promise<void> {
    this.events = events
    events.status('idle')
    if (this.conversation === this.#first) await this.begins(this.#first)
    else setTimeout(() => void this.begins(this.#first), EARLY_MS)
  }

  /** A conversation begins in this process. */
  async begins(conversation: Conversation): Promise<void> {
    this.startText = await this.events.conversation(conversation)
  }

  /** What a client shows of an earlier sidecar's hand-overs. */
  recall(offers: readonly Offer[]): Recalled[] {
    return offers.map(() => this.recalled)
  }

  recalled: Recalled = { state: 'lost', evidence: '' }

  async stop(): Promise<void> {}
}

/** A door that keeps what is offered. */
export class FakeDoor implements Door {
  readonly name = 'inbox-socket'
  readonly reaches: readonly SessionStatus[] = ['idle']
  readonly offers: { text: string; token: string }[] = []

  available(): boolean {
    return true
  }

  async offer(text: string, token: string): Promise<void> {
    this.offers.push({ text, token })
  }

  lies(): boolean {
    return false
  }

  async withdraw(): Promise<boolean> {
    return false
  }
}

interface LogLine {
  level: number
  msg: string
  [field: string]: unknown
}

type Sending = Omit<Request<'send'>, 'id' | 'to' | 'text'> & { id?: string }

/** One session: a real sidecar behind its real socket, with a client that does what the test says. */
export class Node {
  readonly asked: string
  readonly project: Project
  readonly process: SessionProcess
  readonly harness: FakeHarness
  readonly sidecar: Sidecar
  readonly log: LogLine[] = []
  readonly socket: string
  readonly dir: string
  #server: ApiServer | null = null
  #over = false

  constructor(project: Project, name: string, options: NodeOptions) {
    const { worktree = `/work/${name}`, session = `session-${name}`, doors = [], explicit = false } = options
    const { source = 'startup', movedAt, early = false } = options
    const conversation = { sessionId: session, source, cwd: worktree, ...(movedAt ? { movedAt } : {}) }
    this.asked = name
    this.project = project
    this.process = options.process ?? project.process()
    this.harness = new FakeHarness(this.process.identity, conversation, doors, early)
    const home = options.machine?.home ?? project.world.home
    const key = `cc-${this.process.identity.pid}`
    this.dir = sessionDir(home, key)
    this.socket = socketPath(this.dir)
    this.sidecar = new Sidecar({
      env: options.machine?.env ?? project.world.env,
      home,
      settings: { ...defaultSettings, ...options.settings },
      key,
      place: { project: project.name, worktree, defaultName: name },
      harness: this.harness,
      desired: { name, explicit },
      version,
      log: createLogger('debug', (line) => this.log.push(JSON.parse(line))),
      onEnd: () => {},
    })
  }

  async start(): Promise<void> {
    const { sidecar } = this
    ensurePrivateDir(this.dir)
    this.#server = await serve(this.socket, version, answersOf(sidecar), sidecar.log)
    await sidecar.start()
    await this.joined()
  }

  /** Resolves once it is on the mesh. */
  async joined(): Promise<void> {
    await until(() => this.sidecar.link.up && this.sidecar.registry.claimed, `${this.asked} on the mesh`)
    await this.sidecar.presence.beat()
  }

  get name(): string {
    return this.sidecar.record.name
  }

  call<O extends Op>(op: O, body: Request<O>, options?: CallOptions): Promise<Response<O>> {
    return call(this.socket, op, body, options)
  }

  send(to: string, text: string, { id = newId('m'), ...options }: Sending = {}): Promise<Response<'send'>> {
    return this.call('send', { id, to, text, ...options })
  }

  /** Takes the unread messages as `mesh inbox` does. */
  async take(): Promise<Message[]> {
    const { messages, handover } = await this.call('inbox', {})
    if (handover !== undefined) await this.call('taken', { handover })
    return messages
  }

  /** Takes messages until there are `count`; their texts. */
  async texts(count: number): Promise<string[]> {
    return (await this.messages(count)).map(({ text }) => text)
  }

  async messages(count: number): Promise<Message[]> {
    const all: Message[] = []
    const enough = async () => {
      all.push(...(await this.take()))
      return all.length >= count
    }
    await until(enough, `${count} messages for ${this.asked}`)
    return all
  }

  /**
   * Proves that nothing is there to read: what is sent to it now comes next, and alone. Only for mail: a role's
   * message comes on another way.
   */
  async nothingElse(): Promise<void> {
    const mark = `mark ${newId('m')}`
    await (await this.project.attacker()).say(this.name, mark)
    expect(await this.texts(1)).toEqual([mark])
  }

  status(status: SessionStatus): void {
    this.harness.events.status(status)
  }

  logged(message: string): LogLine[] {
    return this.log.filter(({ msg }) => msg.includes(message))
  }

  /** What the engine knows of the consumer that reads this session's mail. */
  async consumer() {
    const { name, epoch } = this.sidecar.record
    const { jsm } = await this.project.attacker()
    return jsm.consumers.info(storeNames(this.project.name).messages, `${name}-${epoch}`)
  }

  /** The session ends and says so. */
  async stop(): Promise<void> {
    if (this.#over) return
    this.#over = true
    await this.sidecar.end({ code: 'ended', reason: 'ended' })
    await this.#server?.close()
  }

  /** The sidecar is no more, without a word: what it kept on disk stays. Its session lives on. */
  async crash(): Promise<void> {
    if (this.#over) return
    this.#over = true
    await this.sidecar.link.stop()
    await this.sidecar.end({ code: 'killed', reason: 'crashed' })
    await this.#server?.close()
    // It says there that it ended.
    rmSync(this.dir, { recursive: true, force: true })
  }

  /** Session and sidecar die at once. */
  async die(): Promise<void> {
    await this.crash()
    await this.process.kill()
  }
}

/** An operator's sidecar in a process of its own: it can be killed for real. */
export class SidecarProcess {
  readonly #project: Project
  readonly #name: string
  #child: ChildProcess | null = null

  constructor(project: Project, name: string) {
    this.#project = project
    this.#name = name
  }

  get socket(): string {
    const { world, name } = this.#project
    return socketPath(sessionDir(world.home, operatorKey(name, this.#name)))
  }

  async start(): Promise<void> {
    const { world, name } = this.#project
    const dir = sessionDir(world.home, operatorKey(name, this.#name))
    this.#child = spawn(process.execPath, [await world.program(), 'operator', dir], {
      cwd: world.home.root,
      env: { ...(world.env as Record<string, string>), MESH_PROJECT: name, MESH_NAME: this.#name },
      stdio: ['ignore', 'ignore', 'inherit'],
    })
    const connected = () =>
      this.call('whoami', {}).then(
        (me) => me.connected,
        () => false,
      )
    await until(connected, `${this.#name} on the mesh`)
  }

  call<O extends Op>(op: O, body: Request<O>, options?: CallOptions): Promise<Response<O>> {
    return call(this.socket, op, body, options)
  }

  signal(name: NodeJS.Signals): void {
    this.#child?.kill(name)
  }

  /** kill -9. */
  async kill(): Promise<void> {
    const child = this.#child
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGKILL')
    await once(child, 'exit')
  }

  close(): Promise<void> {
    return this.kill()
  }
}

/** Another machine of the same member. */
export class Machine {
  readonly home: Home
  readonly env: Env = { PATH: '' }
  readonly cable: Cable

  private constructor(home: Home, cable: Cable) {
    this.home = home
    this.cable = cable
  }

  static async make(world: World): Promise<Machine> {
    const dir = world.directory()
    const cable = await Cable.lay(Number(new URL(world.url).port))
    const home = { ...meshHome({ MESH_HOME: dir }), memberKey: world.home.memberKey }
    mkdirSync(home.engine, { mode: 0o700 })
    const record = JSON.parse(readFileSync(join(world.home.engine, 'engine.json'), 'utf8'))
    writeFileSync(join(home.engine, 'engine.json'), JSON.stringify({ ...record, port: cable.port }))
    copyFileSync(join(world.home.engine, 'user.key'), join(home.engine, 'user.key'))
    return new Machine(home, cable)
  }

  close(): void {
    this.cable.close()
  }
}

/** A line to the engine that can be cut and mended. */
class Cable {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #isCut = false
  /** Bytes from this machine to the engine. */
  sent = 0

  private constructor(to: number) {
    this.#server = createServer((near) => {
      if (this.#isCut) return void near.destroy()
      const far = dial(to, '127.0.0.1')
      near.on('data', (chunk: Buffer) => {
        this.sent += chunk.length
      })
      for (const [a, b] of [
        [near, far],
        [far, near],
      ] as const) {
        this.#sockets.add(a)
        a.on('error', () => {}).on('close', () => {
          this.#sockets.delete(a)
          b.destroy()
        })
        a.pipe(b)
      }
    })
  }

  static async lay(to: number): Promise<Cable> {
    const cable = new Cable(to)
    cable.#server.listen(0, '127.0.0.1')
    await once(cable.#server, 'listening')
    return cable
  }

  get port(): number {
    return (this.#server.address() as { port: number }).port
  }

  cut(): void {
    this.#isCut = true
    for (const socket of this.#sockets) socket.destroy()
  }

  mend(): void {
    this.#isCut = false
  }

  close(): void {
    this.cut()
    this.#server.close()
  }
}

interface Publishing {
  reply?: string
  msgId?: string
}

/** Somebody who holds the engine's credentials and the member's key, and no sidecar. */
export class Attacker {
  readonly nc: NatsConnection
  readonly jsm: JetStreamManager
  readonly store: ProjectStore
  readonly #project: Project

  private constructor(project: Project, nc: NatsConnection, jsm: JetStreamManager, store: ProjectStore) {
    this.#project = project
    this.nc = nc
    this.jsm = jsm
    this.store = store
  }

  static async connect(project: Project): Promise<Attacker> {
    const { world, name } = project
    const user = engineUser(world.home)
    const nc = await connectEngine({ url: world.url, user, name: 'attacker' }, () => {})
    return new Attacker(project, nc, await jetstreamManager(nc), await ProjectStore.open(nc, name))
  }

  /** An envelope as a sidecar would make it, unsigned. */
  envelope(from: string, to: string, over: Partial<Envelope> = {}): Envelope {
    return {
      v: 1,
      kind: 'message',
      id: newId('m'),
      project: this.#project.name,
      from: { member: 'local', name: from, epoch: 1 },
      to,
      seq: 1,
      sentAt: new Date().toISOString(),
      hops: 0,
      body: { text: 'hand-made' },
      ...over,
    }
  }

  /** The envelope with the member's true signature. */
  signed(from: string, to: string, over: Partial<Envelope> = {}): Uint8Array {
    return encodeEnvelope(this.envelope(from, to, over), memberKey(this.#project.world.home))
  }

  subject(from: string, to: string): string {
    return messageSubject(this.#project.name, parseRecipient(to), { member: 'local', name: from })
  }

  /** Publishes and waits until it is stored, unless the server's answer is to go elsewhere. */
  async publish(subject: string, data: Uint8Array | string, { reply, msgId }: Publishing = {}): Promise<void> {
    const headers: MsgHdrs | undefined = msgId === undefined ? undefined : natsHeaders()
    headers?.set('Nats-Msg-Id', msgId!)
    if (reply === undefined) await this.nc.request(subject, data, { timeout: 10_000, headers })
    else this.nc.publish(subject, data, { reply, headers })
    await this.nc.flush()
  }

  /** A good message from a session called `from`. */
  async say(to: string, text: string, from = 'crowd', over: Partial<Envelope> = {}): Promise<void> {
    await this.publish(this.subject(from, to), this.signed(from, to, { body: { text }, ...over }))
  }

  async close(): Promise<void> {
    await this.nc.close()
  }
}
