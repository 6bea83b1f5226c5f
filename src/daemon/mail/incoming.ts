/** Takes messages from the stream's reader into the mailbox, each once, if they are for this session. */
import { setTimeout as sleep } from 'node:timers/promises'
import { isOfPeople, PEOPLE } from '../../core/mail/addresses.ts'
import { isControl } from '../../core/mail/control.ts'
import { isDirect, isFor } from '../../core/mail/recipients.ts'
import { MeshError } from '../../errors.ts'
import type { Inbound } from '../../host/inbound.ts'
import { alarms } from '../../host/log.ts'
import type { Delivery } from '../../nats/mail.ts'
import { decodeEnvelope } from '../../wire/codec.ts'
import type { Envelope } from '../../wire/envelope.schema.ts'
import { limits } from '../../wire/limits.ts'
import { isForFormer } from '../names/rename.ts'
import type { Session } from '../session.ts'
import type { LoopGuard } from './loops.ts'
import type { Mailbox } from './mailbox.ts'
import type { Sender } from './outbox.ts'

const NO_ROOM_MS = 50
/** Number of lanes whose last number is remembered. */
const LANES = 10_000

export interface Arrived {
  seq: number
  envelope: Envelope
  verified: boolean
}

/** A message that has been journalled. */
export interface Arrival extends Arrived {
  /** False for one that was in the journal before. */
  isNew: boolean
  /** The loop budget, or the setting `inbound`, holds it. */
  held: boolean
  /** Why, where it is not the loop budget. */
  heldWhy?: string
}

/** Decides about messages of other sessions by the setting `inbound`. */
interface Gate {
  judge(envelope: Envelope, verified: boolean): Inbound
  /** Why a message is held. */
  readonly evidence: string
  held(envelope: Envelope): Promise<void>
  refused(envelope: Envelope, verified: boolean): Promise<void>
}

/** A session that reads its mail. */
interface IncomingSession extends Session {
  readonly mailbox: Mailbox
  readonly sender: Sender
  readonly loops: LoopGuard
  /** ISO 8601. */
  readonly startedAt: string
  readonly inbound: Gate
  /** True while a call awaits one particular message, which gets extra room. */
  readonly isAwaiting: boolean
  /** Lets every room handle a message that arrived. */
  arrived(arrival: Arrival): void
}

export class Incoming {
  readonly #session: IncomingSession
  readonly #last = new Map<string, number>()

  constructor(session: IncomingSession) {
    this.#session = session
  }

  /** Parses a message. Returns null for unreadable bytes, which are skipped for good. */
  read({ seq, subject, data }: Delivery): Arrived | null {
    const { place, ring, log } = this.#session
    const decoded = decodeEnvelope(place.project, subject, data, (member) => ring.keyOf(member))
    if (!('undecodable' in decoded)) return { seq, ...decoded }
    log.warn({ seq, why: decoded.undecodable }, 'not a message: passed over')
    return null
  }

  /** Returns the message as verified only if the name that it is from belongs to the member that signed it, and who has it. */
  async bound(arrived: Arrived): Promise<Arrived & { person: boolean }> {
    const { from } = arrived.envelope
    const { log, loops } = this.#session
    const { senders } = loops
    await senders.know(from)
    if (!arrived.verified || senders.owns(from)) return { ...arrived, person: senders.isPerson(from, arrived.verified) }
    const { member, name } = from
    log.error({ event: alarms.foreignName, member, name }, "a message under another member's name: not verified")
    return { ...arrived, verified: false, person: false }
  }

  /** Takes mail for the name, for everybody, and for its topics. */
  async deliver(delivery: Delivery): Promise<void> {
    const arrived = this.read(delivery)
    const { seq } = delivery
    if (arrived && isOfPeople(arrived.envelope.to)) return this.#deliverCopy(arrived)
    const isMine = arrived !== null && !this.#isEcho(arrived) && (await this.#isForMe(arrived))
    const { mailbox } = this.#session
    if (!isMine) return mailbox.skip(seq)
    if (mailbox.isRead(seq, arrived.envelope)) {
      // Read before this sidecar's time, between unread ones: it is not missing.
      this.#noticeGap(arrived)
      return mailbox.skip(seq)
    }
    await this.#receive(arrived, false)
  }

