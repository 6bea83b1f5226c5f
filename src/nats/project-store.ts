/** Everything one project keeps in the engine, over one connection. */
import { type JetStreamClient, type JetStreamManager, jetstream, jetstreamManager } from '@nats-io/jetstream'
import type { NatsConnection } from 'nats'
import { decodeRecord, encodeRecord } from '../wire/codec.ts'
import { memberRecord, nameRecord, presence, type Receipt, receipt, surfaced, taker } from '../wire/envelope.schema.ts'
import { fileClaims, fileEdits } from '../wire/files.schema.ts'
import { statePointer } from '../wire/state.schema.ts'
import type { Sender } from '../wire/subjects.ts'
import {
  changeSubject,
  mailFilters,
  parseReceiptSubject,
  receiptFilter,
  receiptSubject,
  roleFilter,
  storeNames,
} from '../wire/subjects.ts'
import { task } from '../wire/task.schema.ts'
import { Bucket } from './bucket.ts'
import { readFrom } from './direct.ts'
import { isNotFound, toMeshError } from './errors.ts'
import { type Delivery, MailReader, RoleReader } from './mail.ts'
import { Objects } from './objects.ts'
import { RunStore } from './run-store.ts'
import { type Extent, engineClock, ensureStreams, readExtents, type StoreHealth, storeHealth } from './streams.ts'
import { type StoreListener, Writes } from './writes.ts'

/** A large body that is sent again is kept anew from then on, but not stored each time. */
const BODY_RENEW_MS = 86_400_000
/** A publish waits for its acknowledgement for this long. */
const PUBLISH_TIMEOUT_MS = 2000

/** The connection to the engine, and how it is used. */
interface Engine {
  nc: NatsConnection
  js: JetStreamClient
  jsm: JetStreamManager
  writes: Writes
}

async function openBuckets(engine: Engine, project: string) {
  const names = storeNames(project)
  // What is kept in memory has nothing to do with the disk.
  const inMemory = { ...engine, writes: new Writes(engine.nc, []) }
  const changesOf = (bucket: 'names' | 'presence' | 'tasks') => (key: string) => changeSubject(project, bucket, key)
  const [nameBucket, presenceBucket, surfacedBucket, takers, members, tasks, claims, edits] = await Promise.all([
    Bucket.open({ ...engine, name: names.names, schema: nameRecord, changed: changesOf('names') }),
    Bucket.open({ ...inMemory, name: names.presence, schema: presence, changed: changesOf('presence') }),
    Bucket.open({ ...engine, name: names.surfaced, schema: surfaced }),
    Bucket.open({ ...engine, name: names.takers, schema: taker }),
    Bucket.open({ ...engine, name: names.members, schema: memberRecord }),
    Bucket.open({ ...engine, name: names.tasks, schema: task, changed: changesOf('tasks') }),
    Bucket.open({ ...engine, name: names.claims, schema: fileClaims }),
    Bucket.open({ ...inMemory, name: names.edits, schema: fileEdits }),
  ])
  const [state, objects, documents] = await Promise.all([
    Bucket.open({ ...engine, name: names.state, schema: statePointer }),
    Objects.open({ ...engine, name: names.objects, what: 'the body of this message', renewMs: BODY_RENEW_MS }),
    Objects.open({ ...engine, name: names.documents, what: 'this revision of the document', renewMs: 0 }),
  ])
  const people = { names: nameBucket, presence: presenceBucket, surfaced: surfacedBucket }
  return { ...people, takers, members, tasks, claims, edits, objects, state, documents }
}
type Buckets = Awaited<ReturnType<typeof openBuckets>>

export class ProjectStore {
  readonly project: string
  readonly names: Buckets['names']
  readonly presence: Buckets['presence']
  readonly surfaced: Buckets['surfaced']
  readonly takers: Buckets['takers']
  readonly members: Buckets['members']
  readonly tasks: Buckets['tasks']
  readonly claims: Buckets['claims']
  readonly edits: Buckets['edits']
  readonly objects: Buckets['objects']
  /** Pointers to the current revision of each state document, and the documents. */
  readonly state: Buckets['state']
  readonly documents: Buckets['documents']
  readonly runs: RunStore
  readonly #nc: NatsConnection
  readonly #js: JetStreamClient
  readonly #jsm: JetStreamManager
  readonly #writes: Writes
  readonly #listeners: readonly StoreListener[]

