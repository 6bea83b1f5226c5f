/** Large texts in the object store: immutable, named by their SHA-256, read without a consumer. */
import { createHash } from 'node:crypto'
import type { JetStreamClient, JetStreamManager } from '@nats-io/jetstream'
import { type ObjectInfo, type ObjectStore, Objm } from '@nats-io/obj'
import type { NatsConnection } from 'nats'
import { MeshError } from '../errors.ts'
import { decodeRecord } from '../wire/codec.ts'
import { limits } from '../wire/limits.ts'
import { readFrom } from './direct.ts'
import { toMeshError } from './errors.ts'
import { objectInfo } from './object-info.schema.ts'
import type { Writes } from './writes.ts'

interface ObjectsOptions {
  nc: NatsConnection
  js: JetStreamClient
  jsm: JetStreamManager
  writes: Writes
  name: string
  /** The noun for an object in errors. */
  what: string
  /** Objects are kept from when they were put: one that is put again is stored again if it is older than this. */
  renewMs: number
}

/** An object as its metadata have it. */
export interface StoredObject {
  name: string
  /** The engine's time of writing, milliseconds. */
  storedAt: number
  /** Subject and position of the metadata in the store's stream. */
  subject: string
  seq: number
  /** The id under which its chunks are stored. */
  nuid: string
}

export class Objects {
  readonly #store: ObjectStore
  readonly #engine: Pick<ObjectsOptions, 'nc' | 'jsm' | 'writes'>
  readonly #options: Pick<ObjectsOptions, 'name' | 'what' | 'renewMs'>

  private constructor({ nc, jsm, writes, ...options }: ObjectsOptions, store: ObjectStore) {
    this.#engine = { nc, jsm, writes }
    this.#options = options
    this.#store = store
  }

  static async open(options: ObjectsOptions): Promise<Objects> {
    return new Objects(options, await new Objm(options.js).open(options.name, false))
  }

  /** Stores bytes unless they were a short time ago: what is sent now is kept for its full time. Resolves to their name. */
  async put(bytes: Uint8Array): Promise<string> {
    const name = sha256(bytes)
    try {
      if (!isFresh(await this.#store.info(name), this.#options.renewMs))
        await this.#engine.writes.do(this.#stream, () => this.#store.putBlob({ name }, bytes))
      return name
    } catch (error) {
      throw toMeshError(error)
    }
  }

  /** The bytes of an object. Throws `not_found`, also when what is stored is not what the name says. */
  async get(name: string): Promise<Uint8Array> {
    const info = await this.#store.info(name).catch((error) => {
      throw toMeshError(error)
    })
    const { what } = this.#options
    if (!info) throw new MeshError('not_found', `${what} is no longer stored`)
    const chunks =
      info.size > limits.bodyBytes ? [] : await readFrom(this.#engine, this.#stream, this.#chunks(info.nuid))
    const bytes = Buffer.concat(chunks.map((chunk) => chunk.data))
    if (sha256(bytes) !== name) throw new MeshError('not_found', `${what} is damaged in the store`)
    return bytes
  }

  /** Every object that is there. */
  async all(): Promise<StoredObject[]> {
    const stored = await readFrom(this.#engine, this.#stream, `$O.${this.#options.name}.M.>`)
    return stored.flatMap(({ seq, subject, time, data }) => {
      const info = decodeRecord(objectInfo, data)
      return info ? [{ name: info.name, nuid: info.nuid, storedAt: time.getTime(), subject, seq }] : []
    })
  }

  /** Removes an object as it was found: one that was put again since stays. */
  async remove({ subject, nuid, seq }: StoredObject): Promise<void> {
    const { jsm, writes } = this.#engine
    try {
      await writes.do(this.#stream, async () => {
        await jsm.streams.purge(this.#stream, { filter: this.#chunks(nuid) })
        await jsm.streams.purge(this.#stream, { filter: subject, seq: seq + 1 })
      })
    } catch (error) {
      throw toMeshError(error)
    }
  }

  get #stream(): string {
    return `OBJ_${this.#options.name}`
  }

  #chunks(nuid: string): string {
    return `$O.${this.#options.name}.C.${nuid}`
  }
}

/** The time is by the clock of the writer, be it wrong. */
function isFresh(info: ObjectInfo | null, renewMs: number): boolean {
  return info !== null && Math.abs(Date.now() - Date.parse(info.mtime)) < renewMs
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
