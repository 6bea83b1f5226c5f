/**
 * A detached run's output. The process writes into its files itself, so that it needs no reader: its supervisor may be killed.
 * The supervisor keeps the files bounded, and reads a session's output for its client.
 */
import {
  closeSync,
  copyFileSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readSync,
  rmSync,
  statfsSync,
  writeSync,
} from 'node:fs'
import { files } from '../run/dir.ts'
import { limits } from '../wire/limits.ts'
import type { AgentRun } from './agent.ts'

/** Pauses between looks at the files: while they grow, and while they do not. */
const LOOK_MS = { growing: 50, quiet: 400 }
const CHUNK_BYTES = 1024 * 1024

/** A file that its writers only append to, with one old file kept beside it. */
class AppendedFile {
  readonly fd: number
  readonly #path: string
  #size = 0

  constructor(path: string) {
    this.#path = path
    // Also for reading: the supervisor takes a session's words from it.
    this.fd = openSync(path, 'a+', 0o600)
    this.#size = this.size
  }

  get size(): number {
    return fstatSync(this.fd).size
  }

  /** True if it grew since the last look. */
  get grew(): boolean {
    const before = this.#size
    this.#size = this.size
    return this.#size > before
  }

  /**
   * Begins anew once it is full, keeping the old text. Its writers hold it open, so it is copied and emptied; they append, so
   * what they write next is its beginning.
   */
  trim(): void {
    if (this.size <= limits.runLogBytes) return
    try {
      if (this.size > 2 * limits.runLogBytes) this.#keepEnd()
      else copyFileSync(this.#path, `${this.#path}.1`)
    } catch {
      // No room for the old text.
    }
    ftruncateSync(this.fd, 0)
  }

  /** Keeps the end of more text than the old file may have. */
  #keepEnd(): void {
    const old = openSync(`${this.#path}.1`, 'w', 0o600)
    try {
      const end = this.size
      const buffer = Buffer.allocUnsafe(CHUNK_BYTES)
      for (let at = end - limits.runLogBytes; at < end; ) {
        const count = readSync(this.fd, buffer, 0, Math.min(CHUNK_BYTES, end - at), at)
        if (count === 0) return
        writeSync(old, buffer, 0, count)
        at += count
      }
    } finally {
      closeSync(old)
    }
  }

  empty(): void {
    ftruncateSync(this.fd, 0)
    this.#size = 0
  }

  close(): void {
    closeSync(this.fd)
  }
}

/** The words for people in a session's output, which is events for its client's eyes. */
class SpokenOutput {
  readonly raw: AppendedFile
  readonly #words: RunLog
  readonly #agent: AgentRun
  readonly #path: string
  #read = 0

  constructor(dir: string, agent: AgentRun) {
    this.#path = files.events(dir)
    this.raw = new AppendedFile(this.#path)
    this.#words = new RunLog(files.output(dir, 'stdout'))
    this.#agent = agent
  }

  get dropped(): number {
    return this.#words.dropped
  }

  /** Reads what came since. Text that was read is no longer needed. */
  read(): void {
    const buffer = Buffer.allocUnsafe(CHUNK_BYTES)
    for (;;) {
      const count = readSync(this.raw.fd, buffer, 0, CHUNK_BYTES, this.#read)
      if (count === 0) break
      this.#read += count
      this.#words.write(Buffer.from(this.#agent.client.read(Buffer.from(buffer.subarray(0, count)))))
    }
    if (this.#read <= limits.runLogBytes || this.raw.size > this.#read) return
    this.raw.empty()
    this.#read = 0
  }

  /** Reads the rest, and removes the file. */
  finish(): void {
    this.read()
    this.#words.write(Buffer.from(this.#agent.client.end()))
    this.#words.close()
    this.raw.close()
    rmSync(this.#path, { force: true })
  }
}

export class RunOutput {
  readonly #dir: string
  readonly #stdout: AppendedFile | null
  readonly #spoken: SpokenOutput | null
  readonly #stderr: AppendedFile
  #timer: NodeJS.Timeout | null = null
  #isOver = false

  /** Opens the files of the run in `dir`. `agent`: its session, if it is one. */
  constructor(dir: string, agent: AgentRun | null) {
    this.#dir = dir
    this.#spoken = agent && new SpokenOutput(dir, agent)
    this.#stdout = agent ? null : new AppendedFile(files.output(dir, 'stdout'))
    this.#stderr = new AppendedFile(files.output(dir, 'stderr'))
  }

  /** Descriptors of standard output and standard error for the process. */
  get descriptors(): [stdout: number, stderr: number] {
    return [(this.#stdout ?? this.#spoken!.raw).fd, this.#stderr.fd]
  }

  /** Says what of the output is not kept; empty if all is. */
  get lost(): string {
    const dropped = this.#spoken?.dropped ?? 0
    if (dropped > 0) return `; ${dropped} bytes of its output could not be logged`
    return hasRoom(this.#dir) ? '' : '; the disk of its logs is full: its output may be cut'
  }

  /** Looks after the files until `finish`. */
  start(): void {
    if (this.#isOver) return
    const grew = [this.#stdout ?? this.#spoken!.raw, this.#stderr].map((file) => file.grew).includes(true)
    if (grew) this.#look()
    this.#timer = setTimeout(() => this.start(), grew ? LOOK_MS.growing : LOOK_MS.quiet)
  }

  /** Takes what the process wrote before its end. */
  finish(): void {
    if (this.#isOver) return
    this.#isOver = true
    if (this.#timer) clearTimeout(this.#timer)
    this.#look()
    this.#spoken?.finish()
    this.#stdout?.close()
    this.#stderr.close()
  }

  #look(): void {
    this.#spoken?.read()
    this.#stdout?.trim()
    this.#stderr.trim()
  }
}

/** A log that the supervisor writes itself. A full disk costs words, never the run. */
export class RunLog {
  readonly #file: AppendedFile
  /** Bytes that could not be written. */
  dropped = 0

  constructor(path: string) {
    this.#file = new AppendedFile(path)
  }

  write(chunk: Buffer): void {
    this.#file.trim()
    let written = 0
    try {
      while (written < chunk.length) written += writeSync(this.#file.fd, chunk, written)
    } catch {
      // Full, for now: what comes later may fit again.
    }
    this.dropped += chunk.length - written
  }

  close(): void {
    this.#file.close()
  }
}

function hasRoom(dir: string): boolean {
  try {
    return statfsSync(dir).bavail > 0
  } catch {
    return true
  }
}
