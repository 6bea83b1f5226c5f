/**
 * The mail file. The session's next hook takes what lies in it: between two tool calls or at the end of the turn, so
 * that it goes into the same turn, or with the next prompt. It costs the model about ten tokens and the client nothing.
 */
import type { Door } from '../../types.ts'
import { MailFile } from './mail-file.ts'

/**
 * After 8 continuations of a turn by its Stop hooks without a tool call between them, the client ends the turn all the
 * same, and the text of the ninth waits for the next prompt (seen on 2.1.329). Other hooks count there too.
 */
const STOPS = 6

export class HookDoor implements Door {
  readonly name = 'hook'
  readonly reaches = ['busy', 'waiting'] as const
  readonly #mail: MailFile
  readonly #hasHooks: () => boolean
  /** Continuations by this door in a row. */
  #stops = 0

  constructor(sessionDir: string, hasHooks: () => boolean = () => true) {
    this.#hasHooks = hasHooks
    this.#mail = new MailFile(sessionDir, 'mail')
  }

  available(): boolean {
    return this.#hasHooks() && this.#stops < STOPS
  }

  /** The mail reached the model. `atStop`: at the end of a turn, which continues with it. */
  onShown(atStop: boolean): void {
    this.#stops = atStop ? this.#stops + 1 : 0
  }

  /** A turn begins, or is over for good. */
  onTurn(): void {
    this.#stops = 0
  }

  async offer(text: string): Promise<void> {
    this.#mail.put(text, JSON.stringify)
  }

  lies(token: string): boolean {
    return this.#mail.contains(token)
  }

  async withdraw(): Promise<boolean> {
    return this.#mail.takeBack()
  }
}
