/** Large texts in the object store: immutable, named by their SHA-256, read without a consumer. */
import { createHash } from 'node:crypto'
import type { JetStreamClient, JetStreamManager } from '@nats-io/jetstream'
import { type ObjectInfo, type ObjectStore, Objm } from '@nats-io/obj'
import type { NatsConnection } from 'nats'
import { MeshError } from '../errors.ts'
import { limits } from '../wire/limits.ts'
import { readFrom } from './direct.ts'
import { toMeshError } from './errors.ts'

/** Objects are kept for `limits`' time from when they were put: one that is sent again is put again, but not each time. */
const RENEW_MS = 86_400_000

interface ObjectsOptions {
  nc: NatsConnection
  js: JetStreamClient
  jsm: JetStreamManager
  name: string
}

export class Objects {
  readonly #store: ObjectStore
  readonly #engine: Pick<ObjectsOptions, 'nc' | 'jsm'>
  readonly #name: string

  private constructor({ nc, jsm, name }: ObjectsOptions, store: ObjectStore) {
    this.#engine = { nc, jsm }
    this.#name = name
    this.#store = store
  }

  static async open(options: ObjectsOptions): Promise<Objects> {
    return new Objects(options, await new Objm(options.js).open(options.name))
  }

  /** Stores bytes unless they were a short time ago: what is sent now is kept for its full time. Resolves to their name. */
  async put(bytes: Uint8Array): Promise<string> {
    const name = sha256(bytes)
    try {
      if (!isFresh(await this.#store.info(name))) await this.#store.putBlob({ name }, bytes)
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
    if (!info) throw new MeshError('not_found', 'the body of this message is no longer stored')
    if (info.size > limits.bodyBytes) throw damaged()
    const chunks = await readFrom(this.#engine, `OBJ_${this.#name}`, `$O.${this.#name}.C.${info.nuid}`)
    const bytes = Buffer.concat(chunks.map((chunk) => chunk.data))
    if (sha256(bytes) !== name) throw damaged()
    return bytes
  }
}

/** The time is that of the clock of whoever put it, be it wrong. */
function isFresh(info: ObjectInfo | null): boolean {
  return info !== null && Math.abs(Date.now() - Date.parse(info.mtime)) < RENEW_MS
}

function damaged(): MeshError {
  return new MeshError('not_found', 'the body of this message is damaged in the store')
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
