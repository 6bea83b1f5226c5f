/**
 * Keeps the state document of this session.s name in memory. Only the owner of the name writes it, so a conversation
 * can start without reading the engine.
 */
import { emptyDocument, type StateChange } from '../../core/state/state.ts'
import { MeshError } from '../../errors.ts'
import type { Logger } from '../../host/log.ts'
import { isAway } from '../../link/until.ts'
import type { ProjectStore } from '../../nats/project-store.ts'
import type { NameRecord } from '../../wire/envelope.schema.ts'
import type { StateDocument } from '../../wire/state.schema.ts'
import { actorOf } from '../names/actor.ts'
import { type Changed, changeDocument, type KeptDocument, keyOf, takeOwn } from './documents.ts'

export class OwnState {
  readonly #log: Logger
  #owner: { name: string; epoch: number } | null = null
  #kept: KeptDocument | null = null
  /** Serializes changes and reads, so that each knows the document that the one before left. */
  #last: Promise<unknown> = Promise.resolve()

  constructor(log: Logger) {
    this.#log = log
  }

  /** The document as last read or written; empty before. */
  get document(): StateDocument {
    return this.#kept?.document ?? emptyDocument
  }

  get rev(): number {
    return this.#kept?.pointer.rev ?? 0
  }

  /** Does `open`, except that an unreadable document does not keep the session from joining. */
  async attach(store: ProjectStore, record: NameRecord): Promise<void> {
    try {
      await this.open(store, record)
    } catch (error) {
      if (!['not_found', 'version_skew'].includes(MeshError.from(error).code)) throw error
      this.#log.error({ error: MeshError.from(error).toBody(), name: record.name }, 'state not readable')
    }
  }

  /**
   * Reads the document of the name, unless it is in memory, and fences off former owners. Throws `not_found`,
   * `version_skew`.
   */
  open(store: ProjectStore, record: NameRecord): Promise<void> {
    return this.#inTurn(() => this.#open(store, record))
  }

  async #open(store: ProjectStore, record: NameRecord): Promise<void> {
    const { name, epoch, formerly } = record
    const isHere = this.#kept !== null && this.#owner?.name === name && this.#owner.epoch === epoch
    if (isHere) return
    this.leave()
    if (formerly) await this.#move(store, formerly.name, record)
    this.#kept = await takeOwn(store, { own: name, epoch })
    this.#owner = { name, epoch }
  }

  leave(): void {
    this.#kept = null
    this.#owner = null
  }

  /** Moves the document to the new name after a rename, once: a later document there is the session's own. */
  async #move(store: ProjectStore, former: string, { name, epoch }: NameRecord): Promise<void> {
    const [from, to] = [keyOf({ own: former, epoch }), keyOf({ own: name, epoch })]
    const left = await store.state.get(from)
    if (!left || left.value.epoch > epoch) return
    const revision = await store.state.vacancy(to)
    if (revision !== null) await store.state.update(to, { ...left.value, epoch }, revision)
    await store.state.delete(from, left.revision)
  }

  /** Changes the document. Throws as `changeDocument`. */
  change(store: ProjectStore, record: NameRecord, change: StateChange, op: string): Promise<Changed> {
    return this.#inTurn(() => this.#change(store, record, change, op))
  }

  #inTurn<T>(step: () => Promise<T>): Promise<T> {
    const done = this.#last.then(step)
    this.#last = done.catch(() => {})
    return done
  }

  async #change(store: ProjectStore, record: NameRecord, change: StateChange, op: string): Promise<Changed> {
    await this.#open(store, record)
    const ref = { own: record.name, epoch: record.epoch }
    const made = { op, at: new Date().toISOString(), by: actorOf(record) }
    try {
      const changed = await changeDocument(store, ref, change, made, this.#kept ?? undefined)
      if (this.#owner?.name === ref.own && this.#owner.epoch === ref.epoch) this.#kept = changed.kept
      return changed
    } catch (error) {
      // The change may have been made: the next read shows it.
      if (isAway(error)) this.leave()
      this.#log.debug({ error: MeshError.from(error).toBody() }, 'state not changed')
      throw error
    }
  }
}
