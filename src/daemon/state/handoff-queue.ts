/** Takes and finishes hand-offs one at a time, since two at once would take the same one. */
import { MeshError } from '../../errors.ts'
import { finishHandoffs, type StateSession, takeHandoffs } from './handoff.ts'

export class HandoffQueue {
  readonly #session: StateSession
  #running: Promise<void> = Promise.resolve()

  constructor(session: StateSession) {
    this.#session = session
  }

  /** Does this session's part of every open hand-off. The next call retries what failed. */
  run(): Promise<void> {
    const done = this.#running.then(async () => {
      await takeHandoffs(this.#session)
      await finishHandoffs(this.#session)
    })
    this.#running = done.catch((error) => {
      this.#session.log.warn({ error: MeshError.from(error).toBody() }, 'not handed over yet')
    })
    return this.#running
  }
}
