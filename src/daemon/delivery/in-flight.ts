/**
 * Tracks hand-overs through doors, one at a time, from the offer to its end. Only evidence ends one. A note that a full
 * disk refuses is retried until there is room.
 */
import { randomBytes } from 'node:crypto'
import { BoundedMap } from '../../core/bounded-map.ts'
import { type InFlight, KEEPER } from '../../core/mail/handover.ts'
import type { Entry, Offer } from '../../core/mail/inbox.ts'
import { renderHandover } from '../../core/render.ts'
import { MeshError } from '../../errors.ts'
import type { EvidenceState, Harness, Recalled } from '../../harness/types.ts'
import type { Logger } from '../../host/log.ts'
import { limits } from '../../wire/limits.ts'
import type { LoopGuard } from '../mail/loops.ts'
import type { Mailbox } from '../mail/mailbox.ts'
import type { Steps } from '../mail/receipts.ts'
import type { DoorBook } from './doors.ts'
import type { Context } from './state-context.ts'
import { earlierOf, type Recipient, shownOf } from './text.ts'
import type { Reasons } from './why-waiting.ts'

/** Names the path of a message that a reader asked for; it is no door of the session. */
export const INBOX = 'inbox'
/**
 * Number of past hand-overs remembered: those given up on, whose evidence may still come, and those read but not
 * answered.
 */
const PAST = 64
const RETRY_MS = 1000
const NOTHING_SEEN = { receivedAt: null, screenedAt: null, asked: false, handedAt: null, isTurnOver: false } as const

/** A session that mail is handed over to. */
export interface HandingSession extends Recipient {
  readonly harness: Pick<Harness, 'recall'>
  readonly log: Logger
  readonly steps: Pick<Steps, 'noteAll'>
  readonly loops: Pick<LoopGuard, 'note'>
  readonly context: Pick<Context, 'isDue' | 'again'>
  /** Makes the heartbeat and the courier look at the session again. */
  poke(): void
  /** Handles messages that the model, or a reader who asked for them, has read. */
  surfaced(entries: readonly Entry[], evidence: string, door: string): void
}

export class Handovers {
  readonly #session: HandingSession
  readonly #doors: DoorBook
  readonly #reasons: Reasons
  readonly #past = new BoundedMap<string, { ids: string[]; door: string }>(PAST)
  /** Messages that were read and have not been followed by output yet. A cleared conversation loses them. */
  readonly #unanswered = new BoundedMap<string, Entry[]>(PAST)
  #mailbox: Mailbox | null = null
  #current: InFlight | null = null
  /** Mesh's own text in the last offer. */
  #note: { token: string; read(): void } | null = null
  #aside: { token: string; read(): void; lost(): void } | null = null

  constructor(session: HandingSession, doors: DoorBook, reasons: Reasons) {
    this.#session = session
    this.#doors = doors
    this.#reasons = reasons
  }

  get current(): InFlight | null {
    return this.#current
  }