  private constructor(
    project: string,
    { nc, js, jsm, writes }: Engine,
    open: Buckets & { runs: RunStore },
    listeners: readonly StoreListener[],
  ) {
    this.project = project
    this.runs = open.runs
    this.#nc = nc
    this.#js = js
    this.#jsm = jsm
    this.#writes = writes
    this.#listeners = listeners
    this.names = open.names
    this.presence = open.presence
    this.surfaced = open.surfaced
    this.takers = open.takers
    this.members = open.members
    this.tasks = open.tasks
    this.claims = open.claims
    this.edits = open.edits
    this.objects = open.objects
    this.state = open.state
    this.documents = open.documents
  }

  /** Opens the project's store and makes what is missing of it. Throws `mesh_down`, `store_full`. */
  static async open(
    nc: NatsConnection,
    project: string,
    listeners: readonly StoreListener[] = [],
  ): Promise<ProjectStore> {
    try {
      const jsm = await jetstreamManager(nc, { checkAPI: false, timeout: PUBLISH_TIMEOUT_MS })
      const js = jetstream(nc, { checkAPI: false, timeout: PUBLISH_TIMEOUT_MS })
      const engine = { nc, js, jsm, writes: new Writes(nc, listeners) }
      await ensureStreams(jsm, project, engine.writes)
      const opening = [openBuckets(engine, project), RunStore.bind(nc, jsm, project, listeners)] as const
      const [buckets, runs] = await Promise.all(opening)
      return new ProjectStore(project, engine, { ...buckets, runs }, listeners)
    } catch (error) {
      throw toMeshError(error)
    }
  }

  /** Reports that something cannot be read any more. `what` is a noun: the same again is the same damage. */
  reportDamage(what: string): void {
    for (const listener of this.#listeners) listener.damaged?.(what)
  }

  /** Returns the store of another project over this connection, for witnesses. */
  async sibling(project: string): Promise<ProjectStore> {
    return project === this.project ? this : ProjectStore.open(this.#nc, project, this.#listeners)
  }

  /** Appends to the messages stream; resolves once it is on the engine's disk. The id makes a retry the same message. */
  async publish(subject: string, bytes: Uint8Array, messageId: string): Promise<{ seq: number; duplicate: boolean }> {
    let duplicate = false
    const seq = await this.#writes.do(storeNames(this.project).messages, async () => {
      const ack = await this.#js.publish(subject, bytes, { msgID: messageId, timeout: PUBLISH_TIMEOUT_MS })
      duplicate = ack.duplicate
      return ack.seq
    })
    return { seq, duplicate }
  }

  async messagesState(): Promise<{ lastSeq: number }> {
    try {
      const info = await this.#jsm.streams.info(storeNames(this.project).messages)
      return { lastSeq: info.state.last_seq }
    } catch (error) {
      throw toMeshError(error)
    }
  }

