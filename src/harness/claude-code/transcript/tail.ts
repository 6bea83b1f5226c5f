/** Follows a growing file of lines from a given point on. Bounded: a line too long is skipped. */
import { closeSync, type FSWatcher, openSync, readSync, statSync, watch } from 'node:fs'
import { CHUNK_BYTES, LineSplitter } from './lines.ts'

/** The pause between looks for a file that does not exist yet. */
const LOOK_MS = 100

export class Tail {
  readonly #path: string
  readonly #lines: LineSplitter
  #offset: number
  #watcher: FSWatcher | null = null
  #timer: NodeJS.Timeout | null = null

  /** Begins at `from`, else at the file's present end; a file that does not exist yet is read from its start. */
  constructor(path: string, onLine: (line: string) => void, from?: number) {
    this.#path = path
    this.#lines = new LineSplitter(onLine)
    this.#offset = from ?? statSync(path, { throwIfNoEntry: false })?.size ?? 0
  }

  /** Gives lines as they come, until `stop`. */
  start(): void {
    try {
      this.#watcher = watch(this.#path, () => this.read())
      this.#watcher.on('error', () => this.stop())
    } catch {
      this.#timer = setTimeout(() => this.start(), LOOK_MS)
    }
    this.read()
  }

  stop(): void {
    this.#watcher?.close()
    if (this.#timer) clearTimeout(this.#timer)
  }

  /** Gives the lines appended since. */
  read(): void {
    let fd: number
    try {
      fd = openSync(this.#path, 'r')
    } catch {
      return
    }
    try {
      this.#readAll(fd)
    } finally {
      closeSync(fd)
    }
  }

  #readAll(fd: number): void {
    const buffer = Buffer.allocUnsafe(CHUNK_BYTES)
    for (;;) {
      const count = readSync(fd, buffer, 0, CHUNK_BYTES, this.#offset)
      if (count === 0) return
      this.#offset += count
      this.#lines.take(Buffer.from(buffer.subarray(0, count)))
    }
  }
}
