/**
 * Lists the session's obligations: those in the ledger of its name, and its tasks, runs and claims by the engine's
 * records. The records are read ahead, so a conversation can start without reading the engine.
 */

import type { Awaited } from '../../api/op.ts'
import { isControlIntent } from '../../core/mail/control.ts'
import type { Entry } from '../../core/mail/inbox.ts'
import { type Facts, type Obligation, obligationsOf } from '../../core/state/obligations.ts'
import { MeshError } from '../../errors.ts'
import type { Logger } from '../../host/log.ts'
import type { ProjectStore } from '../../nats/project-store.ts'
import type { Envelope } from '../../wire/envelope.schema.ts'
import { limits } from '../../wire/limits.ts'
import { claimsOf } from '../files/claims.ts'
import type { Storage } from '../mail/storage.ts'
import type { CurrentRuns } from '../runs/current.ts'
import type { Letter } from '../session.ts'
import type { Call } from '../socket/call.ts'

const FIRST_MS = 1000
/** Gathers several changes into one look. */
const GATHER_MS = 200
/** Time within which record changes are found that are not published to this sidecar. */
const LOOK_MS = 30_000
const FRESH_MS = 5000
const REPLIED = 256

interface ObligationsOptions {
  log: Logger
  me(): string
  /** The session's own run; null for a person at a shell. */
  run: { id: string; lineage: readonly string[] } | null
  runs: CurrentRuns
  storage(): Storage | null
}

type Records = Pick<Facts, 'tasks' | 'runs' | 'claims' | 'parent'>

const nothing: Records = { tasks: [], runs: [], claims: [], parent: null }

export class Obligations {
  readonly #options: ObligationsOptions
  #records = nothing
  #store: ProjectStore | null = null
  #unfollow = () => {}
  #timer: NodeJS.Timeout | null = null
  #reading: Promise<void> | null = null
  #readAt = Number.NEGATIVE_INFINITY
  /** Ids of messages answered last: an answer may be sent before its question is noted as read. */
  readonly #replied: string[] = []

  constructor(options: ObligationsOptions) {
    this.#options = options
  }

  attach(store: ProjectStore): void {
    this.detach()
    this.#store = store
    this.#unfollow = store.runs.follow({ owner: this.#options.me() }, () => this.#lookIn(GATHER_MS))
    // The start of a conversation comes first: its text uses what is known, or waits for `fresh`.
    this.#lookIn(FIRST_MS)
  }

  detach(): void {
    this.#unfollow()
    this.#unfollow = () => {}
    if (this.#timer) clearTimeout(this.#timer)
    this.#timer = null
    this.#store = null
  }

  /** Returns the obligations as known now. */
  list(): Obligation[] {
    const { me, run, storage } = this.#options
    const { book = null, sender = null } = storage() ? { book: storage()!.ledger, sender: storage()!.sender } : {}
    const ledger = book?.ledger ?? { asks: [], owed: [], waits: [] }
    const said = sender?.lastSaid() ?? null
    return obligationsOf({ me: me(), ownRun: run?.id ?? null, ledger, ...this.#records, said, now: Date.now() })
  }

  /** Resolves once the records are fresh. */
  async fresh(): Promise<void> {
    if (performance.now() - this.#readAt > FRESH_MS) await this.read()
  }

  /** Returns the ids of messages that were read and wait for an answer. */
  owed(): string[] {
    return this.#options.storage()?.ledger.ledger.owed.map(({ id }) => id) ?? []
  }

  /** Settles obligations that other sessions took over. */
  settle(ids: readonly string[]): void {
    for (const id of ids) this.#note({ t: 'settled', id })
  }

  #hasAsked(idOrPrefix: string): boolean {
    return this.#options.storage()?.ledger.ledger.asks.some(({ id }) => id.startsWith(idOrPrefix)) ?? false
  }

  /** Reads the records again. Never throws: on failure the known records stay. */
  read(): Promise<void> {
    this.#reading ??= this.#read().finally(() => {
      this.#reading = null
    })
    return this.#reading
  }

  async #read(): Promise<void> {
    const store = this.#store
    if (!store) return
    try {
      const me = this.#options.me()
      const [tasks, records, claims] = await Promise.all([
        this.#readTasks(store),
        this.#options.runs.read(store.runs.records),
        claimsOf(store, me),
      ])
      const runs = records.map(({ value }) => value).filter(({ owner }) => owner === me)
      const parent = await this.#readParent(store)
      this.#readAt = performance.now()
      if (store === this.#store) this.#records = { tasks, runs, claims, parent }
    } catch (error) {
      this.#options.log.debug({ error: MeshError.from(error).toBody() }, 'obligations not read')
    }
    if (store === this.#store) this.#lookIn(LOOK_MS)
  }

  /** Returns the name of the run that started this session. */
  async #readParent(store: ProjectStore): Promise<string | null> {
    const id = this.#options.run?.lineage.at(-1)
    return id === undefined ? null : ((await store.runs.records.get(id))?.value.name ?? null)
  }

  #lookIn(ms: number): void {
    if (this.#timer) clearTimeout(this.#timer)
    this.#timer = setTimeout(() => void this.read(), ms)
    this.#timer.unref()
  }

  async #readTasks(store: ProjectStore): Promise<Facts['tasks']> {
    const ids = this.#options.storage()?.ledger.ledger.tasks ?? []
    const tasks = (await Promise.all(ids.map((id) => store.tasks.get(id)))).flatMap((entry) => entry?.value ?? [])
    const isMine = (task: (typeof tasks)[number]) => {
      const { me } = this.#options
      if (task.state === 'claimed' && task.claim?.holder.name === me()) return true
      return task.createdBy.name === me() && ['open', 'claimed'].includes(task.state)
    }
    for (const id of ids) {
      if (!tasks.some((task) => task.id === id && isMine(task))) this.#note({ t: 'untask', id })
    }
    return tasks.filter(isMine)
  }

