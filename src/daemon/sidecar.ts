/** One session on the mesh: wires link, name, mail, presence, roles and witness together, and ends it truthfully. */
import type { KeyObject } from 'node:crypto'
import type { Session as Peer } from '../api/ops.schema.ts'
import type { RunSpec } from '../api/supervisor.schema.ts'
import { isControl } from '../core/mail/control.ts'
import type { Entry } from '../core/mail/inbox.ts'
import type { ReadRecord } from '../core/runs/agent-end.ts'
import { MeshError } from '../errors.ts'
import type { Conversation, Harness } from '../harness/types.ts'
import { type Env, type Home, sessionDir } from '../host/home.ts'
import { alarms, type Logger } from '../host/log.ts'
import { identifyProcess } from '../host/process/process.ts'
import type { Place } from '../host/repository/project.ts'
import type { Settings } from '../host/settings.ts'
import { exchangeKeys, KeyRing, LOCAL_MEMBER, memberKey } from '../link/keys.ts'
import { Link } from '../link/link.ts'
import { Stalls } from '../link/stalls.ts'
import { ProjectStore } from '../nats/project-store.ts'
import type { NameRecord } from '../wire/envelope.schema.ts'
import { limits } from '../wire/limits.ts'
import type { StartedIn } from '../wire/lineage.ts'
import type { SessionEnd } from '../wire/session-end.ts'
import { obey } from './control.ts'
import { StateTelling } from './delivery/context.ts'
import { Courier } from './delivery/courier.ts'
import { Beginnings } from './delivery/start.ts'
import { removeLocked, writeRecord } from './disk/session-dir.ts'
import { passClaims } from './files/claims.ts'
import { EditNews } from './files/edits.ts'
import { drainAll } from './mail/drain.ts'
import { adoptFormer, catchUp } from './mail/former.ts'
import { Arrivals, type Arrived, Intake, isDirect } from './mail/incoming.ts'
import { LoopGuard } from './mail/loops.ts'
import type { Mailbox } from './mail/mailbox.ts'
import type { Sender } from './mail/outbox.ts'
import { isToldOf, Receipts, Telling } from './mail/receipts.ts'
import { Recipients } from './mail/recipients.ts'
import { Roles } from './mail/roles.ts'
import { enter, tellOperators, tellPeople, tellRenamed } from './mail/send.ts'
import { Holding } from './mail/storage.ts'
import { actorOf, graceOf } from './names/actor.ts'
import { Naming } from './names/claim.ts'
import { joined } from './names/memberships.ts'
import { PresenceKeeper } from './names/presence.ts'
import type { Registry } from './names/registry.ts'
import { findOwnRun } from './runs/own.ts'
import { Runs } from './runs/runs.ts'
import type { Entered, Letter, OwnRun } from './session.ts'
import { finishHandoffs, HANDOFF, type StateSession, takeHandoffs } from './state/handoff.ts'
import { Obligations } from './state/obligations.ts'
import { OwnState } from './state/own.ts'
import { Board } from './tasks/board.ts'
import { ClaimWatch } from './tasks/leases.ts'
import { tellConcerned } from './tasks/news.ts'
import { Witness } from './witness/witness.ts'

/** The end of `claude -p` waits for its hooks' children: what is not told by then is told by a witness. */
const FAREWELL_MS = 100
/** An engine that died is back within this long, or it will take time. */
const READY_MS = 1500

export interface SidecarOptions {
  env: Env
  home: Home
  settings: Settings
  /** `cc-<pid>`, `mcp-<pid>` or `op-<hash>`. */
  key: string
  place: Place
  harness: Harness
  desired: { name: string; explicit: boolean }
  /** The run that the session was started in, as its environment has it. */
  startedIn?: StartedIn
  version: string
  log: Logger
  readRecord?: ReadRecord
  /** Ends a background session for good, by what its client said when it started it. Throws if that did not. */
  stopBackground?(spec: RunSpec, pid: number, said: string): Promise<void>
  onEnd(): void
}

