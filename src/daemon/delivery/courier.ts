/**
 * Brings unread mail to its reader: a waiting call first, else the best door, one hand-over in flight. The decisions
 * are core's; this performs them and settles messages on evidence only.
 */
import { randomBytes } from 'node:crypto'
import { backoff, decide, type InFlight, KEEPER, type Situation, waitsFor } from '../../core/mail/handover.ts'
import { batchOf, type Entry, type Offer, readerHandover } from '../../core/mail/inbox.ts'
import type { Waiter } from '../../core/mail/waiters.ts'
import { renderHandover } from '../../core/render.ts'
import { MeshError } from '../../errors.ts'
import type { EvidenceState, Harness, Recalled } from '../../harness/types.ts'
import type { Logger } from '../../host/log.ts'
import type { Settings } from '../../host/settings.ts'
import type { DoorState, SessionStatus } from '../../wire/envelope.schema.ts'
import { limits } from '../../wire/limits.ts'
import type { LoopGuard } from '../mail/loops.ts'
import type { Mailbox } from '../mail/mailbox.ts'
import type { Steps } from '../mail/receipts.ts'
import { type Handover, WaitingCalls } from './callers.ts'
import type { Context } from './context.ts'
import { DoorBook } from './doors.ts'
import { Waits } from './reasons.ts'
import { shownOf } from './text.ts'

/** A reader that took messages and did not say that it showed them, for this long, may not have. */
const UNCONFIRMED_MS = 10_000
/** A call that waits for the next message, as a door. */
const WAITING_CALL = 'waiting-call'
/** How a message is read that somebody asked for: no door of the session's. */
const INBOX = 'inbox'
/** Hand-overs given up on, whose evidence may still come. */
const PAST = 64

export type { Handover } from './callers.ts'

/** A session that mail is brought to. */
interface ReadingSession {
  readonly harness: Pick<Harness, 'doors' | 'recall'>
  readonly settings: Pick<Settings, 'floorSeconds'>
  readonly log: Logger
  readonly steps: Pick<Steps, 'noteAll'>
  readonly loops: Pick<LoopGuard, 'note'>
  readonly context: Pick<Context, 'isDue' | 'again'>
  readonly presence: { changed(): void }
  /** The model, or the reader who asked for them, has read these messages. */
  surfaced(entries: readonly Entry[], evidence: string, door: string): void
}

export class Courier {
  readonly #session: ReadingSession
  readonly #calls: WaitingCalls
  readonly #doors: DoorBook
  readonly #unconfirmed = new Map<string, { timer: NodeJS.Timeout; door: string }>()
  readonly #past = new Map<string, { ids: string[]; door: string }>()
  /** Read, and the model has not gone on since: what a cleared conversation takes with it. */
  readonly #unanswered = new Map<string, Entry[]>()
  readonly #waits: Waits
  #mailbox: Mailbox | null = null
  #status: SessionStatus = 'starting'
  #statusSince = Date.now()
  #inFlight: InFlight | null = null
  /** What the last offered hand-over says besides its messages. */
  #note: { token: string; read(): void } | null = null
  /** What the hand-over in flight holds besides its messages. */
  #aside: { token: string; read(): void; lost(): void } | null = null
  #floorUntil: number | null = null
  #timer: NodeJS.Timeout | null = null
  /** Calls that ask for unread messages just now: no door gets any. */
  #asking = 0
  #running = false
  #again = false

  constructor(session: ReadingSession) {
    this.#session = session
    this.#calls = new WaitingCalls(() => session.presence.changed())
    this.#doors = new DoorBook(session.harness.doors, session.log)
    this.#waits = new Waits((entries, state, evidence) => session.steps.noteAll(entries, state, evidence))
  }

  attach(mailbox: Mailbox): void {
    this.#mailbox = mailbox
    this.#inherit(mailbox)
    this.poke()
  }

  /** Finds out what became of earlier hand-overs before anything is offered again. */
  #inherit(mailbox: Mailbox): void {
    const { inherited } = mailbox
    for (const [at, { state, evidence }] of this.#recall(inherited).entries()) {
      const { handover: token, door, at: offeredAt } = inherited[at]!
      if (state === 'surfaced') this.#settle(token, evidence, door)
      else if (state === 'lost' || this.#inFlight) this.giveBack(token, false, door)
      else if (mailbox.inbox.inHandover(token).length > 0) {
        const count = mailbox.inbox.inHandover(token).length
        const isFull = count >= limits.shownMessages
        const known = { isFull, receivedAt: offeredAt, heldAt: null, asked: false, handedAt: null }
        this.#inFlight = { token, door, offeredAt, count, ...known }
        if (state !== 'open') this.evidence(token, state, evidence)
      }
    }
  }

