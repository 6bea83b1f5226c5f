/**
 * Sends messages from one FIFO outbox, written to disk before anything is published, with one message in flight per
 * recipient.
 */

import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { isSaid } from '../../core/mail/control.ts'
import { Outbox, type OutboxStep, type Outgoing, type Sent } from '../../core/mail/outbox.ts'
import { MeshError } from '../../errors.ts'
import { Journal } from '../../host/journal.ts'
import type { Logger } from '../../host/log.ts'
import type { Stalls } from '../../link/stalls.ts'
import type { ProjectStore } from '../../nats/project-store.ts'
import { decodeRecord } from '../../wire/codec.ts'
import { type Envelope, envelope } from '../../wire/envelope.schema.ts'
import { limits, times } from '../../wire/limits.ts'
import { storeNames } from '../../wire/subjects.ts'

const COMPACT_BYTES = 8 * 1024 * 1024
/** Bytes of stored messages kept in memory and in the file, to send again what a damaged store lost. */
const SENT_BYTES = 3 * 1024 * 1024
/** Number of missing messages after which the search for lost ones ends. */
const REMOVED = 32
const RETRY_MS = 250
/** Intent of the words that mesh finds for a hand-off, which a session makes. */
const NOTICE = 'handoff'
/** Number of messages searched for the last one that the session itself sent. */
const LATEST = 8

/** A caller that awaits the storing of a message. */
interface Pending {
  resolve(position: number): void
  reject(error: MeshError): void
}

interface SenderOptions {
  dir: string
  member: string
  log: Logger
  /** Judges whether the engine takes messages of the project. */
  stalls: Pick<Stalls, 'begins'>
  project: string
}

export class Sender {
  readonly #options: SenderOptions
  readonly #journal: Journal<OutboxStep>
  readonly #outbox = new Outbox(SENT_BYTES)
  readonly #pending = new Map<string, Pending>()
  /** Messages whose `send` has not resolved yet, and may still be refused. */
  readonly #unanswered = new Set<string>()
  #store: ProjectStore | null = null
  /** Counts losses and recoveries of the link: failures of an earlier one mean nothing. */
  #link = 0
  #retry: NodeJS.Timeout | null = null
  /** Size of the journal after its last compaction, in bytes. */
  #compacted = 0

  constructor(options: SenderOptions) {
    this.#options = options
    const { journal, steps } = Journal.open<OutboxStep>(join(options.dir, 'outbox.jsonl'))
    this.#journal = journal
    for (const step of steps) this.#outbox.apply(step)
    this.#compact()
  }

  /**
   * Sends all waiting messages over a new connection, with those that a damaged store lost and those that were in
   * flight when the link broke, whose acknowledgement will not come any more.
   */
  async attach(store: ProjectStore): Promise<void> {
    this.#link++
    for (const { id } of this.#outbox.waiting()) this.#outbox.release(id)
    this.#store = store
    const lost = this.#outbox.lose(await this.#findLost(store))
    if (lost.length > 0) this.#options.log.error({ lost: lost.length }, 'the store lost messages: sending them again')
    this.#pump()
  }

  /**
   * Finds messages that a damaged store lost. A store loses its tail and gives the positions away again: from the
   * highest down to the first message that is where it was stored, all are lost. A message at a position that is now
   * empty was read and removed, or is old.
   */
  async #findLost(store: ProjectStore): Promise<Sent[]> {
    const stored = this.#outbox.stored()
    if (stored.length === 0) return []
    const lost: Sent[] = []
    let removed = 0
    const { lastSeq } = await store.messagesState()
    for (const sent of stored) {
      if (sent.position! <= lastSeq) {
        const there = await store.messageAt(sent.position!)
        if (there && Buffer.compare(there.data, sent.message.bytes) === 0) break
        if (!there && ++removed > REMOVED) break
        if (!there) continue
      }
      lost.push(sent)
    }
    return lost
  }

  detach(): void {
    this.#link++
    this.#store = null
  }