export class Sidecar implements StateSession {
  readonly #options: SidecarOptions
  readonly home: Home
  readonly log: Logger
  readonly settings: Settings
  readonly place: Place
  readonly harness: Harness
  readonly desired: SidecarOptions['desired']
  readonly version: string
  readonly recipients = new Recipients()
  readonly link: Link<ProjectStore>
  readonly courier: Courier
  readonly board: Board
  readonly state: OwnState
  readonly obligations: Obligations
  readonly #stateTelling: StateTelling
  readonly receipts: Receipts
  readonly presence: PresenceKeeper
  /** The run that the session is; null for a person at a shell. */
  readonly run: OwnRun | null
  readonly loops: LoopGuard
  readonly #naming: Naming
  readonly #telling: Telling
  readonly runs: Runs
  readonly #edits = new EditNews(this)
  readonly #roles: Roles
  readonly #beginnings: Beginnings
  readonly #witness: Witness
  readonly #stalls: Stalls
  readonly key: KeyObject
  readonly ring: KeyRing
  readonly #intake: Intake
  readonly #arrivals: Arrivals
  #linked: Promise<void> = Promise.resolve()
  #handing: Promise<void> = Promise.resolve()
  #renaming: Promise<unknown> = Promise.resolve()
  #holding: Holding | null = null
  readonly #startedAt = new Date().toISOString()
  #lastActivityAt = this.#startedAt
  #ending = false

