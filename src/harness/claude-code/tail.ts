/** Follows a growing file of lines from a given point on. Bounded: a line too long is skipped. */
import { closeSync, type FSWatcher, openSync, readSync, statSync, watch } from 'node:fs'

const CHUNK_BYTES = 64 * 1024
const LINE_BYTES = 1024 * 1024
/** How often a file that is not there yet is looked for. */
const LOOK_MS = 100

export class Tail {
  readonly #path: string
  readonly #onLine: (line: string) => void
  #offset: number
  #partial: Buffer[] = []
  #partialBytes = 0
  #watcher: FSWatcher | null = null
  #timer: NodeJS.Timeout | null = null

  /** Begins at the file's present end; a file that does not exist yet is read from its start. */
  constructor(path: string, onLine: (line: string) => void) {
    this.#path = path
    this.#onLine = onLine
    this.#offset = statSync(path, { throwIfNoEntry: false })?.size ?? 0
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

  /** Gives what was appended since. */
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
      this.#take(Buffer.from(buffer.subarray(0, count)))
    }
  }

  #take(chunk: Buffer): void {
    let from = 0
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, from)) {
      this.#keep(chunk.subarray(from, end))
      const line = this.#partialBytes <= LINE_BYTES ? Buffer.concat(this.#partial).toString() : null
      this.#partial = []
      this.#partialBytes = 0
      from = end + 1
      if (line !== null) this.#onLine(line)
    }
    this.#keep(chunk.subarray(from))
  }

  #keep(part: Buffer): void {
    this.#partialBytes += part.length
    if (this.#partialBytes <= LINE_BYTES) this.#partial.push(part)
    else this.#partial = []
  }
}
