/** A process that ran already when a supervisor came to it: it is no child of ours, and what it writes goes elsewhere. */
import { setTimeout as sleep } from 'node:timers/promises'
import { MeshError } from '../errors.ts'
import { leadsGroup, processState, sendSignal } from '../host/process.ts'
import { watchProcess } from '../host/process-watch.ts'
import type { ProcessIdentity } from '../wire/envelope.schema.ts'
import { type Exit, type RunSubject, signalGroup } from './run-subject.ts'

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

/**
 * Signals the whole group of one that leads a group, as a shell's job does; else it alone, since its group is somebody
 * else's too. False if it is gone. Throws `denied` for another user's.
 */
export function signalAttached(identity: ProcessIdentity, signal: NodeJS.Signals | 0): boolean {
  try {
    if (!leadsGroup(identity.pid)) return sendSignal(identity, signal)
    // Its number may be another's by now.
    if (processState(identity) === 'dead') return false
    process.kill(identity.pid, 0)
    return signalGroup(identity.pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') throw error
    throw new MeshError('denied', `process ${identity.pid} belongs to another user`)
  }
}
