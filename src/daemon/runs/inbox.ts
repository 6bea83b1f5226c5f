/**
 * Brings news of a session's runs into its mailbox, each piece once. News that a waiting call returns is not mailed.
 */
import { createHmac, type KeyObject } from 'node:crypto'
import { adoptedText, newsKey, newsText, wakes } from '../../core/runs/news.ts'
import { isTerminal } from '../../core/runs/run.ts'
import { writeAtomic } from '../../host/files.ts'
import type { Logger } from '../../host/log.ts'
import type { KeyRing } from '../../link/keys.ts'
import type { Delivery } from '../../nats/mail.ts'
import type { RunStore } from '../../nats/run-store.ts'
import { decodeEvent } from '../../wire/codec.ts'
import type { Envelope } from '../../wire/envelope.schema.ts'
import type { RunEvent, RunRecord } from '../../wire/run.schema.ts'
import type { Mailbox } from '../mail/mailbox.ts'
import { cursorIn, type Known, mailOf, type News } from './news.ts'

/** Age from which events are no news, if nothing notes what was read. */
const NEWS_MS = 86_400_000
/** Time between looks for changes that a broken connection may have lost. */
const LOOK_MS = 10_000
const ROOM_MS = 100
/** Time to wait for an end or a continuation that would replace the news. */
const SETTLE_MS = 250

export interface RunMailOptions {
  ring: KeyRing
  /** Derives the ids of this mail, which no other session can have used before. */
  key: KeyObject
  log: Logger
  me(): string
  mailbox(): Mailbox
  /** Returns the path of the note on how far the events of the current name were read. */
  cursorPath(): string
  onArrived(): void
  /** Notes how far the mail of an event got, for traces of the run. */
  note(mail: Pick<Envelope, 'id' | 'from'>, state: 'delivered' | 'surfaced', evidence: string): void
  /** Handles the end of any run of this session, news or not. */
  onEnd(event: RunEvent): void
}

interface Adopted {
  unfollow(): void
  /** True while no event of it came after its events were read. */
  isRead: boolean
}

interface Pending {
  event: RunEvent
  /** Position among its owner's events; null for an adopted run. */
  position: number | null
  /** Time when it was first seen, by `performance.now()`. */
  since: number
}

interface Waiting {
  runs: readonly string[]
  /** True for an event that the call returns. */
  takes(event: RunEvent): boolean
}

export class RunMail {
  readonly #options: RunMailOptions
  readonly #secret: Buffer
  readonly #waiting = new Set<Waiting>()
  /** Adopted runs, whose events may still go to the former owner. */
  readonly #adopted = new Map<string, Adopted>()
  /** Adopted runs that are over. */
  readonly #over = new Set<string>()
  /** News, by event id, that is not mailed yet: a waiting call may return it, or an end may replace it. */
  readonly #pending = new Map<string, Pending>()
  /** Position up to which the events under the current name are read; null before the first. */
  #next: number | null = null
  #store: RunStore | null = null
  #unfollow = () => {}
  #timer: NodeJS.Timeout | null = null
  #running = false
  #again = false

  constructor(options: RunMailOptions) {
    this.#options = options
    this.#secret = options.key.export({ type: 'pkcs8', format: 'der' })
  }

