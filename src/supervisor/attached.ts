/** A process that ran already when a supervisor came to it: it is no child of ours, and what it writes goes elsewhere. */
import { setTimeout as sleep } from 'node:timers/promises'
import { processState } from '../host/process/process.ts'
import { watchProcess } from '../host/process/watch.ts'
import { type Exit, type RunSubject, signalAttached } from '../run/subject.ts'
import type { ProcessIdentity } from '../wire/envelope.schema.ts'

const POLL_MS = 20

export class AttachedProcess implements RunSubject {
  readonly identity: ProcessIdentity
  readonly hasGroup = false
  readonly stderrTail = ''
  readonly #gone: Promise<Exit>
  #over = false

  constructor(identity: ProcessIdentity) {
    this.identity = identity
    this.#gone = new Promise((resolve) => {
      watchProcess(identity, {
        gone: (how) => {
          this.#over = true
          resolve(how)
        },
      })
    })
  }

  get isOver(): boolean {
    return this.#over
  }

  go(): void {}

  exit(): Promise<Exit> {
    return this.#gone
  }

  async drain(): Promise<void> {}

  signal(signal: NodeJS.Signals | 0): boolean {
    return signalAttached(this.identity, signal)
  }

  async end(signal: NodeJS.Signals, graceMs: number): Promise<void> {
    this.signal(signal)
    this.signal('SIGCONT')
    const deadline = performance.now() + graceMs
    while (processState(this.identity) !== 'dead') {
      if (performance.now() >= deadline) return void this.signal('SIGKILL')
      await sleep(POLL_MS)
    }
  }
}
