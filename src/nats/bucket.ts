/** A KV bucket of records of one kind, parsed by its schema. A value that does not parse reads as absent. */
import type { JetStreamClient, JetStreamManager } from '@nats-io/jetstream'
import { type KV, Kvm } from '@nats-io/kv'
import type { NatsConnection } from 'nats'
import type * as z from 'zod/mini'
import { MeshError } from '../errors.ts'
import { decodeRecord, encodeRecord, isOfLaterVersion } from '../wire/codec.ts'
import { whileOpen } from './connect.ts'
import { readFrom, readLast } from './direct.ts'
import { isConflict, isNotFound, toMeshError } from './errors.ts'
import type { Writes } from './writes.ts'

export interface Entry<T> {
  key: string
  value: T
  revision: number
  /** The engine's time of writing, milliseconds. */
  writtenAt: number
}

/** A stored change of a key. `value` null: the key was removed, or its value cannot be read. */
export interface Change<T> extends Omit<Entry<T>, 'value'> {
  value: T | null
}

export interface Look<T> {
  value: T | null
  revision: number
  isThere: boolean
  isLater: boolean
}

interface BucketOptions<S extends z.ZodMiniType> {
  nc: NatsConnection
  js: JetStreamClient
  jsm: JetStreamManager
  writes: Writes
  name: string
  schema: S
  /** The subject on which the engine publishes a change of a key, if it does. */
  changed?: (key: string) => string
}

export class Bucket<S extends z.ZodMiniType> {
  readonly #nc: NatsConnection
  readonly #kv: KV
  readonly #js: JetStreamClient
  readonly #jsm: JetStreamManager
  readonly #writes: Writes
  readonly #name: string
  readonly #schema: S
  readonly #changed: BucketOptions<S>['changed']

  private constructor({ nc, js, jsm, writes, name, schema, changed }: BucketOptions<S>, kv: KV) {
    this.#nc = nc
    this.#js = js
    this.#jsm = jsm
    this.#writes = writes
    this.#name = name
    this.#schema = schema
    this.#changed = changed
    this.#kv = kv
  }

  static async open<S extends z.ZodMiniType>(options: BucketOptions<S>): Promise<Bucket<S>> {
    const kv = await new Kvm(options.js).open(options.name, { bindOnly: true, allow_direct: true })
    return new Bucket(options, kv)
  }

  async get(key: string): Promise<Entry<z.output<S>> | null> {
    const entry = await this.#kv.get(key).catch(nullIfMissing)
    if (entry?.operation !== 'PUT') return null
    return this.#entry(key, entry.value, entry.revision, entry.created.getTime())
  }

  /**
   * The value and the revision (0: it never was) at one moment: a key made between two looks would be written over.
   * `isThere`: it has a value, be it unreadable; `isLater`: a later version of mesh wrote it.
   */
  async look(key: string): Promise<Look<z.output<S>>> {
    const entry = await this.#kv.get(key).catch(nullIfMissing)
    const isThere = entry?.operation === 'PUT'
    const value = isThere ? decodeRecord(this.#schema, entry.value) : null
    const isLater = isThere && value === null && isOfLaterVersion(entry.value)
    return { value, revision: entry?.revision ?? 0, isThere, isLater }
  }

  /** Returns the revision at which `key` has no readable record, 0 if it never was; null while it has one. */
  async vacancy(key: string): Promise<number | null> {
    const { value, revision } = await this.look(key)
    return value === null ? revision : null
  }

  /** Writes whatever is there. Resolves to the new revision. */
  async put(key: string, value: z.input<S>): Promise<number> {
    return this.#write(() => this.#kv.put(key, encodeRecord(value as object))).catch(rethrow)
  }

  /** Writes if the key is still at `revision` (0: absent). Null: another writer was faster. */
  async update(key: string, value: z.input<S>, revision: number): Promise<number | null> {
    const bytes = encodeRecord(value as object)
    const write = () => (revision === 0 ? this.#kv.create(key, bytes) : this.#kv.update(key, bytes, revision))
    return this.#write(write).catch((error) => {
      if (isConflict(error)) return null
      return rethrow(error)
    })
  }

