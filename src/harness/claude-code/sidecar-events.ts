/** Passes the session's events on to the sidecar: from its start until the session is over, and none after that. */
import type { SessionEnd } from '../../wire/session-end.ts'
import type { HarnessEvents } from '../types.ts'

export class SidecarEvents {
  #events: HarnessEvents | null = null

  /** Null before the start and after the end. */
  get open(): HarnessEvents | null {
    return this.#events
  }

  begin(events: HarnessEvents): void {
    this.#events = events
  }

  /** Passes the last event on. */
  end(end: SessionEnd): void {
    const events = this.#events
    this.close()
    events?.ended(end)
  }

  close(): void {
    this.#events = null
  }
}
