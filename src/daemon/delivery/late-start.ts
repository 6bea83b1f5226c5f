/**
 * The text of a conversation's start for a session that joined late: its client's hook had been answered, or had given
 * up, before there was one. The client gives it once, with whatever starts the next turn: a prompt or a message.
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

  /** Part of what was left was read another way: what lies there yet is replaced. */
  async replace(text: () => Promise<string>): Promise<void> {
    if (this.#isLeft) this.#harness.leave?.(await text(), true)
  }

  /** The session is on the mesh: what is owed is left for the next turn. */
  async give(): Promise<void> {
    const text = this.#owed
    this.#owed = null
    if (!text || !this.#harness.leave) return
    this.#harness.leave(await text())
    this.#isLeft = true
  }
}
