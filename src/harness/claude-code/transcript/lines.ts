/** Splits bytes that come in pieces, and the end of a file, into lines. Bounded: a line too long is skipped. */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'

export const CHUNK_BYTES = 64 * 1024
const LINE_BYTES = 1024 * 1024

export class LineSplitter {
  readonly #onLine: (line: string) => void
  #partial: Buffer[] = []
  #partialBytes = 0

  constructor(onLine: (line: string) => void) {
    this.#onLine = onLine
  }

  take(chunk: Buffer): void {
    let from = 0
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, from)) {
      this.#keep(chunk.subarray(from, end))
      this.end()
      from = end + 1
    }
    this.#keep(chunk.subarray(from))
  }

  /** Takes the rest since the last line's end as a line. */
  end(): void {
    const line = this.#partialBytes <= LINE_BYTES ? Buffer.concat(this.#partial).toString() : null
    this.#partial = []
    this.#partialBytes = 0
    if (line !== null) this.#onLine(line)
  }

  #keep(part: Buffer): void {
    this.#partialBytes += part.length
    if (this.#partialBytes <= LINE_BYTES) this.#partial.push(part)
    else this.#partial = []
  }
}

/**
 * Gives the lines of a file's last `maxBytes`, the unfinished last one too. Returns false if that is not the whole
 * file: its first line may then be half of one. Throws as `open(2)` and `read(2)`.
 */
export function eachLine(path: string, maxBytes: number, onLine: (line: string) => void): boolean {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    const { size } = fstatSync(fd)
    const lines = new LineSplitter(onLine)
    const buffer = Buffer.allocUnsafe(CHUNK_BYTES)
    let at = Math.max(0, size - maxBytes)
    const isWhole = at === 0
    while (at < size) {
      const count = readSync(fd, buffer, 0, Math.min(CHUNK_BYTES, size - at), at)
      if (count === 0) break
      at += count
      lines.take(Buffer.from(buffer.subarray(0, count)))
    }
    lines.end()
    return isWhole
  } finally {
    closeSync(fd)
  }
}