  constructor(options: SidecarOptions) {
    this.run = findOwnRun(options)
    const { home, env, place, log, harness } = options
    const asked = this.run?.name
    const desired = asked === undefined ? options.desired : { name: asked, explicit: true }
    this.#options = options
    this.home = home
    this.log = log
    this.settings = options.settings
    this.place = place
    this.harness = harness
    this.desired = desired
    this.version = options.version
    this.#naming = new Naming({ harness, place, desired, run: this.run?.id ?? null, log, leave: () => this.leave() })
    const readRecord = options.readRecord ?? (() => null)
    this.key = memberKey(home)
    this.ring = new KeyRing(home, place.project, { member: LOCAL_MEMBER, key: this.key })
    this.#intake = new Intake(place.project, this.ring, log)
    this.#arrivals = new Arrivals({
      intake: this.#intake,
      record: () => this.record,
      mailbox: () => this.mailbox,
      store: () => this.link.store,
      isSent: (id) => this.sender.get(id) !== undefined,
      isAwaited: () => this.courier.awaitsOne,
      know: (from) => this.loops.know(from),
      judge: (envelope, verified) => !isControl(envelope) && this.loops.judge(envelope, verified),
      onArrived: (arrived, isNew, held) => this.#onArrived(arrived, isNew, held),
    })
    this.loops = new LoopGuard({
      log,
      limit: options.settings.loopRounds,
      isAgent: harness.kind !== 'shell',
      kept: () => this.#holding,
      store: () => this.link.store,
      onReleased: (entries, evidence) => this.#onReleased(entries, evidence),
      tellPeople: (peer, rounds) => tellPeople(this, peer, rounds),
      onChange: () => this.presence.changed(),
    })
    const claims = new ClaimWatch({
      log,
      board: () => this.board,
      grace: graceOf(options.settings),
      me: () => actorOf(this.record),
      sessions: (store) => this.presence.sessions(store),
      onFell: async (before, after) => void (await tellConcerned(this, before, after)),
    })
    this.board = new Board({ log, most: limits.tasks, onOpen: (store) => claims.attach(store) })
    this.state = new OwnState(log)
    const held = () => this.#holding
    this.obligations = new Obligations({ log, run: this.run, held, me: () => this.record.name })
    this.#stateTelling = new StateTelling({
      tokens: options.settings.stateTokens,
      me: () => this.record.name,
      document: () => this.state.document,
      obligations: () => this.obligations.list(),
      book: () => held()?.ledger ?? null,
      follow: (token) => harness.follow?.(token),
      wasRead: (token) => harness.wasRead?.(token) ?? false,
      onRead: () => void this.#beginnings.keptWasRead(),
      onDue: () => this.courier.poke(),
    })
    this.receipts = new Receipts(log)
    this.#telling = new Telling(this.receipts, () => this.record)
    this.#stalls = new Stalls({ home, env, log })
    this.courier = new Courier({
      doors: harness.doors,
      floorMs: options.settings.floorSeconds * 1000,
      log,
      recall: (offers) => harness.recall?.(offers) ?? offers.map(() => ({ state: 'lost', evidence: '' })),
      onStep: (entries, state, evidence) => this.#telling.step(entries, state, evidence),
      onSurfaced: (entries, evidence, door) => this.#onSurfaced(entries, evidence, door),
      note: () => this.loops.note(),
      aside: this.#stateTelling,
      onChange: () => this.presence.changed(),
    })
    this.runs = new Runs(this, {
      startedAt: this.#startedAt,
      readRecord,
      tell: (mail, state, evidence) => this.#telling.one(mail, state, evidence),
      stopBackground: options.stopBackground,
    })
    this.#beginnings = new Beginnings({
      session: this,
      naming: this.#naming,
      follow: (store) => this.#follow(store),
      kept: (source) => this.#stateTelling.begin(source),
    })
    this.presence = new PresenceKeeper({ log, current: () => this.#heartbeat(), onBeat: () => void this.#checkName() })
    this.#roles = new Roles({
      log,
      me: () => this.registry.record,
      isFree: () => this.courier.isFree,
      read: (delivery) => this.#arrivals.ofRole(delivery),
      inbox: () => this.mailbox.inbox,
      accept: (delivery, repeat) => this.#arrivals.onTaken(delivery, repeat),
      drop: (id) => this.mailbox.drop(id),
    })
    this.link = new Link({
      home,
      env,
      name: desired.name,
      log,
      open: (nc) => ProjectStore.open(nc, place.project),
      onUp: (store) => this.#onUp(store),
      onDown: () => this.#onDown(),
    })
    this.#witness = new Witness({
      home,
      key: options.key,
      log,
      name: () => this.called,
      store: () => (this.link.up ? this.link.store : null),
      readRecord,
      tellPeople: (text) => tellOperators(this, text),
    })
  }

  async start(): Promise<void> {
    const { harness } = this
    // First of all: a session that dies at its very start has a witness too.
    this.#witness.start()
    this.#linked = this.link.start()
    await harness.start({
      status: (status, waitingFor) => this.#onStatus(status, waitingFor),
      turnEnded: (turn) => {
        this.runs.session?.turnEnded(turn)
        this.#stateTelling.onTurnEnded()
      },
      conversation: (conversation) => this.#onConversation(conversation),
      evidence: (token, state, evidence) => {
        if (!this.#stateTelling.evidence(token, state)) this.courier.evidence(token, state, evidence)
      },
      interrupted: (is) => this.courier.interrupted(is),
      prompted: () => void this.loops.resume(null, 'a person said something there'),
      edited: (path) => this.#edits.edited(path),
      ...this.runs.subagentEvents,
      startMissed: () => this.#beginnings.missed(),
      ended: (end) => void this.end(end),
    })
    await this.#linked
  }

  /** Resolves when calls can be answered: joined and connected, or clearly not for now. */
  async ready(): Promise<void> {
    await this.#linked
    await this.link.whenUp(READY_MS)
    await this.#renaming
  }

  /** Resolves when no rename is under way: until then the session has no mailbox. */
  settled(): Promise<unknown> {
    return this.#renaming
  }

  get registry(): Registry {
    return this.#naming.registry
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

  sessions(): Promise<Peer[]> {
    return this.presence.sessions(this.link.store)
  }

  send(letter: Letter): Promise<Entered> {
    return enter(this, letter)
  }

  poke(): void {
    this.presence.changed()
    this.courier.poke()
  }

  recallOffer(): Promise<void> {
    return this.courier.recallOffer()
  }

  /** The mail of the name held; throws `mesh_down` before one is. */
  get mailbox(): Mailbox {
    return this.#held.mailbox
  }

  get sender(): Sender {
    return this.#held.sender
  }

  get #held(): Holding {
    if (this.#holding) return this.#holding
    throw new MeshError('mesh_down', `this session has not joined the mesh: ${this.link.whyDown}`)
  }

  get unread(): number {
    return this.#holding?.mailbox.inbox.size ?? 0
  }

  /** Unread messages, with those that are still in the stream. */
  get waiting(): number {
    return Math.max(this.unread, this.#held.backlog)
  }

  get sessionId(): string {
    return this.#naming.conversation.sessionId
  }

  /** The session is over. Tells it, unless the engine is away: then a witness will, from what is left in the run directory. */
  async end(end: SessionEnd): Promise<void> {
    if (this.#ending) return
    this.#ending = true
    this.log.info(end, 'session ended')
    // A witness that reports it in our place reads the reason here.
    if (this.registry.claimed) this.#writeRecord(end)
    await this.courier.recallOffer().catch(() => {})
    const [told] = await Promise.all([
      Promise.race([this.#farewell(end), after(FAREWELL_MS)]),
      this.runs.end(end, FAREWELL_MS),
    ])
    this.#witness.stop()
    this.#stalls.stop()
    this.board.close()
    await this.harness.stop().catch(() => {})
    this.leave()
    await Promise.race([this.link.stop(), after(FAREWELL_MS)])
    if (told === true) removeLocked(sessionDir(this.home, this.#options.key))
    this.#options.onEnd()
  }

  async #farewell(end: SessionEnd): Promise<boolean> {
    if (!this.link.up || !this.registry.claimed) return !this.registry.claimed
    try {
      const { store } = this.link
      const { name } = this.record
      // What was read just before the end is told too.
      await Promise.all([
        this.registry.end(store, end, new Date().toISOString()),
        this.receipts.flush(),
        this.#save(store),
      ])
      await store.presence.delete(name)
      return true
    } catch (error) {
      this.log.warn({ error: MeshError.from(error).toBody() }, 'end not told')
      return false
    }
  }

  // --- engine

  /** Whatever of this an earlier call did not get to is done now. */
  async #onUp(store: ProjectStore): Promise<void> {
    const { log, home } = this
    const before = this.isNamed ? this.record.name : null
    if (before === null || this.#naming.isNewConversation || !(await this.#naming.isStillMine(store)))
      await this.#naming.join(store)
    await this.#open(store)
    const { record } = this
    this.presence.attach(store)
    await this.sender.attach(store)
    await this.receipts.attach(store, record.name)
    await this.#roles.attach(store, record.roles)
    this.runs.attach(store, before === null && ['new', 'suffixed'].includes(this.#naming.claimed!.outcome))
    this.board.resume(store)
    await this.#save(store)
    void this.loops.tell()
    void this.#beginnings.giveLate()
    void this.#handOffs()
    if (before !== null && before !== record.name)
      void tellRenamed(this, before).catch((error) => log.warn({ error: MeshError.from(error).toBody() }, 'not told'))
    log.info({ name: record.name, epoch: record.epoch, project: store.project }, 'on the mesh')
    const members = await exchangeKeys(store, this.ring, { member: LOCAL_MEMBER, key: this.key })
    if (members.length > 0)
      log.error({ event: alarms.foreignKey, members }, 'members whose key is not the one first seen')
    void drainAll(home, store, log).catch((error) => log.warn({ error }, 'outboxes not drained'))
  }

  #onDown(): void {
    this.log.warn('the engine is away')
    this.board.close()
    this.#holding?.detach()
    this.receipts.detach()
    this.presence.detach()
    this.runs.detach()
    this.obligations.detach()
    this.#roles.detach()
  }

  /** With every heartbeat: the name may have another holder, or somebody thought us lost. */
  async #checkName(): Promise<void> {
    await this.#renaming
    if (!this.link.up || this.#ending) return
    try {
      const { store } = this.link
      if (!(await this.#naming.isStillMine(store))) await this.#completing(() => this.#onUp(store))
      await this.#save(store)
    } catch (error) {
      this.log.debug({ error: MeshError.from(error).toBody() }, 'name not checked')
    }
  }

  // --- name

  /** The process goes on with another conversation: under its name, unless that conversation has one of its own. */
  #follow(store: ProjectStore): Promise<void> {
    const followed = this.#renaming.then(async () => {
      if (!this.#naming.isNewConversation) return
      const { name } = this.record
      await this.#completing(async () => {
        await this.#naming.join(store)
        if (this.#holding) return this.#writeRecord()
        await this.#onUp(store)
        await store.presence.delete(name)
      })
    })
    this.#renaming = followed.catch(() => {})
    return followed
  }

  /** Opens what the held name keeps on this machine, unless it is open, and reads its mail. */
  async #open(store: ProjectStore): Promise<void> {
    if (!this.#holding) {
      await adoptFormer(this.home, store, this.registry)
      this.#holding = await this.#hold(store)
      // A crash may have come between its arrival and its answer.
      for (const entry of this.mailbox.inbox.unread()) if (isControl(entry.envelope)) await this.#obey(entry)
      this.courier.attach(this.#holding.mailbox)
      this.#stateTelling.resume()
    }
    this.obligations.attach(store)
    const wentBack = await this.registry.fitTo(store)
    await Promise.all([this.#holding.read(store, this.record, wentBack), this.state.attach(store, this.record)])
    const isOperator = this.harness.kind === 'shell'
    if (isOperator && !this.record.roles.includes('operator')) await this.addRole(store, 'operator')
    this.#writeRecord()
    this.#beginnings.joined()
  }

  #hold(store: ProjectStore): Promise<Holding> {
    const { home, log } = this
    return Holding.open({
      home,
      project: store.project,
      record: this.record,
      log,
      onDelivery: (delivery) => this.#arrivals.onDelivery(delivery),
      checkStore: () => this.#stalls.check(),
      onStored: () => this.#stalls.clear(),
      onRefused: (error) => this.#stalls.suspect(error),
    })
  }

  /** Lets go of the held name. */
  leave(): void {
    this.state.leave()
    this.obligations.detach()
    this.runs.leave()
    this.#roles.detach()
    this.receipts.detach()
    this.presence.detach()
    this.courier.detach()
    this.#holding?.close()
    this.#holding = null
  }

  #writeRecord(end?: SessionEnd): void {
    const { home, harness, version } = this
    const { key } = this.#options
    const { name, epoch } = this.record
    writeRecord(sessionDir(home, key), {
      sidecar: identifyProcess(process.pid)!,
      pid: process.pid,
      name,
      epoch,
      project: this.place.project,
      harness: harness.kind,
      sessionId: this.sessionId,
      process: harness.process,
      run: this.run?.id,
      version,
      program: process.argv[1],
      startedAt: this.#startedAt,
      ...(end ? { ended: { reason: end.reason, reasonCode: end.code, at: new Date().toISOString() } } : {}),
    })
  }

  async addRole(store: ProjectStore, role: string): Promise<NameRecord> {
    return this.changeMembership(store, (record) =>
      record.roles.includes(role) ? record : { ...record, roles: [...record.roles, role] },
    )
  }

  /** Changes topics or roles and reads accordingly. */
  async changeMembership(store: ProjectStore, edit: (record: NameRecord) => NameRecord): Promise<NameRecord> {
    const before = this.record
    const record = await this.registry.change(store, edit)
    await this.#completing(async () => {
      if (record.topics.length !== before.topics.length) await this.#held.read(store, record)
      if (record.roles.length !== before.roles.length) await this.#roles.attach(store, record.roles)
    })
    return record
  }

  /** Reads a topic from now on. The reader stands still meanwhile: what it has passed would count as read. */
  async joinTopic(store: ProjectStore, topic: string): Promise<void> {
    await this.#completing(async () => {
      await this.#held.pause()
      const { lastSeq } = await store.messagesState()
      const record = await this.registry.change(store, (now) => joined(now, topic, lastSeq))
      await this.#held.read(store, record)
    })
  }

  /** Takes another name; mail and files come along. */
  rename(store: ProjectStore, name: string): Promise<string> {
    const renamed = this.#renaming.then(() => this.#rename(store, name))
    this.#renaming = renamed.catch(() => {})
    return renamed
  }

  async #rename(store: ProjectStore, name: string): Promise<string> {
    const former = this.record
    const previous = former.name
    await catchUp(store, this.record, () => this.mailbox.inbox.high)
    await this.registry.rename(store, name)
    await this.#completing(async () => {
      this.leave()
      await this.#onUp(store)
      await store.presence.delete(previous)
      await this.board.rename(store, former, this.record)
      await passClaims(store, former, actorOf(this.record))
    })
    return previous
  }

  /** A change that fails half-way is completed by connecting anew: `#onUp` does whatever is missing. */
  async #completing(change: () => Promise<void>): Promise<void> {
    try {
      await change()
    } catch (error) {
      this.link.reset()
      throw error
    }
  }

  // --- mail

  #onArrived({ envelope, verified }: Arrived, isNew: boolean, held: boolean): void {
    if (isControl(envelope)) void this.#obey({ envelope, verified })
    else if (held) this.#telling.one(envelope, 'held', this.loops.evidence(envelope.from.name))
    else if (isNew && isDirect(envelope)) this.#telling.one(envelope, 'delivered', 'in the journal of its sidecar')
    if (held) void this.loops.tell()
    if (isNew) this.obligations.arrived(envelope)
    if (isNew && envelope.intent === HANDOFF) void this.#handOffs()
    this.poke()
  }

  /** One after the other: two would take the same. */
  #handOffs(): Promise<void> {
    const done = this.#handing.then(async () => {
      await takeHandoffs(this)
      await finishHandoffs(this)
    })
    this.#handing = done.catch((error) => {
      this.log.warn({ error: MeshError.from(error).toBody() }, 'not handed over yet')
    })
    return this.#handing
  }

  /** Unread mail at these positions, and answers owed for it, are another session's now. */
  gaveMail(positions: ReadonlySet<number>, to: string): void {
    const entries = this.mailbox.inbox.unread().filter(({ seq, handover }) => handover === null && positions.has(seq))
    this.mailbox.surface(
      entries.map(({ envelope }) => envelope.id),
      Date.now(),
    )
    this.#telling.step(entries, 'delivered', `handed over to ${to}`)
    const owed = this.obligations.owed().filter((id) => positions.has(this.mailbox.inbox.origin(id)?.seq ?? 0))
    this.obligations.settle(owed)
    this.presence.changed()
    void this.#save(this.link.store).catch(() => {})
  }

  /** What another sidecar says to this one: settled here, and its receipt is the answer. */
  async #obey({ envelope, verified }: Pick<Entry, 'envelope' | 'verified'>): Promise<void> {
    this.mailbox.surface([envelope.id], Date.now())
    await this.loops.know(envelope.from)
    this.#telling.answer(envelope, obey(envelope, verified, this.loops, this.#edits))
  }

  /** Held messages go on. */
  #onReleased(entries: readonly Entry[], evidence: string): void {
    for (const { envelope } of entries) this.#telling.one(envelope, 'delivered', evidence)
    this.courier.poke()
  }

  /** A message by its position in the stream; undefined if it is not there or not readable. */
  async stored(seq: number): Promise<Entry | undefined> {
    const delivery = await this.link.store.messageAt(seq)
    const arrived = delivery && this.#intake.read(delivery)
    return arrived ? { ...arrived, arrivedAt: 0, handover: null, repeat: false, held: false } : undefined
  }

  #onSurfaced(entries: readonly Entry[], evidence: string, door: string): void {
    for (const { envelope } of entries) {
      if (isToldOf(envelope.to)) this.#telling.one(envelope, 'surfaced', evidence, door)
      if (envelope.to.startsWith('role:')) void this.#roles.settle(envelope.to.slice(5), envelope.id).catch(() => {})
    }
    this.obligations.surfaced(entries)
    this.#touch()
    if (this.link.up) void this.#save(this.link.store).catch(() => {})
  }

  async #save(store: ProjectStore): Promise<void> {
    const { name, epoch } = this.record
    if (!(await this.mailbox.save(store, name, epoch))) this.log.warn('the surfaced record has a later holder')
  }

  // --- session

  #onStatus(status: Courier['status'], waitingFor?: string): void {
    this.#touch()
    this.courier.status = status
    this.#stateTelling.onStatus(status)
    this.runs.session?.status(status, waitingFor)
  }

  #touch(): void {
    this.#lastActivityAt = new Date().toISOString()
  }

  /** A conversation began; the text is what its model reads at the start. */
  #onConversation(conversation: Conversation): Promise<string> {
    const isCleared = conversation.source === 'clear' && conversation.sessionId !== this.sessionId
    this.#naming.conversation = conversation
    this.runs.session?.conversation()
    if (isCleared) this.courier.forgotten()
    this.#touch()
    return this.#beginnings.text(conversation)
  }

  #heartbeat() {
    if (!this.registry.claimed || this.#ending) return null
    const { name, epoch } = this.record
    const { status, doors, shut } = this.courier
    const { version } = this
    const lastActivityAt = this.#lastActivityAt
    const pairs = this.loops.pairs()
    const further = { ...(shut.length > 0 ? { shut } : {}), ...(pairs.length > 0 ? { budget: pairs } : {}) }
    return { name, epoch, status, lastActivityAt, doors, unread: this.unread, version, ...further }
  }
}

function after(ms: number): Promise<null> {
  return new Promise((resolve) => setTimeout(resolve, ms, null))
}
