/** Takes and finishes hand-offs one after the other: two at once would take the same. */
import { MeshError } from '../../errors.ts'
import { finishHandoffs, type StateSession, takeHandoffs } from './handoff.ts'

export class HandoffQueue {
  readonly #session: StateSession
  #running: Promise<void> = Promise.resolve()

  constructor(session: StateSession) {
    this.#session = session
  }

  /** Does this session's part of every hand-off that is open. What fails is tried with the next call. */
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