  /** Closes the outbox. Messages that are not stored yet stay in the file for the next owner. */
  close(): void {
    this.detach()
    if (this.#retry) clearTimeout(this.#retry)
    this.#journal.close()
  }

  nextSeq(epoch: number, to: string): number {
    return this.#outbox.nextSeq(epoch, to)
  }

  get(id: string): Sent | undefined {
    return this.#outbox.get(id)
  }

  /** Returns what the session itself said last to another one, among the latest few messages. */
  lastSaid(): { id: string; to: string; at: number; text: string } | null {
    for (const { id, to, at, bytes } of this.#outbox.latest(LATEST)) {
      const read = decodeRecord(envelope, bytes)
      if (!read || !isSaid(read) || read.to === read.from.name || read.intent === NOTICE) continue
      return { id, to, at, text: beginningOf(read) }
    }
    return null
  }

  /** Returns the beginning of a message that was sent under this name within the last day; null if it is not known. */
  said(id: string): string | null {
    const bytes = this.#outbox.get(id)?.message.bytes
    const read = bytes && decodeRecord(envelope, bytes)
    return read ? beginningOf(read) : null
  }

  idsFrom(prefix: string): string[] {
    return this.#outbox.idsFrom(prefix)
  }

  /**
   * Sends a message. Resolves to its stream position, or to null when the engine did not answer in time: the message is
   * then on this machine's disk and will go. Throws `store_full` with nothing stored.
   */
  async send(message: Outgoing): Promise<number | null> {
    this.#checkRoom(message)
    const { id, subject, to, seq, epoch, at, bytes } = message
    this.#step({ t: 'put', id, subject, to, seq, epoch, at, envelope: Buffer.from(bytes).toString() })
    this.#unanswered.add(id)
    const stored = new Promise<number>((resolve, reject) => this.#pending.set(id, { resolve, reject }))
    stored.catch(() => {})
    this.#pump()
    try {
      const position = await Promise.race([stored, sleep(times.queueAfter, null)])
      if (position === null) this.#journal.sync()
      return position
    } finally {
      this.#unanswered.delete(id)
    }
  }

  /** Resolves once the message is stored. Rejects if it never will be. */
  async stored(id: string): Promise<number> {
    const sent = this.#outbox.get(id)
    if (!sent) throw new MeshError('not_found', `no message ${id} was sent from here in the last day`)
    if (sent.position !== null) return sent.position
    return new Promise((resolve, reject) => {
      const earlier = this.#pending.get(id)
      this.#pending.set(id, {
        resolve: (position) => {
          earlier?.resolve(position)
          resolve(position)
        },
        reject: (error) => {
          earlier?.reject(error)
          reject(error)
        },
      })
    })
  }

  #checkRoom(message: Outgoing): void {
    const { stalls, project } = this.#options
    stalls.begins(storeNames(project).messages)
    const { size } = this.#outbox
    if (size < limits.outbox && this.#journal.bytes + message.bytes.length < limits.outboxBytes) return
    throw new MeshError('store_full', `${size} messages wait in the outbox already`)
  }

  #pump(): void {
    const store = this.#store
    if (!store || this.#retry) return
    for (const message of this.#outbox.take()) void this.#publish(store, message)
  }

  async #publish(store: ProjectStore, message: Outgoing): Promise<void> {
    const link = this.#link
    try {
      // Deduplication is per stream, not per sender: the member makes the id its own.
      const { seq } = await store.publish(message.subject, message.bytes, `${this.#options.member}.${message.id}`)
      this.#noteStored(message.id, seq)
      this.#pending.get(message.id)?.resolve(seq)
      this.#pending.delete(message.id)
    } catch (error) {
      if (link !== this.#link) return
      this.#onFailure(message, MeshError.from(error))
    }
    this.#pump()
  }

  #onFailure(message: Outgoing, error: MeshError): void {
    if (this.#refuse(message, error)) return
    this.#options.log.warn({ id: message.id, error: error.toBody() }, 'not stored yet')
    this.#outbox.release(message.id)
    this.#retry ??= setTimeout(() => {
      this.#retry = null
      this.#pump()
    }, RETRY_MS)
  }

  /**
   * Drops a message that the engine refused, while its `send` has not resolved. Later, or when the disk cannot note the
   * refusal, it is kept: a restart would send it.
   */
  #refuse({ id }: Outgoing, error: MeshError): boolean {
    if (error.code !== 'too_large' && (error.code !== 'store_full' || !this.#unanswered.has(id))) return false
    try {
      this.#step({ t: 'refused', id })
    } catch {
      return false
    }
    this.#pending.get(id)?.reject(error)
    this.#pending.delete(id)
    return true
  }

  /**
   * Notes that a message is stored. If the disk cannot note it, the message is sent again after a restart, under the
   * same id.
   */
  #noteStored(id: string, position: number): void {
    const step = { t: 'stored', id, position, at: Date.now() } as const
    try {
      this.#step(step)
    } catch (error) {
      this.#outbox.apply(step)
      this.#options.log.warn({ error }, 'outbox not written')
    }
  }

  #step(step: OutboxStep): void {
    this.#journal.append([step])
    this.#outbox.apply(step)
    if (this.#journal.bytes > COMPACT_BYTES + 2 * this.#compacted) this.#compact()
  }

  #compact(): void {
    try {
      this.#journal.rewrite(this.#outbox.compact(Date.now() - times.sentAge))
      this.#compacted = this.#journal.bytes
    } catch (error) {
      this.#options.log.warn({ error }, 'outbox not compacted')
    }
  }
}

function beginningOf({ body }: Envelope): string {
  return ('text' in body ? body.text : body.preview).slice(0, limits.ledgerText).toWellFormed()
}
