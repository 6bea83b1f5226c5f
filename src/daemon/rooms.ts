/** Builds the rooms of one session and connects them. The sidecar runs the session's life. */
import type { KeyObject } from 'node:crypto'
import type { Session as Peer } from '../api/ops.schema.ts'
import type { RunSpec } from '../api/supervisor.schema.ts'
import type { Entry } from '../core/mail/inbox.ts'
import type { ReadRecord } from '../core/runs/agent-end.ts'
import type { Harness } from '../harness/types.ts'
import { type Env, type Home, sessionDir } from '../host/home.ts'
import type { Logger } from '../host/log.ts'
import { identifyProcess } from '../host/process/process.ts'
import type { Place } from '../host/repository/project.ts'
import type { Settings } from '../host/settings.ts'
import { KeyRing, LOCAL_MEMBER, memberKey } from '../link/keys.ts'
import { Link } from '../link/link.ts'
import type { NatsConnection } from '../nats/connect.ts'
import { ProjectStore } from '../nats/project-store.ts'
import type { StoreListener } from '../nats/writes.ts'
import type { NameRecord } from '../wire/envelope.schema.ts'
import { limits } from '../wire/limits.ts'
import type { StartedIn } from '../wire/lineage.ts'
import type { SessionEnd } from '../wire/session-end.ts'
import { Courier } from './delivery/courier.ts'
import { InboundGuard } from './delivery/inbound.ts'
import { Beginnings } from './delivery/start.ts'
import { Context } from './delivery/state-context.ts'
import { writeRecord } from './disk/session-dir.ts'
import { EditNews } from './files/edits.ts'
import { type Arrival, Incoming } from './mail/incoming.ts'
import { LoopGuard } from './mail/loops.ts'
import type { Mailbox } from './mail/mailbox.ts'
import type { Sender } from './mail/outbox.ts'
import { Receipts, Steps } from './mail/receipts.ts'
import { Recipients } from './mail/recipients.ts'
import { Roles } from './mail/roles.ts'
import { enter } from './mail/send.ts'
import { opened, type Storage } from './mail/storage.ts'
import { actorOf, graceOf } from './names/actor.ts'
import { Damage } from './names/damage.ts'
import { Doing } from './names/doing.ts'
import { type Names, openNames } from './names/names.ts'
import { Naming } from './names/naming.ts'
import { notifyPeople } from './names/people.ts'
import { PresenceKeeper } from './names/presence.ts'
import type { Registry } from './names/registry.ts'
import { Trouble } from './names/trouble.ts'
import { arrived, type PolicySession, surfaced } from './policy.ts'
import { type CurrentRuns, openCurrentRuns } from './runs/current.ts'
import { findOwnRun } from './runs/own-run.ts'
import { Runs } from './runs/runs.ts'
import type { Entered, Letter, OwnRun } from './session.ts'
import { HandoffQueue } from './state/handoff-queue.ts'
import { Obligations } from './state/obligations.ts'
import { OwnState } from './state/own-state.ts'
import { keepRetention } from './state/retention.ts'
import { Board } from './tasks/board.ts'
import { ClaimWatch } from './tasks/leases.ts'
import { notifyConcerned } from './tasks/news.ts'
import { Witness } from './witness/witness.ts'

export interface SidecarOptions {
  env: Env
  home: Home
  settings: Settings
  /** `cc-<pid>`, `mcp-<pid>` or `op-<hash>`. */
  key: string
  place: Place
  harness: Harness
  desired: { name: string; explicit: boolean }
  /** The run that the session was started in, read from its environment. */
  startedIn?: StartedIn
  version: string
  log: Logger
  readRecord?: ReadRecord
  /** Ends a background session for good. `said` is its client's output at the start. Throws if that did not end it. */
  stopBackground?(spec: RunSpec, pid: number, said: string): Promise<void>
  onEnd(): void
}

export abstract class Rooms implements PolicySession {
  readonly options: SidecarOptions
  readonly home: Home
  readonly log: Logger
  readonly settings: Settings
  readonly place: Place
  readonly harness: Harness
  readonly desired: SidecarOptions['desired']
  readonly version: string
  readonly startedAt = new Date().toISOString()
  readonly run: OwnRun | null
  readonly key: KeyObject
  readonly ring: KeyRing
  readonly link: Link<ProjectStore>
  readonly damage: Damage
  readonly naming: Naming
  readonly presence: PresenceKeeper
  readonly doing: Doing
  readonly trouble: Trouble
  readonly recipients = new Recipients()
  readonly receipts: Receipts
  readonly steps: Steps
  readonly incoming: Incoming
  readonly loops: LoopGuard
  readonly inbound: InboundGuard
  readonly roles: Roles
  readonly edits: EditNews
  readonly board: Board
  readonly state: OwnState
  readonly obligations: Obligations
  readonly handoffs: HandoffQueue
  readonly context: Context
  readonly beginnings: Beginnings
  readonly courier: Courier
  readonly runs: Runs
  readonly witness: Witness
  readonly #names: Names
  readonly #currentRuns: CurrentRuns
  readonly names = async () => this.#names.read(this.link.store.names)
  readonly currentRuns = async () => this.#currentRuns.read(this.link.store.runs.records)
  storage: Storage | null = null
  isEnding = false
  lastActivityAt = this.startedAt