  #note(step: Parameters<Storage['ledger']['note']>[0]): void {
    this.#options.storage()?.ledger.note(step)
  }

  // --- what happens

  /** Notes a message that was sent. */
  sent({ id, replyTo, intent }: Pick<Letter, 'id' | 'replyTo' | 'intent'>, to: string, text: string): void {
    if (isControlIntent(intent)) return
    if (replyTo !== undefined) {
      this.#note({ t: 'settled', id: replyTo })
      this.#replied.push(replyTo)
      if (this.#replied.length > REPLIED) this.#replied.shift()
    }
    if (intent === 'request') this.#note({ t: 'asked', id, with: to, at: Date.now(), text: beginning(text) })
  }

  /** Notes a message that arrived. */
  arrived({ replyTo }: Envelope): void {
    if (replyTo !== undefined) this.#note({ t: 'answered', id: replyTo })
  }

  /** Notes that the model, or the caller, has read these. */
  surfaced(entries: readonly Entry[]): void {
    for (const { envelope, arrivedAt } of entries) {
      const { id, from, to, intent, body } = envelope
      const isAsked = intent === 'request' && !to.startsWith('topic:') && to !== '@all'
      if (!isAsked || this.#replied.includes(id)) continue
      const text = 'text' in body ? body.text : body.preview
      this.#note({ t: 'owes', id, with: from.name, at: arrivedAt, text: beginning(text) })
    }
  }

  /** Notes a task that the session changed. */
  touched(task: string): void {
    this.#note({ t: 'task', id: task })
    this.#lookIn(GATHER_MS)
  }

  /** Notes that the session claimed or released files. */
  changed(): void {
    this.#lookIn(GATHER_MS)
  }

  /** Notes what a call waits for while it works. A wait whose caller goes away stays open. */
  async during<T>(awaited: Awaited, call: Pick<Call, 'signal'>, work: () => Promise<T>): Promise<T> {
    // The answer to a question is open already, as the question.
    if (awaited.answerTo !== undefined && this.#hasAsked(awaited.answerTo)) return work()
    const what = awaited.what.slice(0, limits.ledgerText)
    this.#note({ t: 'waiting', what, at: Date.now() })
    try {
      const result = await work()
      this.#note({ t: 'waited', what, over: true })
      return result
    } catch (error) {
      this.#note({ t: 'waited', what, over: !call.signal.aborted })
      throw error
    }
  }
}

function beginning(text: string): string {
  return text.slice(0, limits.ledgerText).toWellFormed()
}
