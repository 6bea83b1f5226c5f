/**
 * Keeps the mail of this sidecar's name: inbox in memory, journal on disk, surfaced record in the engine. Every change
 * goes to the journal first.
 */
import { join } from 'node:path'
import { isAside } from '../../core/mail/addresses.ts'
import { type Entry, Inbox, type InboxStep, type Offer, type Origin } from '../../core/mail/inbox.ts'
import { startPosition, wasRead } from '../../core/mail/surfaced.ts'
import { Journal } from '../../host/journal.ts'
import type { Logger } from '../../host/log.ts'
import { compareAndSet } from '../../link/until.ts'
import type { Delivery } from '../../nats/mail.ts'
import type { ProjectStore } from '../../nats/project-store.ts'
import { parseJson } from '../../wire/codec.ts'
import type { Envelope, NameRecord, Surfaced } from '../../wire/envelope.schema.ts'
import { limits } from '../../wire/limits.ts'

const COMPACT_BYTES = 8 * 1024 * 1024

type ArrivalMarks = Required<Pick<Entry, 'repeat' | 'held' | 'aside' | 'person'>>

export class Mailbox {
  readonly #journal: Journal<InboxStep>
  readonly #inbox = new Inbox()
  readonly #log: Logger
  #record: Surfaced | null = null
  /** The surfaced record from before the stream went back. */
  #outdated: Surfaced | null = null
  #revision = 0
  #dirty = false
  #saving: Promise<boolean> | null = null

  private constructor(journal: Journal<InboxStep>, log: Logger) {
    this.#journal = journal
    this.#log = log
  }

