/**
 * Keeps the start text of a session that joined after its client's hook was answered or had given up. The client gets
 * it once, with whatever starts the next turn: a prompt or a message.
 */
import type { Harness } from '../../harness/types.ts'

export class LateStart {
  readonly #harness: Pick<Harness, 'leave'>
  #owed: (() => Promise<string>) | null = null
  #isLeft = false

  constructor(harness: Pick<Harness, 'leave'>) {
    this.#harness = harness
  }

  /** Remembers start text that the hook did not deliver. `null` means that it was delivered: drops any earlier leftover. */
  owe(text: (() => Promise<string>) | null): void {
    this.#owed = text
    this.#isLeft = false
    if (text === null) this.#harness.leave?.(null)
  }

  /** Replaces text that is still pending, after part of it was read another way. */
  async replace(text: () => Promise<string>): Promise<void> {
    if (this.#isLeft) this.#harness.leave?.(await text(), true)
  }

  /** Leaves the owed text for the next turn, once the session is on the mesh. */
  async give(): Promise<void> {
    const text = this.#owed
    this.#owed = null
    if (!text || !this.#harness.leave) return
    this.#harness.leave(await text())
    this.#isLeft = true
  }
}