  attach(store: RunStore): void {
    this.detach()
    this.#store = store
    this.#unfollow = store.follow({ owner: this.#options.me() }, () => this.#poke())
    for (const run of this.#adopted.keys()) this.#follow(store, run)
    this.#timer = setInterval(() => this.#look(), LOOK_MS).unref()
    this.#poke()
  }

  detach(): void {
    this.#unfollow()
    this.#unfollow = () => {}
    for (const run of this.#adopted.values()) run.unfollow()
    // The name may have changed by the next time.
    this.#pending.clear()
    this.#next = null
    if (this.#timer) clearInterval(this.#timer)
    this.#store = null
  }

  /** Adopts a run: all its events, earlier ones too, are news here. */
  adopt(run: string): void {
    if (this.#adopted.has(run) || this.#over.has(run)) return
    this.#adopted.set(run, { unfollow: () => {}, isRead: false })
    if (this.#store) this.#follow(this.#store, run)
    this.#poke()
  }

  /** Puts into the mailbox that another session adopted a run. */
  notifyAdopted(record: RunRecord): void {
    const { id, project, member, owner, formerOwners = [] } = record
    const from = { member, name: owner, epoch: 0 }
    const key = `${id} adopted by ${owner} after ${formerOwners.length}`
    this.#deliver({ key, run: id, project, from, at: new Date().toISOString(), text: adoptedText(record) }, false)
  }

  /** Reserves for a call the events of these runs that it `takes`, until the returned function gets those it used. */
  await(runs: readonly string[], takes: (event: RunEvent) => boolean): (returned: readonly Known[]) => void {
    const waiting = { runs, takes }
    this.#waiting.add(waiting)
    return (returned) => {
      this.#waiting.delete(waiting)
      for (const event of returned) this.#know(event)
      this.#poke()
    }
  }

  #follow(store: RunStore, run: string): void {
    const adopted: Adopted = { unfollow: () => {}, isRead: false }
    adopted.unfollow = store.follow({ run }, () => {
      adopted.isRead = false
      this.#poke()
    })
    this.#adopted.set(run, adopted)
  }

  #know(event: Known): void {
    const id = this.#idOf(newsKey(event))
    const from = { member: '', name: this.#options.me(), epoch: 0 }
    try {
      this.#options.mailbox().know({ id, from, hops: 0, seq: 0 })
      this.#drop(event.run)
      this.#pending.delete(event.id)
      this.#options.note({ id, from }, 'surfaced', 'returned by a waiting call')
    } catch (error) {
      this.#options.log.debug({ error, run: event.run }, 'not noted as returned')
    }
  }

  #poke(): void {
    this.#again = true
    if (this.#running) return
    this.#running = true
    void this.#readAll()
      .catch((error) => this.#options.log.debug({ error }, 'events of runs not read'))
      .finally(() => {
        this.#running = false
      })
  }

  #pokeIn(ms: number): void {
    setTimeout(() => this.#poke(), ms).unref()
  }

  #look(): void {
    for (const run of this.#adopted.values()) run.isRead = false
    this.#poke()
  }

  async #readAll(): Promise<void> {
    while (this.#again && this.#store) {
      this.#again = false
      const store = this.#store
      await this.#read(store)
      for (const [run, adopted] of this.#adopted) if (!adopted.isRead) await this.#readAdopted(store, run, adopted)
      if (this.#store !== store) return
      this.#flush()
      this.#noteRead()
    }
  }

  async #read(store: RunStore): Promise<void> {
    const noted = cursorIn(this.#options.cursorPath())
    const from = this.#next ?? (noted === null ? 1 : await this.#fit(store, noted))
    const stored = await store.read({ owner: this.#options.me() }, from)
    if (this.#store !== store) return
    for (const delivery of stored) {
      const event = this.#readEvent(store, delivery)
      const isRecent = event && (noted !== null || Date.now() - Date.parse(event.at) < NEWS_MS)
      if (isRecent) this.#take(event, delivery.seq)
      this.#next = delivery.seq + 1
    }
    this.#next ??= from
  }

  /** Returns the position to read from. A stream that went back is read from its start; ids show what is known. */
  async #fit(store: RunStore, noted: number): Promise<number> {
    return noted <= (await store.next()) ? noted : 1
  }

  /** Reads an adopted run's events, which were published to its owners of the time. Only the latest is news. */
  async #readAdopted(store: RunStore, run: string, adopted: Adopted): Promise<void> {
    adopted.isRead = true
    const line = await store.line(run)
    if (this.#store !== store) return
    const event = line.flatMap((delivery) => this.#readEvent(store, delivery) ?? []).at(-1)
    if (!event) return
    this.#take(event, null)
    if (!isTerminal(event.type)) return
    adopted.unfollow()
    this.#adopted.delete(run)
    this.#over.add(run)
  }

  #take(event: RunEvent, position: number | null): void {
    const isKnown = this.#options.mailbox().inbox.knows(this.#idOf(newsKey(event)))
    // A session that waited, or had ended its turn, and went on or ended since, needs no attention.
    for (const [id, other] of this.#pending) {
      if (other.event.run === event.run && other.event.seq < event.seq) this.#pending.delete(id)
    }
    if (wakes(event) && !isKnown) {
      const earlier = this.#pending.get(event.id)
      this.#pending.set(event.id, { event, position, since: earlier?.since ?? performance.now() })
    }
    if (isTerminal(event.type)) this.#options.onEnd(event)
  }

  /** Puts due news into the mailbox. */
  #flush(): void {
    for (const [id, { event, since }] of this.#pending) {
      if (this.#isAwaited(event)) continue
      const left = isTerminal(event.type) ? 0 : since + SETTLE_MS - performance.now()
      if (left > 0) this.#pokeIn(left)
      else if (this.#arrive(event)) this.#pending.delete(id)
      else return
    }
  }

  /** Notes how far events were read, so that the next sidecar reads on. News not mailed yet is read again. */
  #noteRead(): void {
    const path = this.#options.cursorPath()
    const waiting = [...this.#pending.values()].flatMap(({ position }) => position ?? [])
    const next = Math.min(this.#next ?? 1, ...waiting)
    if (next !== cursorIn(path)) writeAtomic(path, JSON.stringify({ next }))
  }

  #isAwaited(event: RunEvent): boolean {
    return [...this.#waiting].some(({ runs, takes }) => runs.includes(event.run) && takes(event))
  }

  /** Puts news of an event into the mailbox. Returns false if there is no room. */
  #arrive(event: RunEvent): boolean {
    const { run, project, from, at } = event
    return this.#deliver({ key: newsKey(event), run, project, from, at, text: newsText(event) }, true)
  }

  #deliver(news: News, supersedes: boolean): boolean {
    const { mailbox, onArrived } = this.#options
    const id = this.#idOf(news.key)
    if (mailbox().inbox.knows(id)) return true
    if (!mailbox().hasRoom) {
      this.#pokeIn(ROOM_MS)
      return false
    }
    // Unread mail of this run is out of date.
    if (supersedes) this.#drop(news.run)
    const mail = mailOf(id, news)
    mailbox().arrive({ seq: 0, envelope: mail, verified: true }, Date.now())
    this.#options.note(mail, 'delivered', `made mail (${id}), in the journal of its sidecar`)
    onArrived()
    return true
  }

  #drop(run: string): void {
    const { inbox } = this.#options.mailbox()
    for (const { envelope } of inbox.deliverable()) {
      if (envelope.to === `run:${run}`) this.#options.mailbox().drop(envelope.id)
    }
  }

  /** Parses an event. Returns null unless it is signed by a member whose key is known: any process could write one. */
  #readEvent(store: RunStore, { subject, data }: Delivery): RunEvent | null {
    const read = decodeEvent(store.project, subject, data, (member) => this.#options.ring.keyOf(member))
    return 'event' in read && read.verified ? read.event : null
  }

  /** Returns the id of the mail that any session of this member makes of the event. */
  mailId(event: Known): string {
    return this.#idOf(newsKey(event))
  }

  /** Derives the id of a piece of news, the same however often it is read. */
  #idOf(key: string): string {
    return `m_${createHmac('sha256', this.#secret).update(`run news: ${key}`).digest('hex').slice(0, 32)}`
  }
}
