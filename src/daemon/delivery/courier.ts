/**
 * Delivers unread mail to its reader: to a waiting call first, else through the best door, with one hand-over in
 * flight. `core/mail/handover.ts` decides; this loop carries the decisions out.
 */
import { randomBytes } from 'node:crypto'
import { batchOf } from '../../core/mail/batch.ts'
import { backoff, decide, type Situation, waitsFor } from '../../core/mail/handover.ts'
import { type Entry, readerHandover } from '../../core/mail/inbox.ts'
import type { Waiter } from '../../core/mail/waiters.ts'
import { MeshError } from '../../errors.ts'
import type { EvidenceState, Harness } from '../../harness/types.ts'
import type { Settings } from '../../host/settings.ts'
import type { Cause, DoorState, SessionStatus } from '../../wire/envelope.schema.ts'
import { limits } from '../../wire/limits.ts'
import type { Mailbox } from '../mail/mailbox.ts'
import { type Handover, Unconfirmed, WaitingCalls } from './callers.ts'
import { DoorBook } from './doors.ts'
import { type HandingSession, Handovers, INBOX } from './in-flight.ts'
import { Reasons } from './why-waiting.ts'

/** Names a waiting call where a door's name is expected. */
const WAITING_CALL = 'waiting-call'

/** A session that the courier delivers mail to. */
interface ServedSession extends HandingSession {
  readonly harness: Pick<Harness, 'doors' | 'recall'>
  readonly settings: Pick<Settings, 'floorSeconds'>
  readonly presence: { changed(): void }
  readonly doing: { readonly cause: Cause | null }
}

export class Courier {
  readonly #session: ServedSession
  readonly #calls: WaitingCalls
  readonly #unconfirmed = new Unconfirmed()
  readonly #doors: DoorBook
  readonly #reasons: Reasons
  readonly #handovers: Handovers
  #mailbox: Mailbox | null = null
  #status: SessionStatus = 'starting'
  #statusSince = Date.now()
  #floorUntil: number | null = null
  #timer: NodeJS.Timeout | null = null
  /** Number of calls that are reading unread messages now; no door gets any meanwhile. */
  #asking = 0
  #running = false
  #again = false

  constructor(session: ServedSession) {
    this.#session = session
    this.#calls = new WaitingCalls(() => session.presence.changed())
    this.#doors = new DoorBook(session.harness.doors, session.log)
    this.#reasons = new Reasons((entries, state, evidence) => session.steps.noteAll(entries, state, evidence))
    this.#handovers = new Handovers(session, this.#doors, this.#reasons)
  }

  attach(mailbox: Mailbox): void {
    this.#mailbox = mailbox
    this.#handovers.attach(mailbox, this.#status === 'waiting')
    this.poke()
  }

  detach(): void {
    this.#mailbox = null
    this.#handovers.detach()
    this.#unconfirmed.clear()
  }

  get status(): SessionStatus {
    return this.#status
  }