  #recall(offers: readonly Offer[]): Recalled[] {
    const { harness } = this.#session
    return harness.recall?.(offers) ?? offers.map(() => ({ state: 'lost', evidence: '' }))
  }

  detach(): void {
    this.#mailbox = null
    this.#inFlight = null
    this.#unanswered.clear()
    for (const { timer } of this.#unconfirmed.values()) clearTimeout(timer)
    this.#unconfirmed.clear()
  }

  get status(): SessionStatus {
    return this.#status
  }

  set status(status: SessionStatus) {
    if (status === this.#status) return
    this.#status = status
    this.#statusSince = Date.now()
    if (status === 'busy' || status === 'waiting') this.#floorUntil = null
    if (status === 'waiting' && this.#inFlight?.heldAt) this.#inFlight.asked = true
    this.#session.presence.changed()
    this.poke()
  }

  /** A person stopped the turn: no message starts one until they have spoken, or for a while. */
  interrupted(is: boolean): void {
    this.#floorUntil = is ? Date.now() + this.#session.settings.floorSeconds * 1000 : null
    this.poke()
  }

  /** True when a role's message would be read at once. */
  get isFree(): boolean {
    if (this.#status !== 'idle' || this.#mailbox === null || this.#hasFloor) return false
    // Without a door nothing is read until somebody asks: then for all that there is.
    const room = this.#doors.isEmpty ? limits.inboxBatch : 1
    const { inbox } = this.#mailbox
    return inbox.size - inbox.held().length < room
  }

  get #hasFloor(): boolean {
    return this.#floorUntil !== null && Date.now() < this.#floorUntil
  }

  /** The open doors, the one that mail would go through now first. */
  get doors(): DoorState[] {
    return this.#doors.states(this.#status, this.#calls.takesAny ? [WAITING_CALL] : [])
  }

  /** True while a call awaits one particular message. */
  get awaitsOne(): boolean {
    return this.#calls.takesOne
  }

  /** Names of the doors that lead nowhere now. */
  get shut(): string[] {
    return this.#doors.shut
  }

  /** Something may have to be done: mail arrived, a waiter came, the status changed, time passed. */
  poke(): void {
    this.#again = true
    if (this.#running) return
    void this.#run()
  }

  /** Blocks until messages fit. The signal ends the wait; then nothing is handed over. */
  await(wants: Waiter['wants'], signal: AbortSignal): Promise<Handover> {
    const handover = this.#calls.await(wants, signal)
    this.poke()
    return handover
  }

  /**
   * Hands over unread messages that nobody else has: what lies in a door and was not taken yet is
   * taken back. Held ones only if asked for.
   */
  async take(limit: number, withHeld: boolean): Promise<Handover | null> {
    this.#asking++
    try {
      await this.#reclaim(this.#box)
      const entries = batchOf(this.#readable(this.#box, withHeld), limit)
      return entries.length === 0 ? null : this.#handTo(entries, INBOX)
    } finally {
      this.#asking--
      this.poke()
    }
  }

  async #reclaim(mailbox: Mailbox): Promise<void> {
    const inFlight = this.#inFlight
    if (!inFlight || inFlight.handedAt !== null) return
    if (!(await this.#doors.get(inFlight.door).withdraw()) || this.#inFlight !== inFlight) return
    mailbox.giveBack(inFlight.token, true)
    this.#inFlight = null
  }

  #readable(mailbox: Mailbox, withHeld = false): Entry[] {
    return mailbox.inbox.inOrder(this.#unconfirmed, withHeld)
  }

  /** The reader shows these messages now; whether it did is known when it calls `confirm`. */
  #handTo(entries: Entry[], door: string): Handover {
    const handover = readerHandover(randomBytes(8).toString('hex'))
    this.#box.hand(handover, entries, door, Date.now())
    this.#unconfirmed.set(handover, { timer: setTimeout(() => this.giveBack(handover), UNCONFIRMED_MS), door })
    return { handover, entries }
  }

  /** The reader has shown a hand-over. Returns how many messages that settled. */
  confirm(handover: string, evidence: string): number {
    const door = this.#close(handover)
    return this.#settle(handover, evidence, door)
  }

  /** Nothing tells whether a hand-over was read: it is offered again, marked. `certain`: it was not. */
  giveBack(handover: string, certain = false, offeredTo = INBOX): void {
    const door = this.#close(handover) ?? offeredTo
    if (!this.#mailbox) return
    const ids = this.#mailbox.inbox.inHandover(handover).map(({ envelope }) => envelope.id)
    // A client may yet let in what it kept back.
    if (ids.length > 0 && (!certain || this.#doors.has(door))) this.#rememberPast(handover, ids, door)
    this.#mailbox.giveBack(handover, certain)
    this.poke()
  }

  /** The client shows how far a hand-over got. */
  evidence(token: string, state: EvidenceState, evidence: string): void {
    if (!this.#mailbox) return
    const inFlight = this.#inFlight?.token === token ? this.#inFlight : null
    if (state === 'surfaced') this.#settle(token, evidence)
    else if (state === 'answered') this.#unanswered.delete(token)
    else if (state === 'forgotten') this.#forget([token], evidence)
    else if (inFlight) this.#progress(this.#mailbox, inFlight, state, evidence)
    this.poke()
  }

  #progress(mailbox: Mailbox, inFlight: InFlight, state: 'received' | 'held' | 'refused' | 'handed', evidence: string) {
    const entries = mailbox.inbox.inHandover(inFlight.token)
    if (state === 'received') inFlight.receivedAt = Date.now()
    else if (state === 'refused') this.#refuse(inFlight, evidence)
    else if (state === 'held' && inFlight.heldAt === null) {
      inFlight.heldAt = Date.now()
      inFlight.asked = this.#status === 'waiting'
      this.#session.steps.noteAll(entries, 'held', evidence)
    } else if (state === 'handed' && inFlight.handedAt === null) {
      inFlight.handedAt = Date.now()
      this.#session.steps.noteAll(entries, 'handed', evidence)
    }
  }

  /** The conversation that messages were read in is gone: those it had no answer to are unread again. */
  forgotten(): void {
    this.#forget([...this.#unanswered.keys()], 'its conversation ended before an answer')
  }

  #forget(tokens: readonly string[], why: string): void {
    const entries = tokens.flatMap((token) => this.#unanswered.get(token) ?? [])
    for (const token of tokens) this.#unanswered.delete(token)
    if (!this.#mailbox || entries.length === 0) return
    this.#mailbox.again(entries, Date.now())
    this.#session.steps.noteAll(entries, 'delivered', `unread again: ${why}`)
    this.#session.presence.changed()
    this.poke()
  }

  /** Takes back what nobody has taken: certainly not read. For the end of the session. */
  async recallOffer(): Promise<void> {
    if (this.#mailbox) await this.#reclaim(this.#mailbox)
  }

  /** A reader's hand-over is over. Returns how it was read. */
  #close(handover: string): string | undefined {
    const open = this.#unconfirmed.get(handover)
    clearTimeout(open?.timer)
    this.#unconfirmed.delete(handover)
    return open?.door
  }

  #settle(token: string, evidence: string, readBy?: string): number {
    const ids = this.#box.inbox.inHandover(token).map(({ envelope }) => envelope.id)
    const past = this.#past.get(token)
    const inFlight = this.#inFlight?.token === token ? this.#inFlight : null
    const door = readBy ?? inFlight?.door ?? past?.door ?? INBOX
    const entries = this.#box.surface([...ids, ...(past?.ids ?? [])], Date.now())
    this.#past.delete(token)
    if (this.#note?.token === token) {
      this.#note.read()
      this.#note = null
    }
    if (this.#aside?.token === token) {
      this.#aside.read()
      this.#aside = null
    }
    if (door !== INBOX) this.#doors.prove(door)
    if (inFlight) this.#inFlight = null
    if (entries.length > 0) {
      if (this.#doors.has(door)) this.#remember(this.#unanswered, token, entries)
      this.#session.surfaced(entries, evidence, door)
    }
    this.#session.presence.changed()
    this.poke()
    return entries.length
  }

  get #box(): Mailbox {
    if (this.#mailbox) return this.#mailbox
    throw new MeshError('mesh_down', 'this session has not joined the mesh yet')
  }

  async #run(): Promise<void> {
    this.#running = true
    while (this.#again) {
      this.#again = false
      try {
        await this.#useDoors()
      } catch (error) {
        this.#session.log.warn({ error: MeshError.from(error).toBody() }, 'mail not brought')
        this.#wakeAt(Date.now() + backoff(1))
      }
    }
    this.#running = false
  }

  #serveWaiters(): void {
    // One at a time: what one waiter got may hold back what the next would get.
    while (this.#mailbox && this.#calls.size > 0) {
      const next = this.#calls.next(this.#readable(this.#mailbox))
      if (!next) return
      next.give(this.#handTo([next.entry], WAITING_CALL))
    }
  }

  async #useDoors(): Promise<void> {
    if (this.#timer) clearTimeout(this.#timer)
    this.#timer = null
    // Detached while an offer was under way, nothing is decided.
    while (this.#mailbox && this.#asking === 0) {
      this.#serveWaiters()
      const situation = this.#situation(this.#mailbox)
      const decision = decide(situation)
      if (decision.do === 'nothing') {
        const lookAt = this.#waits.look(this.#untaken(this.#mailbox), waitsFor(situation), situation.now)
        return this.#wakeAt(earlier(decision.until, lookAt))
      }
      if (decision.do === 'offer') await this.#offer(this.#mailbox, decision.door)
      else if (decision.do === 'withdraw') await this.#withdraw(this.#mailbox, decision.why)
      else if (decision.do === 'refuse') this.#refuse(this.#inFlight!, decision.why)
      else this.#expire(decision.why, decision.certain)
    }
  }

  /** Unread messages that nobody has taken yet, oldest first. */
  #untaken({ inbox }: Mailbox): Entry[] {
    const { token, handedAt, heldAt } = this.#inFlight ?? {}
    const offered = token !== undefined && handedAt === null && heldAt === null ? inbox.inHandover(token) : []
    return [...offered, ...inbox.deliverable()]
  }

  #situation(mailbox: Mailbox): Situation {
    return {
      now: Date.now(),
      status: this.#status,
      statusSince: this.#statusSince,
      doors: this.#doors.views(),
      deliverable: mailbox.inbox.deliverable().length,
      hasAside: this.#session.context.isDue,
      inFlight: this.#inFlight,
      isWanted: this.#isWanted(mailbox),
      floorUntil: this.#floorUntil,
    }
  }

  #isWanted({ inbox }: Mailbox): boolean {
    const { token } = this.#inFlight ?? {}
    return token !== undefined && this.#calls.next(inbox.inHandover(token)) !== undefined
  }

  async #offer(mailbox: Mailbox, name: string): Promise<void> {
    const door = this.#doors.get(name)
    const nonce = randomBytes(4).toString('hex')
    const token = `mesh-${nonce}`
    const waiting = mailbox.inbox.deliverable()
    const note = this.#session.loops.note()
    this.#note = note && { token, read: note.read }
    const aside = name === KEEPER ? this.#session.context.again(token) : null
    this.#aside = aside && { token, read: aside.read, lost: aside.lost }
    const { text, count } = renderHandover(
      waiting.slice(0, limits.shownMessages).map(shownOf),
      nonce,
      Math.max(0, waiting.length - limits.shownMessages),
      undefined,
      note?.text,
      aside?.text,
    )
    const entries = waiting.slice(0, count)
    const isFull = count < waiting.length
    if (count > 0) mailbox.hand(token, entries, name, Date.now())
    const nothingYet = { receivedAt: null, heldAt: null, asked: false, handedAt: null }
    this.#inFlight = { token, door: name, offeredAt: Date.now(), count, isFull, ...nothingYet }
    try {
      await door.offer(text, token)
    } catch (error) {
      mailbox.giveBack(token, true)
      this.#inFlight = null
      this.#doors.fail(name, error)
    }
  }

  async #withdraw(mailbox: Mailbox, why: string | undefined): Promise<void> {
    const inFlight = this.#inFlight!
    const back = await this.#doors.get(inFlight.door).withdraw()
    if (this.#inFlight !== inFlight) return
    if (back) {
      mailbox.giveBack(inFlight.token, true)
      this.#inFlight = null
      if (why) this.#doors.fail(inFlight.door, new MeshError('timeout', why))
    } else inFlight.handedAt ??= Date.now()
  }

  #expire(why: string, certain: boolean): void {
    const { token, door } = this.#inFlight!
    const entries = this.#box.inbox.inHandover(token)
    this.#inFlight = null
    if (this.#aside?.token === token) this.#aside.lost()
    this.giveBack(token, certain, door)
    if (certain) this.#waits.refused(entries, 'delivered', why)
    this.#doors.fail(door, new MeshError('timeout', why))
  }

  /** The client keeps it out: certainly not read. The door stays shut until something comes through it, or for long. */
  #refuse({ token, door, asked, heldAt }: InFlight, why: string): void {
    const entries = this.#box.inbox.inHandover(token)
    this.#inFlight = null
    this.#doors.refuse(door, why)
    this.giveBack(token, true, door)
    const isStillHeld = heldAt !== null && !asked
    this.#waits.refused(entries, isStillHeld ? 'held' : 'delivered', why)
  }

  #wakeAt(at: number | null): void {
    if (this.#timer) clearTimeout(this.#timer)
    this.#timer = at === null ? null : setTimeout(() => this.poke(), Math.max(1, at - Date.now()))
  }

  #rememberPast(handover: string, ids: string[], door: string): void {
    this.#remember(this.#past, handover, { ids, door })
  }

  #remember<Value>(memory: Map<string, Value>, handover: string, value: Value): void {
    memory.set(handover, value)
    if (memory.size > PAST) memory.delete(memory.keys().next().value!)
  }
}

function earlier(one: number | null, other: number | null): number | null {
  return one === null || other === null ? (one ?? other) : Math.min(one, other)
}
