/**
 * The records of a bucket in memory: each look reads on from the last position. A snapshot on disk, which the sidecars of
 * a machine share, spares a new one the reading of all that ever was.
 */
import { readJson, writeAtomic } from '../host/files.ts'
import type { Change, Entry } from '../nats/bucket.ts'

/** Number of changes after which they are read again instead of saved. */
const SAVE_EVERY = 256
const SAVE_MS = 50
const SNAPSHOT_BYTES = 64 * 1024 * 1024

/** The part of a bucket that is needed here. */
interface Source<T> {
  changesFrom(seq: number): Promise<Change<T>[]>
  extent(): Promise<{ createdAt: string; lastSeq: number }>
}

interface Snapshot<T> {
  /** Version of mesh: records that another version understood may lack what this one expects. */
  version: string
  createdAt: string
  next: number
  entries: Entry<T>[]
}

interface ReplicaOptions<T> {
  version: string
  /** Path of the snapshot; its directory exists. */
  path: string
  /** Returns false for a record that no caller will ask for. */
  keeps(entry: Entry<T>): boolean
}

export class Replica<T> {
  readonly #options: ReplicaOptions<T>
  readonly #entries = new Map<string, Entry<T>>()
  #source: Source<T> | null = null
  #createdAt = ''
  #next = 1
  #savedNext = 1
  #saving: NodeJS.Timeout | null = null
  #reading: Promise<unknown> = Promise.resolve()
  /** A look that has not begun: it serves all who ask until it does. */
  #queued: { source: Source<T>; entries: Promise<Entry<T>[]> } | null = null

  constructor(options: ReplicaOptions<T>) {
    this.#options = options
  }

  /** Returns the records as they are now, those that were written last at the end. Throws `mesh_down`, `timeout`. */
  read(source: Source<T>): Promise<Entry<T>[]> {
    if (this.#queued?.source === source) return this.#queued.entries
    const entries = this.#reading.then(() => {
      this.#queued = null
      return this.#readOn(source)
    })
    this.#queued = { source, entries }
    this.#reading = entries.catch(() => {})
    return entries
  }

  async #readOn(source: Source<T>): Promise<Entry<T>[]> {
    if (source !== this.#source) await this.#connect(source)
    const changes = await source.changesFrom(this.#next)
    for (const change of changes) this.#apply(change)
    for (const [key, entry] of this.#entries) if (!this.#options.keeps(entry)) this.#entries.delete(key)
    if (this.#next - this.#savedNext >= SAVE_EVERY) this.#saveSoon()
    return [...this.#entries.values()]
  }

  /** Over another connection the bucket may be another one, or have gone back. */
  async #connect(source: Source<T>): Promise<void> {
    const { createdAt, lastSeq } = await source.extent()
    if (this.#source === null) this.#load(createdAt)
    if (createdAt !== this.#createdAt || this.#next > lastSeq + 1) {
      this.#entries.clear()
      this.#next = this.#savedNext = 1
    }
    this.#createdAt = createdAt
    this.#source = source
  }

  #apply({ value, ...change }: Change<T>): void {
    // In the order of writing.
    this.#entries.delete(change.key)
    if (value !== null) this.#entries.set(change.key, { ...change, value })
    this.#next = change.revision + 1
  }

  #load(createdAt: string): void {
    const { path, version } = this.#options
    const snapshot = readJson(path, SNAPSHOT_BYTES) as Partial<Snapshot<T>> | null | undefined
    if (snapshot?.version !== version || snapshot.createdAt !== createdAt) return
    this.#createdAt = createdAt
    this.#next = this.#savedNext = snapshot.next ?? 1
    for (const entry of snapshot.entries ?? []) this.#entries.set(entry.key, entry)
  }

  /** After the answer that the start of a session waits for, and before the end of one that is short. */
  #saveSoon(): void {
    this.#saving ??= setTimeout(() => {
      this.#saving = null
      this.#save()
    }, SAVE_MS).unref()
  }

  #save(): void {
    const { path, version } = this.#options
    const snapshot: Snapshot<T> = {
      version,
      createdAt: this.#createdAt,
      next: this.#next,
      entries: [...this.#entries.values()],
    }
    this.#savedNext = this.#next
    try {
      writeAtomic(path, JSON.stringify(snapshot))
    } catch {
      // Without it the next sidecar reads more.
    }
  }
}