  /**
   * Opens the journal in `dir`. Messages that were given to a caller and never confirmed may have been shown; they are
   * unread, marked. Hand-overs through doors stay in flight: see `inherited`.
   */
  static open(dir: string, log: Logger): Mailbox {
    const { journal, steps } = Journal.open<InboxStep>(join(dir, 'journal.jsonl'))
    const mailbox = new Mailbox(journal, log)
    for (const step of steps) mailbox.#inbox.apply(step)
    for (const handover of mailbox.#inbox.calls()) mailbox.#inbox.apply({ t: 'back', handover, certain: false })
    mailbox.#compact()
    return mailbox
  }

  /** Unsettled hand-overs through doors, oldest first. After `open` these are an earlier sidecar's. */
  get inherited(): Offer[] {
    return this.#inbox.offers()
  }

  close(): void {
    this.#journal.close()
  }

  get inbox(): Omit<Inbox, 'apply' | 'steps'> {
    return this.#inbox
  }

  /** True while there is room for another message in memory; the rest waits in the stream. */
  get hasRoom(): boolean {
    return this.hasRoomFor(limits.unread)
  }

  hasRoomFor(count: number): boolean {
    return this.#inbox.size < count && this.#inbox.bytes < limits.unreadBytes
  }

  /**
   * Reads the surfaced record, which says what earlier owners of the name have read. Returns the position to read from.
   */
  async load(store: ProjectStore, name: string, since: number): Promise<number> {
    const { value, revision } = await store.surfaced.look(name)
    this.#record = value
    this.#revision = revision
    return startPosition(this.#record, since)
  }

  /** Makes the surfaced record this owner's, which fences off a former owner. Throws `conflict`. */
  async fence(store: ProjectStore, { name, epoch, since }: NameRecord): Promise<void> {
    await compareAndSet<Surfaced, Surfaced, void>(store.surfaced, name, ({ value }) => {
      const isMine = (value?.epoch ?? 1) >= epoch
      const position = value ?? { v: 1, kind: 'surfaced', high: since, unread: [] }
      return { write: isMine ? null : { ...position, epoch }, result: undefined }
    })
  }

  /**
   * Returns whether the stream went back behind what was read, as a damaged or replaced store does. Call `load` first.
   */
  async isRewound(store: ProjectStore): Promise<boolean> {
    const { newest } = this.#inbox
    const there = newest && (await store.messageAt(newest.seq))
    if (there && idOf(there) !== newest.id) return true
    const high = Math.max(this.#record?.high ?? 0, newest?.seq ?? 0)
    if (there && high === newest.seq) return false
    return high > (await store.messagesState()).lastSeq
  }

  /** Forgets all positions. Returns the position to read from; read messages are then known by their ids. */
  rewind(): number {
    this.#log.error('the store lost messages: reading it again from its beginning')
    this.#step({ t: 'rewound' })
    this.#outdated = this.#record
    this.#record = null
    this.#dirty = true
    return 1
  }

  /** Returns true if this owner of the name, or an earlier one, has read the message. */
  isRead(seq: number, { id, to }: Envelope): boolean {
    if (this.#inbox.get(id)) return false
    return this.#inbox.knows(id) || (!isAside(to) && wasRead(this.#record, seq))
  }

  /**
   * Journals a message. `repeat`: another session may have shown it. So may an earlier owner, at this position of a
   * stream that went back.
   */
  arrive(
    arrived: { seq: number; envelope: Envelope; verified: boolean },
    at: number,
    { repeat = false, held = false, aside = false, person = false }: Partial<ArrivalMarks> = {},
  ): void {
    const { seq, envelope, verified } = arrived
    const mark = repeat || wasRead(this.#outdated, seq) ? { repeat: true } : {}
    const others = { ...(held ? { held } : {}), ...(aside ? { aside } : {}), ...(person ? { person } : {}) }
    const marks = { ...mark, ...others }
    this.#step({ t: 'in', seq, at, verified, envelope, ...marks })
  }

  /** Releases held messages of one sender, or of all (null). Returns them. */
  release(from: string | null): Entry[] {
    const entries = this.#inbox.held().filter(({ envelope }) => from === null || envelope.from.name === from)
    if (entries.length > 0) this.#step({ t: 'released', ids: entries.map(({ envelope }) => envelope.id) })
    return entries
  }

  skip(seq: number): void {
    this.#inbox.apply({ t: 'skip', seq })
  }

  hand(handover: string, entries: readonly Entry[], door: string, at: number): void {
    this.#step({ t: 'handed', handover, ids: entries.map(({ envelope }) => envelope.id), door, at })
  }

  /**
   * Makes a hand-over's messages unread again. `certain`: they were not shown; otherwise they are marked as repeats.
   */
  giveBack(handover: string, certain: boolean): void {
    if (this.#inbox.inHandover(handover).length > 0) this.#step({ t: 'back', handover, certain })
  }

  /** Makes a hand-over's messages unread again that a turn took, without any proof that the model read them. */
  unproven(handover: string): void {
    if (this.#inbox.inHandover(handover).length > 0) this.#step({ t: 'unproven', handover })
  }

  /** Settles messages as read. Returns those that were unread before. */
  surface(ids: readonly string[], at: number): Entry[] {
    const entries = ids.map((id) => this.#inbox.get(id)).filter((entry) => entry !== undefined)
    if (entries.length === 0) return []
    this.#step({ t: 'surfaced', ids: entries.map(({ envelope }) => envelope.id), at })
    this.#dirty = true
    return entries
  }

  /** Makes read messages unread again, marked as repeats: their reader lost them before an answer. */
  again(entries: readonly Entry[], at: number): void {
    for (const { seq, envelope, verified, person } of entries)
      this.#step({ t: 'again', seq, at, verified, envelope, ...(person ? { person } : {}) })
    this.#dirty = true
  }

  /** Notes a message as read that is not here, or is no longer unread. */
  know(origin: Origin): void {
    if (this.#inbox.get(origin.id)) this.surface([origin.id], Date.now())
    else if (!this.#inbox.knows(origin.id)) this.#step({ t: 'known', origins: [origin] })
  }

  /** Drops an unread role message that another session has taken. */
  drop(id: string): void {
    if (this.#inbox.get(id)) this.#step({ t: 'dropped', id })
  }

  /** Writes the surfaced record if it changed. Resolves to false when the name has another owner. */
  async save(store: ProjectStore, name: string, epoch: number): Promise<boolean> {
    while (this.#saving) await this.#saving.catch(() => {})
    if (!this.#dirty) return true
    this.#saving = this.#save(store, name, epoch)
    try {
      return await this.#saving
    } finally {
      this.#saving = null
    }
  }

  async #save(store: ProjectStore, name: string, epoch: number): Promise<boolean> {
    try {
      while (this.#dirty) {
        this.#dirty = false
        const written = await store.surfaced.update(name, this.#inbox.position(epoch), this.#revision)
        if (written !== null) this.#revision = written
        else if (!(await this.#reread(store, name, epoch))) return false
      }
      return true
    } catch (error) {
      this.#dirty = true
      throw error
    }
  }

  /** Handles a lost compare-and-set: either an own write whose answer was lost, or another owner's. */
  async #reread(store: ProjectStore, name: string, epoch: number): Promise<boolean> {
    const { value, revision } = await store.surfaced.look(name)
    this.#revision = revision
    this.#dirty = true
    return !value || value.epoch <= epoch
  }

  #step(step: InboxStep): void {
    this.#journal.append([step])
    this.#inbox.apply(step)
    if (this.#journal.bytes > COMPACT_BYTES + 2 * this.#inbox.bytes) this.#compact()
  }

  #compact(): void {
    try {
      this.#journal.rewrite(this.#inbox.steps())
    } catch (error) {
      this.#log.warn({ error }, 'journal not compacted')
    }
  }
}

function idOf({ data }: Delivery): unknown {
  const message = parseJson(data)
  return message !== null && typeof message === 'object' && 'id' in message ? message.id : undefined
}
