import { rmSync } from 'node:fs'
import { test as base, expect } from 'vitest'
import type { Message, Op, Request, Response } from '../../src/api/ops.schema.ts'
import { type CallOptions, call } from '../../src/client/client.ts'
import { version } from '../../src/client/version.ts'
import { answersOf } from '../../src/daemon/handlers.ts'
import { Sidecar } from '../../src/daemon/sidecar.ts'
import { type ApiServer, serve } from '../../src/daemon/socket/server.ts'
import type { Conversation, Door } from '../../src/harness/types.ts'
import { ensurePrivateDir } from '../../src/host/files.ts'
import { nameDir, runDir, sessionDir, socketPath } from '../../src/host/home.ts'
import { createLogger } from '../../src/host/log.ts'
import { defaultSettings, type Settings } from '../../src/host/settings.ts'
import type { SessionStatus } from '../../src/wire/envelope.schema.ts'
import { newId } from '../../src/wire/names.ts'
import { storeNames } from '../../src/wire/subjects.ts'
import { Attacker } from './lab/attacker.ts'
import { keepDisk } from './lab/disk.ts'
import { FakeHarness, SessionProcess } from './lab/fake-client.ts'
import { Machine } from './lab/machine.ts'
import { SidecarProcess } from './lab/sidecar-process.ts'
import { until, World } from './lab/world.ts'

export { FakeDoor, SessionProcess } from './lab/fake-client.ts'
export { until, WAIT, World } from './lab/world.ts'

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

  /** The sidecar is no more, without a word: what it kept on disk stays as it is. Its session lives on. */
  async crash(): Promise<void> {
    if (this.#over) return
    this.#over = true
    await this.sidecar.link.stop()
    // In this process it can only end in good order: what it writes down then is taken back.
    const restore = keepDisk(this.#kept(), this.project.world.directory())
    await this.sidecar.end({ code: 'killed', reason: 'crashed' })
    await this.#server?.close()
    restore()
    rmSync(this.dir, { recursive: true, force: true })
  }

  /** The directories that outlive the sidecar. */
  #kept(): string[] {
    const { home, registry, run, record } = this.sidecar
    return [
      ...(registry.claimed ? [nameDir(home, this.project.name, record.name)] : []),
      ...(run ? [runDir(home, run.id)] : []),
    ]
  }

  /** Session and sidecar die at once. */
  async die(): Promise<void> {
    await this.crash()
    await this.process.kill()
  }
}