  constructor(options: SidecarOptions) {
    const { home, place, log, harness, settings, version, readRecord = () => null } = options
    this.run = findOwnRun(options)
    const asked = this.run?.name
    this.desired = asked === undefined ? options.desired : { name: asked, explicit: true }
    this.options = options
    this.home = home
    this.log = log
    this.settings = settings
    this.place = place
    this.harness = harness
    this.version = version
    this.key = memberKey(home)
    this.ring = new KeyRing(home, place.project, { member: LOCAL_MEMBER, key: this.key })
    this.#names = openNames(home, place.project, version)
    this.#currentRuns = openCurrentRuns(home, place.project, version)
    this.link = this.#openLink()
    this.damage = new Damage(this)
    this.naming = new Naming(this)
    this.presence = new PresenceKeeper(this)
    this.doing = new Doing(this)
    this.trouble = new Trouble(this)
    this.receipts = new Receipts(log)
    this.steps = new Steps(this.receipts, this)
    this.incoming = new Incoming(this)
    this.loops = new LoopGuard(this)
    this.inbound = new InboundGuard(this)
    this.roles = new Roles(this)
    this.edits = new EditNews(this)
    this.board = this.#openBoard()
    this.state = new OwnState(log)
    const about = { log, run: this.run, runs: this.#currentRuns }
    this.obligations = new Obligations({ ...about, storage: () => this.storage, me: () => this.record.name })
    this.handoffs = new HandoffQueue(this)
    keepRetention(this)
    this.context = new Context(this)
    this.beginnings = new Beginnings(this)
    this.courier = new Courier(this)
    this.runs = new Runs(this, { startedAt: this.startedAt, readRecord, stopBackground: options.stopBackground })
    this.witness = this.#openWitness(readRecord)
  }

  #openLink(): Link<ProjectStore> {
    const { home, env, log, place } = this.options
    const listeners = (stalls: StoreListener) => [stalls, this.damage]
    const open = (nc: NatsConnection, stalls: StoreListener) => ProjectStore.open(nc, place.project, listeners(stalls))
    const { name } = this.desired
    return new Link({ home, env, name, log, open, onUp: (store) => this.up(store), onDown: () => this.down() })
  }

  #openBoard(): Board {
    const { log, settings } = this
    const claims = new ClaimWatch({
      log,
      board: () => this.board,
      grace: graceOf(settings),
      me: () => actorOf(this.record),
      sessions: (store) => this.presence.sessions(store),
      onFell: async (before, after) => void (await notifyConcerned(this, before, after)),
    })
    return new Board({ log, most: limits.tasks, onOpen: (store) => claims.attach(store) })
  }

  #openWitness(readRecord: ReadRecord): Witness {
    const { home, log, options } = this
    const store = () => (this.link.up ? this.link.store : null)
    const about = { home, log, key: options.key, readRecord, store }
    return new Witness({ ...about, name: () => this.called, notifyPeople: (text) => notifyPeople(this, text) })
  }

  /** Joins over a new connection, and does what an earlier attempt left undone. */
  abstract up(store: ProjectStore): Promise<void>
  abstract down(): void
  /** Gives up the name and closes its files on this machine. */
  abstract leave(): void
  abstract follow(): Promise<void>
  abstract checkName(): Promise<void>
  abstract ready(): Promise<void>
  abstract settled(): Promise<unknown>

  get registry(): Registry {
    return this.naming.registry
  }

  get record(): NameRecord {
    return this.registry.record
  }

  get isNamed(): boolean {
    return this.registry.claimed
  }

  get called(): string {
    return this.isNamed ? this.record.name : this.desired.name
  }

  get sessionId(): string {
    return this.naming.conversation.sessionId
  }

  get mailbox(): Mailbox {
    return opened(this).mailbox
  }

  get sender(): Sender {
    return opened(this).sender
  }

  get unread(): number {
    return this.storage?.mailbox.inbox.size ?? 0
  }

  /** Number of unread messages, including those still in the stream. */
  get waiting(): number {
    return Math.max(this.unread, opened(this).backlog)
  }

  get isFree(): boolean {
    return this.inbound.isOpen && this.courier.isFree
  }

  get isAwaiting(): boolean {
    return this.courier.awaitsOne
  }

  async sessions(): Promise<Peer[]> {
    return this.presence.sessions(this.link.store)
  }

  send(letter: Letter): Promise<Entered> {
    return enter(this, letter)
  }

  arrived(arrival: Arrival): void {
    arrived(this, arrival)
  }

  surfaced(entries: readonly Entry[], evidence: string, door: string): void {
    surfaced(this, entries, evidence, door)
  }

  poke(): void {
    this.presence.changed()
    this.courier.poke()
  }

  touch(): void {
    this.lastActivityAt = new Date().toISOString()
  }

  recallOffer(): Promise<void> {
    return this.courier.recallOffer()
  }

  async stored(seq: number): Promise<Entry | undefined> {
    const delivery = await this.link.store.messageAt(seq)
    const read = delivery && this.incoming.read(delivery)
    const arrived = read && (await this.incoming.bound(read))
    return arrived ? { ...arrived, arrivedAt: 0, handover: null, repeat: false, held: false } : undefined
  }

  async save(): Promise<void> {
    const { name, epoch } = this.record
    if (!(await this.mailbox.save(this.link.store, name, epoch))) this.log.warn('the surfaced record has a later owner')
  }

  /** Writes the session's record into the session directory, with its end if there is one. */
  writeRecord(end?: SessionEnd): void {
    const { home, harness, version, place, sessionId, startedAt } = this
    const { name, epoch } = this.record
    writeRecord(sessionDir(home, this.options.key), {
      ...{ sidecar: identifyProcess(process.pid)!, pid: process.pid, name, epoch, project: place.project },
      ...{ harness: harness.kind, sessionId, process: harness.process, run: this.run?.id, version },
      ...{ program: process.argv[1], startedAt },
      ...(end ? { ended: { reason: end.reason, reasonCode: end.code, at: new Date().toISOString() } } : {}),
    })
  }
}
