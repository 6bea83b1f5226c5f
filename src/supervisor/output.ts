/** A run's output on disk: bounded, one old file kept. A full disk costs output, never the run. */
import { closeSync, fstatSync, openSync, renameSync, writeSync } from 'node:fs'
import { limits } from '../wire/limits.ts'
import type { AgentRun } from './agent.ts'
import type { Sink } from './child.ts'

export class RunLog {
  readonly #path: string
  #fd: number | null = null
  #bytes = 0
  /** Bytes that could not be written. */
  dropped = 0

  constructor(path: string) {
    this.#path = path
    this.#open()
  }

  write(chunk: Buffer): void {
    if (this.#fd === null) this.#open()
    if (this.#bytes > 0 && this.#bytes + chunk.length > limits.runLogBytes) this.#rotate()
    let written = 0
    try {
      while (this.#fd !== null && written < chunk.length) written += writeSync(this.#fd, chunk, written)
    } catch {
      // Full, for now: what comes later may fit again.
    }
    this.#bytes += written
    this.dropped += chunk.length - written
  }

  close(): void {
    if (this.#fd !== null) closeSync(this.#fd)
    this.#fd = null
  }

  #open(): void {
    try {
      this.#fd = openSync(this.#path, 'a', 0o600)
      this.#bytes = fstatSync(this.#fd).size
    } catch {
      this.#fd = null
    }
  }

  #rotate(): void {
    this.close()
    try {
      renameSync(this.#path, `${this.#path}.1`)
    } catch {
      // Gone or not allowed: what there is grows no further than the next try.
    }
    this.#open()
  }
}

/** The logs of a run that is detached; null for any other. */
export type Logs = { stdout: RunLog; stderr: RunLog } | null

/** A session's output is for its client's eyes; the log has its words for people. */
export function sinksOf(logs: Logs, agent: AgentRun | null): Record<'stdout' | 'stderr', Sink> | null {
  if (!logs || !agent) return logs
  const { stdout, stderr } = logs
  return { stdout: { write: (chunk: Buffer) => stdout.write(Buffer.from(agent.client.read(chunk))) }, stderr }
}
