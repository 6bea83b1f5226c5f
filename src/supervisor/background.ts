/** A session that its client's daemon runs: a process that is no child of ours, and that is ended by its client. */
import { processState } from '../host/process/process.ts'
import type { ProcessIdentity } from '../wire/envelope.schema.ts'
import { AttachedProcess } from './attached.ts'

export class BackgroundProcess extends AttachedProcess {
  readonly #stop: () => Promise<void>

  /** `stop` ends it the client's way: one that is only killed is started again. */
  constructor(identity: ProcessIdentity, stop: () => Promise<void>) {
    super(identity)
    this.#stop = stop
  }

  override async end(signal: NodeJS.Signals, graceMs: number): Promise<void> {
    const started = performance.now()
    await this.#stop()
    const left = Math.max(0, graceMs - (performance.now() - started))
    if (processState(this.identity) !== 'dead') await super.end(signal, left)
  }
}
