/** Opens a name's directory on this machine (lock, mailbox, outbox, counted rounds, ledger) and reads its mail. */

import { setTimeout as sleep } from 'node:timers/promises'
import { PEOPLE } from '../../core/mail/addresses.ts'
import { isShell } from '../../core/names/kinds.ts'
import { MeshError } from '../../errors.ts'
import { ensurePrivateDir } from '../../host/files.ts'
import { type Home, nameDir } from '../../host/home.ts'
import { type Lock, lock } from '../../host/lock.ts'
import type { Logger } from '../../host/log.ts'
import type { Stalls } from '../../link/stalls.ts'
import type { Delivery, MailReader } from '../../nats/mail.ts'
import type { ProjectStore } from '../../nats/project-store.ts'
import type { NameRecord } from '../../wire/envelope.schema.ts'
import { limits } from '../../wire/limits.ts'
import { mailFilters, roleFilter } from '../../wire/subjects.ts'
import { BudgetBook } from '../disk/budget-book.ts'
import { LedgerBook } from '../disk/ledger-book.ts'
import { durableOf } from '../names/registry.ts'
import { dirLock, LOCK_MS } from '../names/rename.ts'
import type { Session } from '../session.ts'
import type { Incoming } from './incoming.ts'
import { Mailbox } from './mailbox.ts'
import { Sender } from './outbox.ts'

interface StorageOptions {
  home: Home
  project: string
  record: NameRecord
  log: Logger
  incoming: Pick<Incoming, 'deliver'>
  stalls: Stalls
}

/** Returns the name's open storage. Throws `mesh_down` before the session has a name. */
export function opened({ storage, link }: Pick<Session, 'link'> & { storage: Storage | null }): Storage {
  if (storage) return storage
  const { message, hint } = link.down
  throw new MeshError('mesh_down', `this session has not joined the mesh: ${message}`, { hint })
}

export class Storage {
  readonly mailbox: Mailbox
  readonly sender: Sender
  readonly book: BudgetBook
  readonly ledger: LedgerBook
  readonly #options: StorageOptions
  readonly #lock: Lock
  #reader: MailReader | null = null
  #reading: Promise<void> = Promise.resolve()
  #caughtUp: Promise<void> = Promise.resolve()
  /** Number of messages in the stream when reading began. */
  backlog = 0

  private constructor(options: StorageOptions, lock: Lock, dir: string) {
    const { record, log, stalls, project } = options
    this.#options = options
    this.#lock = lock
    this.mailbox = Mailbox.open(dir, log)
    this.book = BudgetBook.open(dir, log)
    this.ledger = LedgerBook.open(dir, log)
    this.sender = new Sender({ dir, member: record.member, log, stalls, project })
  }

  static async open(options: StorageOptions): Promise<Storage> {
    const dir = nameDir(options.home, options.project, options.record.name)
    ensurePrivateDir(dir)
    const dirLocked = await lock(dirLock(dir), LOCK_MS)
    try {
      return new Storage(options, dirLocked, dir)
    } catch (error) {
      dirLocked.release()
      throw error
    }
  }

  /** Pauses reading: nothing arrives until `read`. Resolves when no delivery is under way any more. */
  async pause(): Promise<void> {
    await this.#reader?.stop()
  }

  /**
   * Reads the name's mail from the last position on, or all of it if the stream `wentBack`, with the topics of
   * `record`. One call at a time.
   */
  read(store: ProjectStore, record: NameRecord, wentBack = false): Promise<void> {
    this.#reading = this.#reading.catch(() => {}).then(() => this.#read(store, record, wentBack))
    return this.#reading
  }

  async #read(store: ProjectStore, record: NameRecord, wentBack: boolean): Promise<void> {
    void this.#reader?.stop()
    await this.mailbox.fence(store, record)
    let start = await this.mailbox.load(store, record.name, record.since)
    if (wentBack || (await this.mailbox.isRewound(store))) start = this.mailbox.rewind()
    const topics = record.topics.map(({ name }) => name)
    const formerly = record.formerly ? mailFilters(store.project, record.formerly.name, []).slice(0, 1) : []
    const people = isShell(record.harness) ? [roleFilter(store.project, PEOPLE)] : []
    const filters = [...mailFilters(store.project, record.name, topics), ...formerly, ...people]
    let delivered = 0
    let expected = Number.POSITIVE_INFINITY
    let caughtUp = () => {}
    this.#caughtUp = new Promise((resolve) => {
      caughtUp = () => {
        if (delivered >= expected) resolve()
      }
    })
    const onDelivery = async (delivery: Delivery) => {
      await this.#options.incoming.deliver(delivery)
      delivered++
      caughtUp()
      // Journalled messages need not come again when the consumer is created anew.
      start = Math.max(start, delivery.seq + 1)
    }
    const onTrouble = (error: Error) => {
      this.#options.log.warn({ error: MeshError.from(error).toBody() }, 'mail not read')
    }
    this.#reader = store.readMail({ durable: durableOf(record), filters, startSeq: () => start }, onDelivery, onTrouble)
    this.backlog = await this.#reader.start()
    expected = Math.min(this.backlog, limits.inboxBatch)
    caughtUp()
  }

  /**
   * Resolves once the mail that waited when reading began has arrived, or a batch of it, or after `ms`. What has not come
   * by then, as a damaged message never does, is not waited for again.
   */
  async whenCaughtUp(ms: number): Promise<void> {
    const reading = this.#caughtUp
    await Promise.race([reading, sleep(ms, undefined, { ref: false })])
    if (this.#caughtUp === reading) this.#caughtUp = Promise.resolve()
  }

  /** Stops reading while the engine is away. Messages to send wait in the outbox. */
  detach(): void {
    void this.#reader?.stop()
    this.sender.detach()
  }

  close(): void {
    void this.#reader?.stop()
    this.sender.close()
    this.mailbox.close()
    this.book.close()
    this.ledger.close()
    this.#lock.release()
  }
}
