/** An append-only file of steps, one JSON line each: what a name's holder must not forget. */
import {
  closeSync,
  constants,
  fdatasyncSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { MeshError } from '../errors.ts'
import { syncPath } from './files.ts'

const LINE_FEED = 0x0a
const CHUNK_CHARS = 64 * 1024
const REPLACE = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_APPEND

export class Journal<Step extends object> {
  readonly #path: string
  #fd: number
  #bytes: number
  #closed = false

  private constructor(path: string, fd: number) {
    this.#path = path
    this.#fd = fd
    this.#bytes = fstatSync(fd).size
  }

  /**
   * Opens or creates `path` and returns its steps. A last line that a crash cut short is dropped, lines that do not
   * parse are passed over.
   */
  static open<Step extends object>(path: string): { journal: Journal<Step>; steps: Step[] } {
    const journal = new Journal<Step>(path, openSync(path, 'a+', 0o600))
    const steps: Step[] = []
    const bytes = readFileSync(path)
    // By bytes: a cut inside a character would change the length of the text.
    const whole = bytes.subarray(0, bytes.lastIndexOf(LINE_FEED) + 1)
    for (const line of whole.toString('utf8').split('\n')) {
      const step = parse<Step>(line)
      if (step) steps.push(step)
    }
    if (whole.length < bytes.length) journal.#cutTail(whole.length)
    return { journal, steps }
  }

  #cutTail(length: number): void {
    ftruncateSync(this.#fd, length)
    this.#bytes = length
  }

  get bytes(): number {
    return this.#bytes
  }

  /**
   * Appends steps in one write: they survive the death of this process, and with `sync` of the machine.
   * Throws `store_full`, `conflict` after `close`: then none of them is in the file.
   */
  append(steps: readonly Step[], sync = false): void {
    // The descriptor's number may be another file's by now.
    if (this.#closed) throw new MeshError('conflict', 'the journal is closed: its name was given up')
    const bytes = Buffer.from(linesOf(steps))
    try {
      let written = 0
      while (written < bytes.length) written += writeSync(this.#fd, bytes, written)
      if (sync) fdatasyncSync(this.#fd)
      this.#bytes += bytes.length
    } catch (error) {
      this.#undo()
      throw diskError(error)
    }
  }

  /** Makes what was appended survive the machine. */
  sync(): void {
    if (this.#closed) return
    try {
      fdatasyncSync(this.#fd)
    } catch (error) {
      throw diskError(error)
    }
  }

  /** Replaces the whole file, atomically, and never has all of it in memory. On a full disk the old one stays. */
  rewrite(steps: Iterable<Step>): void {
    if (this.#closed) return
    const fresh = `${this.#path}.new`
    let fd: number | null = null
    try {
      // Its descriptor stays the journal's: to open the file again could fail, with nothing left to append to.
      fd = openSync(fresh, REPLACE, 0o600)
      for (const text of chunksOf(steps)) writeFileSync(fd, text)
      fdatasyncSync(fd)
      renameSync(fresh, this.#path)
    } catch (error) {
      if (fd !== null) closeSync(fd)
      rmSync(fresh, { force: true })
      throw diskError(error)
    }
    closeSync(this.#fd)
    this.#fd = fd
    this.#bytes = fstatSync(fd).size
    syncDirectory(this.#path)
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    closeSync(this.#fd)
  }

  #undo(): void {
    try {
      ftruncateSync(this.#fd, this.#bytes)
    } catch {
      // The next open passes over the broken line.
    }
  }
}

/** Makes the file's new name survive the machine. */
function syncDirectory(path: string): void {
  try {
    syncPath(dirname(path))
  } catch (error) {
    throw diskError(error)
  }
}

function* chunksOf(steps: Iterable<object>): Generator<string> {
  let text = ''
  for (const step of steps) {
    text += linesOf([step])
    if (text.length < CHUNK_CHARS) continue
    yield text
    text = ''
  }
  yield text
}

function linesOf(steps: readonly object[]): string {
  return steps.map((step) => `${JSON.stringify(step)}\n`).join('')
}

function parse<Step>(line: string): Step | null {
  try {
    const value: unknown = line === '' ? null : JSON.parse(line)
    return value !== null && typeof value === 'object' && 't' in value ? (value as Step) : null
  } catch {
    return null
  }
}

function diskError(error: unknown): MeshError {
  if (error instanceof MeshError) return error
  const code = (error as NodeJS.ErrnoException).code
  const message = error instanceof Error ? error.message : String(error)
  if (code === 'ENOSPC' || code === 'EDQUOT') return new MeshError('store_full', 'the disk is full', { cause: error })
  return new MeshError('internal', `cannot write the journal: ${message}`, { cause: error })
}
