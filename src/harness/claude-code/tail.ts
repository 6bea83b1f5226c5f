/** Follows a growing file of lines from a given point on. Bounded: a line too long is skipped. */
import { type FSWatcher, watch } from 'node:fs'
import { open, stat } from 'node:fs/promises'

const CHUNK_BYTES = 64 * 1024
const LINE_BYTES = 1024 * 1024

export class Tail {
  readonly path: string
  readonly #onLine: (line: string) => void
  #offset: number | null = null
  #partial: Buffer[] = []
  #partialBytes = 0
  #watcher: FSWatcher | null = null
  #reading: Promise<void> | null = null
  #again = false

  constructor(path: string, onLine: (line: string) => void) {
    this.path = path
    this.#onLine = onLine
  }

  /** Begins at the file's present end; a file that does not exist yet is read from its start. */
  async start(): Promise<void> {
    this.#offset ??= await stat(this.path).then(
      ({ size }) => size,
      () => 0,
    )
  }

  /** Reads what was appended. Calls while one runs make it look once more. */
  async read(): Promise<void> {
    this.#watch()
    if (this.#reading) {
      this.#again = true
      return this.#reading
    }
    this.#reading = this.#readAll().catch(() => {})
    await this.#reading
    this.#reading = null
  }

  stop(): void {
    this.#watcher?.close()
    this.#watcher = null
  }

  /** A file that is not there yet is watched from the first read that finds it. */
  #watch(): void {
    if (this.#watcher) return
    try {
      this.#watcher = watch(this.path, () => void this.read())
      this.#watcher.on('error', () => this.stop())
      this.#watcher.unref()
    } catch {
      // read() is called on a slow beat as well
    }
  }

  async #readAll(): Promise<void> {
    await this.start()
    const file = await open(this.path, 'r')
    try {
      const buffer = Buffer.allocUnsafe(CHUNK_BYTES)
      do {
        this.#again = false
        for (;;) {
          const { bytesRead } = await file.read(buffer, 0, CHUNK_BYTES, this.#offset!)
          if (bytesRead === 0) break
          this.#offset! += bytesRead
          this.#take(Buffer.from(buffer.subarray(0, bytesRead)))
        }
      } while (this.#again)
    } finally {
      await file.close()
    }
  }

  #take(chunk: Buffer): void {
    let from = 0
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, from)) {
      this.#keep(chunk.subarray(from, end))
      if (this.#partialBytes <= LINE_BYTES) this.#onLine(Buffer.concat(this.#partial).toString())
      this.#partial = []
      this.#partialBytes = 0
      from = end + 1
    }
    this.#keep(chunk.subarray(from))
  }

  #keep(part: Buffer): void {
    this.#partialBytes += part.length
    if (this.#partialBytes <= LINE_BYTES) this.#partial.push(part)
    else this.#partial = []
  }
}
