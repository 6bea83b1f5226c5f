/** Takes what the reader of the stream yields into the mailbox: what is for this session, each message once. */
import { MeshError } from '../../errors.ts'
import { alarms, type Logger } from '../../host/log.ts'
import type { KeyRing } from '../../link/keys.ts'
import type { Delivery } from '../../nats/mail.ts'
import type { ProjectStore } from '../../nats/project-store.ts'
import { decodeEnvelope } from '../../wire/codec.ts'
import type { Envelope, NameRecord } from '../../wire/envelope.schema.ts'
import { limits } from '../../wire/limits.ts'
import { parseRecipient } from '../../wire/names.ts'
import { isForFormer } from './former.ts'
import type { Mailbox } from './mailbox.ts'

/** Lanes whose last number is remembered. */
const LANES = 10_000

export interface Arrived {
  seq: number
  envelope: Envelope
  verified: boolean
}

export class Intake {
  readonly #project: string
  readonly #ring: KeyRing
  readonly #log: Logger
  readonly #last = new Map<string, number>()

  constructor(project: string, ring: KeyRing, log: Logger) {
    this.#project = project
    this.#ring = ring
    this.#log = log
  }

  /** The message; null for bytes that are none, which are passed over for good. */
  read({ seq, subject, data }: Delivery): Arrived | null {
    const decoded = decodeEnvelope(this.#project, subject, data, (member) => this.#ring.keyOf(member))
    if (!('undecodable' in decoded)) return { seq, ...decoded }
    this.#log.warn({ seq, why: decoded.undecodable }, 'not a message: passed over')
    return null
  }

  /** Numbers run per sender, epoch and recipient: one that is missing was lost by the store. Forged ones say nothing. */
  noticeGap({ seq: position, envelope, verified }: Arrived): void {
    const { from, to, seq } = envelope
    if (!verified || to.startsWith('role:')) return
    const lane = `${from.member}/${from.name}/${from.epoch}/${to}`
    const last = this.#last.get(lane)
    if (last !== undefined && seq > last + 1) {
      const missing = seq - last - 1
      const gap = { event: alarms.missingMail, from: from.name, to, missing, position }
      this.#log.error(gap, 'messages of this sender are missing')
    }
    this.#last.set(lane, Math.max(seq, last ?? 0))
    if (this.#last.size > LANES) this.#last.delete(this.#last.keys().next().value!)
  }
}

/** Whether the holder of `record` reads the message: mail to its name, everybody's, and of topics since it joined. */
export function isFor(record: NameRecord, { seq, envelope }: Arrived): boolean {
  const to = parseRecipient(envelope.to)
  const isOwn = envelope.from.name === record.name || wasOwn(record, seq, envelope.from.name)
  if (to.kind === 'all') return !isOwn && seq > record.since
  if (to.kind === 'topic') {
    const joined = record.topics.find(({ name }) => name === to.name)
    return !isOwn && joined !== undefined && seq > joined.since
  }
  if (to.kind === 'role' || to.name === record.name) return true
  return wasOwn(record, seq, to.name)
}

/** Up to its rename the former name was this session. */
function wasOwn({ formerly }: NameRecord, seq: number, name: string): boolean {
  return formerly?.name === name && seq <= formerly.until
}

/** Everybody's and topics' messages have many readers: their senders are told only that they were read. */
export function isDirect({ to }: Envelope): boolean {
  return !to.startsWith('topic:') && to !== '@all'
}

const NO_ROOM_MS = 50

interface ArrivalsOptions {
  intake: Intake
  record(): NameRecord
  mailbox(): Mailbox
  store(): ProjectStore
  /** True for what this session sent itself. */
  isSent(id: string): boolean
  /** Finds out what `judge` needs to know of a sender. */
  know(from: Envelope['from']): Promise<void>
  /** True for a message that is to be held. It arrives right after. */
  judge(envelope: Envelope, verified: boolean): boolean
  /** True while a call awaits one particular message: there is more room then. */
  isAwaited(): boolean
  /** A message is in the journal; `isNew` unless it was there before. */
  onArrived(arrived: Arrived, isNew: boolean, held: boolean): void
}

export class Arrivals {
  readonly #options: ArrivalsOptions

  constructor(options: ArrivalsOptions) {
    this.#options = options
  }

  /** Mail to the name, to everybody, and of its topics. */
  async onDelivery(delivery: Delivery): Promise<void> {
    const { intake, mailbox } = this.#options
    const arrived = intake.read(delivery)
    const { seq } = delivery
    const isMine = arrived !== null && !this.#isEcho(arrived) && (await this.#isForMe(arrived))
    if (!isMine) return mailbox().skip(seq)
    if (mailbox().isRead(seq, arrived.envelope)) {
      // Read before this sidecar's time, between unread ones: it is not missing.
      intake.noticeGap(arrived)
      return mailbox().skip(seq)
    }
    await this.#receive(arrived, false)
  }

  /** A role's message that this session took; one that another took before may have been shown by that one. */
  async onTaken(delivery: Delivery, repeat: boolean): Promise<void> {
    const { intake, mailbox } = this.#options
    const arrived = intake.read(delivery)
    if (arrived && !mailbox().inbox.knows(arrived.envelope.id)) await this.#receive(arrived, repeat)
  }

  /** A role's message for whom it is read, and whether this session sent it, under whatever name it had then. */
  ofRole(delivery: Delivery): { id: string; isOwn: boolean } | null {
    const { intake, record, isSent } = this.#options
    const envelope = intake.read(delivery)?.envelope
    if (!envelope) return null
    return { id: envelope.id, isOwn: envelope.from.name === record().name || isSent(envelope.id) }
  }

  /** What this session itself told everybody or a topic, under whatever name it had then. */
  #isEcho({ envelope }: Arrived): boolean {
    return !isDirect(envelope) && this.#options.isSent(envelope.id)
  }

  async #isForMe(arrived: Arrived): Promise<boolean> {
    const { record, store } = this.#options
    return isFor(record(), arrived) || isForFormer(store(), record(), arrived)
  }

  async #receive(arrived: Arrived, repeat: boolean): Promise<void> {
    const { intake, know, judge, isAwaited, onArrived } = this.#options
    const { envelope, verified } = arrived
    await know(envelope.from)
    const mailbox = this.#options.mailbox()
    while (!mailbox.hasRoomFor(isAwaited() ? limits.unreadAwaited : limits.unread)) {
      await new Promise((resolve) => setTimeout(resolve, NO_ROOM_MS))
      if (mailbox !== this.#options.mailbox()) throw new MeshError('conflict', 'the name was given up')
    }
    const isNew = !mailbox.inbox.knows(envelope.id)
    const held = isNew && judge(envelope, verified)
    mailbox.arrive(arrived, Date.now(), { repeat, held })
    intake.noticeGap(arrived)
    onArrived(arrived, isNew, held)
  }
}