  /** Returns how far each stream that is on disk goes now. Throws `not_found`, `mesh_down`. */
  extents(): Promise<Extent[]> {
    return readExtents(this.#jsm, this.project)
  }

  /** Returns the engine's clock, which all machines share. Throws `mesh_down`, `timeout`. */
  now(): Promise<number> {
    return engineClock(this.#jsm, this.project)
  }

  /** Returns the engine's view of the project's streams and buckets. Throws `mesh_down`, `timeout`. */
  health(): Promise<StoreHealth> {
    return storeHealth(this.#jsm, this.project)
  }

  /** Reads a message by position; null if it is not there (any more). */
  async messageAt(seq: number): Promise<Delivery | null> {
    try {
      const stored = await this.#jsm.direct.getMessage(storeNames(this.project).messages, { seq })
      return stored ? { subject: stored.subject, data: stored.data, seq: stored.seq } : null
    } catch (error) {
      if (isNotFound(error) || /no results|not found/i.test(String(error))) return null
      throw toMeshError(error)
    }
  }

  /** Positions of the mail to a name, and to `topics`, from `seq` on. */
  async mailFrom(name: string, seq: number, topics: readonly string[] = []): Promise<number[]> {
    const { messages } = storeNames(this.project)
    // The second is what goes to all: nobody waits for a session that ended to read it.
    const filters = mailFilters(this.project, name, topics).filter((_, i) => i !== 1)
    const found = await Promise.all(
      filters.map((filter) => readFrom({ nc: this.#nc, jsm: this.#jsm }, messages, filter, seq)),
    )
    return found.flat().map((message) => message.seq)
  }

  /** Removes a name's stored mail up to position `lastSeq`, and its consumer. */
  async purgeMail(name: string, durable: string, lastSeq: number): Promise<void> {
    const { messages } = storeNames(this.project)
    const filter = mailFilters(this.project, name, [])[0]!
    try {
      await this.#writes.do(messages, () => this.#jsm.streams.purge(messages, { filter, seq: lastSeq + 1 }))
      await this.deleteDurable(durable)
    } catch (error) {
      throw toMeshError(error)
    }
  }

  async deleteDurable(durable: string): Promise<void> {
    await this.#jsm.consumers.delete(storeNames(this.project).messages, durable).catch((error) => {
      if (!isNotFound(error)) throw toMeshError(error)
    })
  }

  readMail(
    options: { durable: string; filters: string[]; startSeq(): number },
    onDelivery: (delivery: Delivery) => Promise<void>,
    onTrouble: (error: Error) => void,
  ): MailReader {
    const stream = storeNames(this.project).messages
    return new MailReader(this.#js, this.#jsm, { ...options, stream }, onDelivery, onTrouble)
  }

  /** Returns how many messages a durable's reader has not taken yet; 0 if there is none. */
  async waitingFor(durable: string): Promise<number> {
    try {
      const info = await this.#jsm.consumers.info(storeNames(this.project).messages, durable)
      return info.num_pending + info.num_ack_pending
    } catch (error) {
      if (isNotFound(error)) return 0
      throw toMeshError(error)
    }
  }

  readRole(role: string): RoleReader {
    const stream = storeNames(this.project).messages
    const engine = { js: this.#js, jsm: this.#jsm, writes: this.#writes }
    // Capitals: no session's durable has them.
    return new RoleReader(engine, stream, `ROLE-${role}`, roleFilter(this.project, role))
  }

  /** Publishes a receipt to the sender of a message. */
  async publishReceipt(to: string, found: Receipt): Promise<void> {
    const subject = receiptSubject(this.project, to, found.id, found.state, found.by)
    // Not deduplicated: a receipt published twice says the same.
    await this.#writes.do(storeNames(this.project).receipts, async () => {
      return (await this.#js.publish(subject, encodeRecord(found))).seq
    })
  }

  /** The receipts of one message so far, oldest first. */
  async receiptsOf(id: string): Promise<Receipt[]> {
    const { receipts } = storeNames(this.project)
    const stored = await readFrom({ nc: this.#nc, jsm: this.#jsm }, receipts, receiptFilter(this.project, { id }))
    return stored.map((message) => this.#readReceipt(message.subject, message.data)).filter((found) => found !== null)
  }

  /** Calls `onReceipt` with receipts for `name` as they come. Those missed while disconnected is read by `receiptsOf`. */
  followReceipts(name: string, onReceipt: (found: Receipt) => void): () => void {
    const subscription = this.#nc.subscribe(receiptFilter(this.project, { to: name }), {
      callback: (error, message) => {
        const found = error ? null : this.#readReceipt(message.subject, message.data)
        if (found) onReceipt(found)
      },
    })
    return () => subscription.unsubscribe()
  }

  /** Calls `onReplied` with the id of each message that is answered, whoever sent it, as that happens. */
  followReplies(onReplied: (id: string) => void): () => void {
    const subscription = this.#nc.subscribe(receiptFilter(this.project, { state: 'replied' }), {
      callback: (error, message) => {
        const found = error ? null : this.#readReceipt(message.subject, message.data)
        if (found) onReplied(found.id)
      },
    })
    return () => subscription.unsubscribe()
  }

  #readReceipt(subject: string, data: Uint8Array): Receipt | null {
    const route = parseReceiptSubject(this.project, subject)
    const found = decodeRecord(receipt, data)
    const agrees =
      route && found && found.id === route.id && found.state === route.state && sameSender(found.by, route.from)
    return agrees ? found : null
  }
}

function sameSender(a: Sender, b: Sender): boolean {
  return a.member === b.member && a.name === b.name
}