  /** Returns true for a message that may start a turn. */
  wakes(entry: Entry): boolean {
    return !entry.unproven && earlierOf(this.#session, entry) === null
  }

  /** A turn ended with words of the model's: what it took before that is as good as read, or lost. */
  turnEnded(): void {
    if (this.#current && this.#current.handedAt !== null) this.#current.isTurnOver = true
  }

  /** Resolves the hand-overs of an earlier sidecar before anything is offered again. */
  attach(mailbox: Mailbox, isAsking: boolean): void {
    this.#mailbox = mailbox
    const { inherited } = mailbox
    for (const [at, { state, evidence }] of this.#recall(inherited).entries()) {
      const { handover: token, door, at: offeredAt } = inherited[at]!
      const entries = mailbox.inbox.inHandover(token)
      const count = entries.length
      if (state === 'surfaced') this.#write(() => void this.settle(token, evidence, door))
      else if (state === 'lost' || this.#current) this.giveBack(token, false, door)
      else if (count > 0) {
        const isFull = count >= limits.shownMessages
        const wakes = entries.some((entry) => this.wakes(entry))
        this.#current = { ...NOTHING_SEEN, token, door, offeredAt, count, wakes, isFull, receivedAt: offeredAt }
        if (state !== 'open') this.evidence(token, state, evidence, isAsking)
      }
    }
  }

  #recall(offers: readonly Offer[]): Recalled[] {
    const { harness } = this.#session
    return harness.recall?.(offers) ?? offers.map(() => ({ state: 'lost', evidence: '' }))
  }

  detach(): void {
    this.#mailbox = null
    this.#current = null
    this.#unanswered.clear()
  }

  /** Returns unread messages that no reader has taken yet, oldest first. */
  untaken({ inbox }: Mailbox): Entry[] {
    const { token, handedAt, screenedAt } = this.#current ?? {}
    const offered = token !== undefined && handedAt === null && screenedAt === null ? inbox.inHandover(token) : []
    return [...offered, ...inbox.deliverable()]
  }

  /** Offers unread mail through a door. Throws `store_full`. */
  async offer(mailbox: Mailbox, name: string): Promise<void> {
    const nonce = randomBytes(4).toString('hex')
    const token = `mesh-${nonce}`
    const waiting = mailbox.inbox.deliverable()
    const { text, count } = this.#render(waiting, token, nonce, name)
    const entries = waiting.slice(0, count)
    if (count > 0) mailbox.hand(token, entries, name, Date.now())
    const isFull = count < waiting.length
    const wakes = entries.some((entry) => this.wakes(entry))
    this.#current = { ...NOTHING_SEEN, token, door: name, offeredAt: Date.now(), count, wakes, isFull }
    try {
      await this.#doors.get(name).offer(text, token)
    } catch (error) {
      this.#current = null
      this.#write(() => mailbox.giveBack(token, true))
      this.#doors.fail(name, error)
    }
  }

  #render(waiting: readonly Entry[], token: string, nonce: string, door: string) {
    const note = this.#session.loops.note()
    this.#note = note && { token, read: note.read }
    const aside = door === KEEPER ? this.#session.context.again(token) : null
    this.#aside = aside && { token, read: aside.read, lost: aside.lost }
    const shown = waiting.slice(0, limits.shownMessages).map((entry) => shownOf(this.#session, entry))
    const further = Math.max(0, waiting.length - limits.shownMessages)
    return renderHandover(shown, nonce, further, { note: note?.text, before: aside?.text })
  }

  /** Takes mail back from its door, unless the client has taken it. `why`: the offer failed. */
  async withdraw(why?: string): Promise<void> {
    const current = this.#current
    if (!current) return
    const isBack = await this.#doors.get(current.door).withdraw()
    if (this.#current !== current) return
    if (!isBack) current.handedAt ??= Date.now()
    else {
      this.#current = null
      this.#write((mailbox) => mailbox.giveBack(current.token, true))
      if (why) this.#doors.fail(current.door, new MeshError('timeout', why))
    }
  }

  /** Takes back an offer that the client has not taken, so is certainly unread. */
  async reclaim(): Promise<void> {
    const current = this.#current
    if (!current || current.handedAt !== null) return
    if (!(await this.#doors.get(current.door).withdraw()) || this.#current !== current) return
    this.#current = null
    this.#write((mailbox) => mailbox.giveBack(current.token, true))
  }

  /** Records how far a hand-over got. `isAsking`: the client has a question before its user. */
  evidence(token: string, state: EvidenceState, evidence: string, isAsking: boolean): void {
    const current = this.#current?.token === token ? this.#current : null
    if (state === 'surfaced') this.#write(() => void this.settle(token, evidence))
    else if (state === 'answered') this.#unanswered.delete(token)
    else if (state === 'forgotten') this.#forget([token], evidence)
    else if (state === 'refused') this.refuse(evidence, token)
    else if (state === 'dropped') this.refuse(evidence, token, false)
    else if (current) this.#progress(current, state, evidence, isAsking)
  }

  #progress(current: InFlight, state: 'received' | 'held' | 'handed', evidence: string, isAsking: boolean): void {
    const now = Date.now()
    if (state === 'received') current.receivedAt = now
    else if (state === 'held' && current.screenedAt === null) {
      current.screenedAt = now
      current.asked = isAsking
      this.#session.steps.noteAll(this.#entries(current.token), 'held', evidence)
    } else if (state === 'handed' && current.handedAt === null) {
      current.handedAt = now
      this.#session.steps.noteAll(this.#entries(current.token), 'handed', evidence)
    }
  }

  /**
   * Settles messages that were read and forgets their hand-over. Returns how many. Throws `store_full` with nothing
   * changed.
   */
  settle(token: string, evidence: string, readBy?: string): number {
    const past = this.#past.get(token)
    const current = this.#current?.token === token ? this.#current : null
    const door = readBy ?? current?.door ?? past?.door ?? INBOX
    const ids = [...this.#entries(token).map(({ envelope }) => envelope.id), ...(past?.ids ?? [])]
    const entries = this.#mailbox?.surface(ids, Date.now()) ?? []
    this.#past.delete(token)
    if (this.#note?.token === token) this.#note.read()
    if (this.#aside?.token === token) this.#aside.read()
    this.#closeTexts(token)
    if (door !== INBOX) this.#doors.prove(door)
    if (current) this.#current = null
    if (entries.length > 0) {
      if (this.#doors.has(door)) this.#unanswered.set(token, entries)
      this.#session.surfaced(entries, evidence, door)
    }
    this.#session.poke()
    return entries.length
  }

  #closeTexts(token: string): void {
    if (this.#note?.token === token) this.#note = null
    if (this.#aside?.token === token) this.#aside = null
  }

  /** Gives up an offer that no evidence came of in time. `certain`: it was not read. */
  expire(why: string, certain: boolean): void {
    const { token, door } = this.#current!
    const entries = this.#entries(token)
    this.#current = null
    if (this.#aside?.token === token) this.#aside.lost()
    this.giveBack(token, certain, door)
    if (certain) this.#reasons.refused(entries, 'delivered', why)
    this.#doors.fail(door, new MeshError('timeout', why))
  }

  /** Gives up an offer that a turn took, and that the model has probably read: it is unread again, and wakes nobody. */
  doubt(why: string): void {
    const { token, door } = this.#current!
    const entries = this.#entries(token)
    this.#current = null
    if (this.#aside?.token === token) this.#aside.lost()
    if (entries.length > 0) this.#past.set(token, { ids: entries.map(({ envelope }) => envelope.id), door })
    this.#write((mailbox) => mailbox.unproven(token))
    this.#session.steps.noteAll(entries, 'handed', why)
  }

  /**
   * Takes back an offer that the client refused, so is certainly unread. `shuts`: keeps the door shut for long, or
   * until something comes through it.
   */
  refuse(why: string, token = this.#current?.token, shuts = true): void {
    const current = this.#current
    if (!current || current.token !== token) return
    const entries = this.#entries(current.token)
    this.#current = null
    if (shuts) this.#doors.refuse(current.door, why)
    this.giveBack(current.token, true, current.door)
    const isStillScreened = current.screenedAt !== null && !current.asked
    this.#reasons.refused(entries, isStillScreened ? 'held' : 'delivered', why)
  }

  /** Makes the messages of an unproven hand-over unread again, marked as repeats. `certain`: they were not read. */
  giveBack(token: string, certain: boolean, door: string): void {
    const ids = this.#entries(token).map(({ envelope }) => envelope.id)
    // The client may still let in messages that it screened.
    if (ids.length > 0 && (!certain || this.#doors.has(door))) this.#past.set(token, { ids, door })
    this.#write((mailbox) => mailbox.giveBack(token, certain))
  }

  /** Makes messages that got no answer unread again: the conversation that read them is gone. */
  forgotten(): void {
    this.#forget([...this.#unanswered.keys()], 'its conversation ended before an answer')
  }

  #forget(tokens: readonly string[], why: string): void {
    const entries = tokens.flatMap((token) => this.#unanswered.get(token) ?? [])
    for (const token of tokens) this.#unanswered.delete(token)
    if (entries.length === 0) return
    this.#write((mailbox) => {
      mailbox.again(entries, Date.now())
      this.#session.steps.noteAll(entries, 'delivered', `unread again: ${why}`)
      this.#session.poke()
    })
  }

  #entries(token: string): Entry[] {
    return this.#mailbox?.inbox.inHandover(token) ?? []
  }

  /** Writes to the journal, retrying while the disk is full. */
  #write(note: (mailbox: Mailbox) => void, isAgain = false): void {
    const mailbox = this.#mailbox
    if (!mailbox) return
    try {
      note(mailbox)
      if (isAgain) this.#session.poke()
    } catch (error) {
      this.#session.log.warn({ error: MeshError.from(error).toBody() }, 'journal not written yet')
      setTimeout(() => {
        if (this.#mailbox === mailbox) this.#write(note, true)
      }, RETRY_MS).unref()
    }
  }
}