  /** Since when the session has its status, ISO 8601. */
  get since(): string {
    return new Date(this.#statusSince).toISOString()
  }

  set status(status: SessionStatus) {
    if (status === this.#status) return
    this.#status = status
    this.#statusSince = Date.now()
    if (status === 'busy' || status === 'waiting') this.#floorUntil = null
    const { current } = this.#handovers
    if (status === 'waiting' && current?.screenedAt) current.asked = true
    this.#session.presence.changed()
    this.poke()
  }

  /** Notes that a person stopped the turn: no message starts one until they have spoken, or for a while. */
  interrupted(is: boolean): void {
    this.#floorUntil = is ? Date.now() + this.#session.settings.floorSeconds * 1000 : null
    this.poke()
  }

  /** True when the model would read a role's message at once. */
  get isFree(): boolean {
    if (this.#status !== 'idle' || this.#mailbox === null || this.#hasFloor) return false
    // Without a door nothing is read until a reader asks, who then gets all there is.
    const room = this.#doors.isEmpty ? limits.inboxBatch : 1
    const { inbox } = this.#mailbox
    return inbox.size - inbox.held().length < room
  }

  get #hasFloor(): boolean {
    return this.#floorUntil !== null && Date.now() < this.#floorUntil
  }

  /** Notes that a turn ended with words of the model's. */
  turnEnded(): void {
    this.#handovers.turnEnded()
  }

  /** Returns the open doors, the one that mail would go through now first. */
  get doors(): DoorState[] {
    return this.#doors.states(this.#status, this.#calls.takesAny ? [WAITING_CALL] : [])
  }

  /** True while a call awaits one particular message. */
  get awaitsOne(): boolean {
    return this.#calls.takesOne
  }

  /** Names of the doors that the courier has given up on for now. */
  get shut(): string[] {
    return this.#doors.shut
  }

  /** Wakes the courier after mail arrived, a waiter came, the status changed or time passed. */
  poke(): void {
    this.#again = true
    if (!this.#running) void this.#run()
  }

  /** Blocks until messages fit. The signal ends the wait; then nothing is handed over. */
  await(wants: Waiter['wants'], signal: AbortSignal): Promise<Handover> {
    const handover = this.#calls.await(wants, signal)
    this.poke()
    return handover
  }

  /**
   * Hands over unread messages that no other reader has. Takes back what lies in a door untaken. Includes held messages
   * only if `withHeld`.
   */
  async take(limit: number, withHeld: boolean): Promise<Handover | null> {
    this.#asking++
    try {
      const mailbox = this.#box
      await this.#handovers.reclaim()
      const entries = batchOf(mailbox.inbox.inOrder(this.#unconfirmed, withHeld), limit)
      return entries.length === 0 ? null : this.#handTo(entries, INBOX)
    } finally {
      this.#asking--
      this.poke()
    }
  }

  /** Hands messages to a reader that shows them now. `confirm` says whether it did. */
  #handTo(entries: Entry[], door: string): Handover {
    const handover = readerHandover(randomBytes(8).toString('hex'))
    this.#box.hand(handover, entries, door, Date.now())
    this.#unconfirmed.open(handover, door, () => this.giveBack(handover))
    return { handover, entries }
  }

  /**
   * Confirms that a reader has shown a hand-over. Returns how many messages that settled. Throws `store_full`,
   * `mesh_down`.
   */
  confirm(handover: string, evidence: string): number {
    if (!this.#mailbox) throw away()
    const count = this.#handovers.settle(handover, evidence, this.#unconfirmed.doorOf(handover))
    this.#unconfirmed.close(handover)
    this.poke()
    return count
  }

  /**
   * Takes back a reader's hand-over that nothing proves was read, to offer it again, marked. `certain`: it was not
   * read.
   */
  giveBack(handover: string, certain = false): void {
    const door = this.#unconfirmed.close(handover) ?? INBOX
    this.#handovers.giveBack(handover, certain, door)
    this.poke()
  }

  /** Records evidence from the client of how far a hand-over got. */
  evidence(token: string, state: EvidenceState, evidence: string): void {
    if (!this.#mailbox) return
    this.#handovers.evidence(token, state, evidence, this.#status === 'waiting')
    this.poke()
  }

  /** Makes messages that got no answer unread again: the conversation that read them is gone. */
  forgotten(): void {
    this.#handovers.forgotten()
    this.poke()
  }

  /** Takes back an offer that no reader has taken, so is certainly unread. Called at the end of the session. */
  recallOffer(): Promise<void> {
    return this.#handovers.reclaim()
  }

  get #box(): Mailbox {
    if (this.#mailbox) return this.#mailbox
    throw away()
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
    // One at a time: messages for one waiter may block those for the next.
    while (this.#mailbox && this.#calls.size > 0) {
      const next = this.#calls.next(this.#mailbox.inbox.inOrder(this.#unconfirmed, false))
      if (!next) return
      next.give(this.#handTo([next.entry], WAITING_CALL))
    }
  }

  async #useDoors(): Promise<void> {
    this.#wakeAt(null)
    // Detached while an offer was under way, nothing is decided.
    while (this.#mailbox && this.#asking === 0) {
      this.#serveWaiters()
      const situation = this.#situation(this.#mailbox)
      const decision = decide(situation)
      if (decision.do === 'nothing') {
        const waiting = this.#handovers.untaken(this.#mailbox)
        return this.#wakeAt(earlier(decision.until, this.#reasons.look(waiting, waitsFor(situation), situation.now)))
      }
      if (decision.do === 'offer') await this.#handovers.offer(this.#mailbox, decision.door)
      else if (decision.do === 'withdraw') await this.#handovers.withdraw(decision.why)
      else if (decision.do === 'refuse') this.#handovers.refuse(decision.why)
      else if (decision.do === 'doubt') this.#handovers.doubt(decision.why)
      else this.#handovers.expire(decision.why, decision.certain)
    }
  }

  #situation({ inbox }: Mailbox): Situation {
    const { current } = this.#handovers
    const deliverable = inbox.deliverable()
    return {
      now: Date.now(),
      status: this.#status,
      cause: this.#session.doing.cause,
      statusSince: this.#statusSince,
      doors: this.#doors.views(),
      deliverable: deliverable.length,
      wakes: deliverable.some((entry) => this.#handovers.wakes(entry)),
      hasAside: this.#session.context.isDue,
      inFlight: current,
      isWanted: current !== null && this.#calls.next(inbox.inHandover(current.token)) !== undefined,
      floorUntil: this.#floorUntil,
    }
  }

  #wakeAt(at: number | null): void {
    if (this.#timer) clearTimeout(this.#timer)
    this.#timer = at === null ? null : setTimeout(() => this.poke(), Math.max(1, at - Date.now()))
  }
}

function away(): MeshError {
  return new MeshError('mesh_down', 'this session has not joined the mesh yet')
}

function earlier(one: number | null, other: number | null): number | null {
  return one === null || other === null ? (one ?? other) : Math.min(one, other)
}
