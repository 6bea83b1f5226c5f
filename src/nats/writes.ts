/** Lets every write to the engine's store pass one place, so that a store that takes nothing is noticed whoever meets it. */
import type { NatsConnection } from 'nats'
import type { MeshError } from '../errors.ts'
import { isConflict, toMeshError } from './errors.ts'

/** Hears of every write to a stream, bucket or object store, each by the name of its stream, and of damage that is met. */
export interface StoreListener {
  /** Called before a write. Throws `store_full` to refuse it. */
  begins?(stream: string): void
  /** Called once a write is stored, with its position where there is one. */
  stored?(stream: string, position: number | null): void
  /** Called when the engine refused a write because another one was faster. */
  answered?(stream: string): void
  /** Called when the engine, which is connected, did not store. */
  refused?(stream: string, error: MeshError): void
  /** Called when something in the store cannot be read any more, and was passed over. `what` is a noun. */
  damaged?(what: string): void
  /** Called when records of a stream cannot be read. */
  unreadable?(stream: string, count: number): void
}

export class Writes {
  readonly #nc: NatsConnection
  readonly #listeners: readonly StoreListener[]

  constructor(nc: NatsConnection, listeners: readonly StoreListener[]) {
    this.#nc = nc
    this.#listeners = listeners
  }

  /** Does a write that results in its position, or in nothing of interest. Throws a lost compare-and-set as it is. */
  async do<T>(stream: string, write: () => Promise<T>): Promise<T> {
    for (const listener of this.#listeners) listener.begins?.(stream)
    try {
      const written = await write()
      const position = typeof written === 'number' ? written : null
      for (const listener of this.#listeners) listener.stored?.(stream, position)
      return written
    } catch (error) {
      if (isConflict(error)) {
        for (const listener of this.#listeners) listener.answered?.(stream)
        throw error
      }
      const refusal = toMeshError(error)
      // Over a connection that is gone, nothing was refused.
      if (!this.#nc.isClosed()) for (const listener of this.#listeners) listener.refused?.(stream, refusal)
      throw refusal
    }
  }

  unreadable(stream: string, count: number): void {
    for (const listener of this.#listeners) listener.unreadable?.(stream, count)
  }
}