  /** Removes a key, if it is still at `revision` where one is given. False: another writer was faster. */
  async delete(key: string, revision?: number): Promise<boolean> {
    try {
      await this.#write(() => this.#kv.purge(key, revision === undefined ? {} : { previousSeq: revision }))
      return true
    } catch (error) {
      if (isConflict(error)) return false
      return rethrow(error)
    }
  }

  /**
   * All records whose key matches `filter`, oldest first: every kept revision in a bucket that keeps history, else one per
   * key. Read by position, with no watch.
   */
  async all(filter = '>'): Promise<Entry<z.output<S>>[]> {
    const prefix = `$KV.${this.#name}.`
    const stored = await readFrom({ nc: this.#nc, jsm: this.#jsm }, this.#stream, prefix + filter)
    return stored.flatMap(
      ({ subject, data, seq, time }) => this.#entry(subject.slice(prefix.length), data, seq, time.getTime()) ?? [],
    )
  }

  /** The changes from position `seq` on that are still stored, oldest first. */
  async changesFrom(seq: number): Promise<Change<z.output<S>>[]> {
    const prefix = `$KV.${this.#name}.`
    const stored = await readFrom({ nc: this.#nc, jsm: this.#jsm }, this.#stream, `${prefix}>`, seq)
    return stored.map(({ subject, data, seq: revision, time }) => {
      const value = decodeRecord(this.#schema, data)
      return { key: subject.slice(prefix.length), value, revision, writtenAt: time.getTime() }
    })
  }

  /** When the bucket was made (another time means another bucket), and its last position. */
  async extent(): Promise<{ createdAt: string; lastSeq: number }> {
    try {
      const { created, state } = await this.#jsm.streams.info(this.#stream)
      return { createdAt: created.toString(), lastSeq: state.last_seq }
    } catch (error) {
      throw toMeshError(error)
    }
  }

  /** The latest records of a bucket that keeps history. Costs a consumer for as long as it takes. */
  async latest(): Promise<Entry<z.output<S>>[]> {
    const prefix = `$KV.${this.#name}.`
    const { found, unreadable } = await readLast({ nc: this.#nc, js: this.#js, jsm: this.#jsm }, this.#stream)
    if (unreadable > 0) this.#writes.unreadable(this.#stream, unreadable)
    return found.flatMap(({ subject, data, seq, at }) => this.#entry(subject.slice(prefix.length), data, seq, at) ?? [])
  }

  /**
   * Calls `onChange` with each change of `key` (`>`: of any) once it is stored, until the returned function is called or the connection
   * is over: callers also poll. The engine republishes changes, so that a watch costs no consumer. A revision that is
   * `known` is passed over unread: the own ones, whose acknowledgement comes at the same time and is taken first.
   */
  async watch(
    key: string,
    onChange: (value: z.output<S> | null, revision: number, key: string) => void,
    known?: (revision: number) => boolean,
  ): Promise<() => void> {
    const subject = this.#changed?.(key)
    if (!subject) throw new MeshError('internal', `changes of ${this.#name} are not published`)
    try {
      const subscription = this.#nc.subscribe(subject, {
        callback: (error, message) => {
          if (error) return
          const isPut = !message.headers?.get('KV-Operation')
          // ADR-28: the position of what is republished.
          const revision = Number(message.headers?.get('Nats-Sequence'))
          const changed = message.subject.slice(this.#changed!('').length)
          const report = () => onChange(isPut ? decodeRecord(this.#schema, message.data) : null, revision, changed)
          if (known) setImmediate(() => known(revision) || report())
          else report()
        },
      })
      await whileOpen(this.#nc, this.#nc.flush())
      return () => subscription.unsubscribe()
    } catch (error) {
      throw toMeshError(error)
    }
  }

  #write<T>(write: () => Promise<T>): Promise<T> {
    return this.#writes.do(this.#stream, write)
  }

  get #stream(): string {
    return `KV_${this.#name}`
  }

  #entry(key: string, bytes: Uint8Array, revision: number, writtenAt: number): Entry<z.output<S>> | null {
    const value = decodeRecord(this.#schema, bytes)
    return value === null ? null : { key, value, revision, writtenAt }
  }
}

function nullIfMissing(error: unknown): null {
  if (isNotFound(error)) return null
  throw toMeshError(error)
}

function rethrow(error: unknown): never {
  throw toMeshError(error)
}
