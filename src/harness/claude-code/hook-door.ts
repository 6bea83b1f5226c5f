/**
 * The mail file: what lies in it is taken by the next hook of the session's own: between two tool calls or at the end
 * of the turn, so that it goes into the same turn, or with the next prompt. Costs the model about ten tokens, the client
 * nothing.
 */
import type { Door } from '../types.ts'
import { MailFile } from './mail-file.ts'

export class HookDoor implements Door {
  readonly name = 'hook'
  readonly reaches = ['busy', 'waiting'] as const
  readonly #mail: MailFile
  readonly #hasHooks: () => boolean

  constructor(runDir: string, hasHooks: () => boolean = () => true) {
    this.#hasHooks = hasHooks
    this.#mail = new MailFile(runDir, 'mail')
    this.#mail.clear()
  }

  available(): boolean {
    return this.#hasHooks()
  }

  async offer(text: string): Promise<void> {
    this.#mail.put(text, JSON.stringify)
  }

  async withdraw(): Promise<boolean> {
    return this.#mail.takeBack()
  }
}