  /** Takes a copy of mail to the people: each of their shells reads it, until one answers. */
  async #deliverCopy(arrived: Arrived): Promise<void> {
    const { record, mailbox } = this.#session
    const isMine = record.roles.includes(PEOPLE) && arrived.seq > record.since
    if (!isMine || !(await this.#copy(arrived))) mailbox.skip(arrived.seq)
  }

  /** Takes a copy of mail to the people from before this session's name, which another shell has and nobody has read. */
  async deliverOpen(delivery: Delivery): Promise<void> {
    const arrived = this.read(delivery)
    if (arrived) await this.#copy(arrived)
  }

  async #copy(arrived: Arrived): Promise<boolean> {
    const { envelope } = arrived
    const isNew = !this.isOwn(envelope) && !this.#session.mailbox.inbox.knows(envelope.id)
    if (!isNew || (await this.#isSettled(envelope))) return false
    await this.#receive(arrived, false)
    return true
  }

  /** Returns true for mail to the people from before this sidecar's time that one of them has read or answered. */
  async #isSettled({ id, sentAt }: Envelope): Promise<boolean> {
    const { link, startedAt } = this.#session
    if (Date.parse(sentAt) >= Date.parse(startedAt)) return false
    const taken = await link.store.takers.get(`${PEOPLE}.${id}`)
    if (taken?.value.state === 'surfaced') return true
    return (await link.store.receiptsOf(id)).some(({ state }) => state === 'replied')
  }

  /** Takes a role's message. `repeat`: another session took it before, and may have shown it. */
  async deliverTaken(delivery: Delivery, repeat: boolean): Promise<void> {
    const arrived = this.read(delivery)
    if (arrived && !this.#session.mailbox.inbox.knows(arrived.envelope.id)) await this.#receive(arrived, repeat)
  }

  /** Returns true for a message that this session sent, under any name that it had. */
  isOwn({ from, id }: Envelope): boolean {
    return from.name === this.#session.record.name || this.#isSent(id)
  }

  #isSent(id: string): boolean {
    return this.#session.sender.get(id) !== undefined
  }

  /** Returns true for a message that this session sent to all or to a topic, under any name that it had. */
  #isEcho({ envelope }: Arrived): boolean {
    return !isDirect(envelope) && this.#isSent(envelope.id)
  }

  async #isForMe(arrived: Arrived): Promise<boolean> {
    const { record, link } = this.#session
    return isFor(record, arrived) || isForFormer(link.store, record, arrived)
  }

  async #receive(read: Arrived, repeat: boolean): Promise<void> {
    const arrived = await this.bound(read)
    const { envelope, verified, person } = arrived
    const { loops, inbound, mailbox } = this.#session
    while (!mailbox.hasRoomFor(this.#session.isAwaiting ? limits.unreadAwaited : limits.unread)) {
      await sleep(NO_ROOM_MS)
      if (mailbox !== this.#session.mailbox) throw new MeshError('conflict', 'the name was given up')
    }
    const isNew = !mailbox.inbox.knows(envelope.id)
    const policy = isNew && !isControl(envelope) ? inbound.judge(envelope, verified) : 'accept'
    if (policy === 'refuse') return this.#refuse(arrived)
    const isOver = isNew && !isControl(envelope) && loops.judge(envelope, verified)
    const held = isOver || policy === 'hold'
    mailbox.arrive(arrived, Date.now(), { repeat, held, person })
    this.#noticeGap(arrived)
    this.#session.arrived({ ...arrived, isNew, held, ...(held && !isOver ? { heldWhy: inbound.evidence } : {}) })
    if (held && !isOver) void inbound.held(envelope)
  }

  /** Passes over a message that is not let in: it counts as read, so that it does not come again. */
  #refuse(arrived: Arrived): void {
    const { mailbox, inbound } = this.#session
    mailbox.arrive(arrived, Date.now(), { held: true })
    mailbox.surface([arrived.envelope.id], Date.now())
    this.#noticeGap(arrived)
    void inbound.refused(arrived.envelope, arrived.verified)
  }

  /**
   * Reports a gap: numbers run per sender, epoch and recipient, so a missing one was lost by the store. Unverified
   * messages are ignored.
   */
  #noticeGap({ seq: position, envelope, verified }: Arrived): void {
    const { from, to, seq } = envelope
    if (!verified || to.startsWith('role:')) return
    const lane = `${from.member}/${from.name}/${from.epoch}/${to}`
    const last = this.#last.get(lane)
    if (last !== undefined && seq > last + 1) {
      const missing = seq - last - 1
      const gap = { event: alarms.missingMail, from: from.name, to, missing, position }
      this.#session.log.error(gap, 'messages of this sender are missing')
    }
    this.#last.set(lane, Math.max(seq, last ?? 0))
    if (this.#last.size > LANES) this.#last.delete(this.#last.keys().next().value!)
  }
}
