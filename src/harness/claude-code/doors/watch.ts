/**
 * A file that the client watches from its start. A change runs a hook that takes the file and wakes an idle session
 * within a second, since it is an `asyncRewake` hook. For clients without an inbox socket; it never runs in `claude
 * -p`.
 */
import type { Door } from '../../types.ts'
import { WATCHED_FILE } from '../hooks/files.ts'
import { MailFile } from './mail-file.ts'

export class WatchDoor implements Door {
  readonly name = 'file-watch'
  readonly reaches = ['idle'] as const
  readonly #mail: MailFile
  readonly #isWanted: () => boolean

  /** `isWanted`: a person sits at the session, and no better door wakes it. */
  constructor(sessionDir: string, isWanted: () => boolean) {
    this.#mail = new MailFile(sessionDir, WATCHED_FILE)
    this.#isWanted = isWanted
  }

  available(): boolean {
    return this.#isWanted()
  }

  async offer(text: string): Promise<void> {
    this.#mail.put(text)
  }

  lies(token: string): boolean {
    return this.#mail.contains(token)
  }

  async withdraw(): Promise<boolean> {
    return this.#mail.takeBack()
  }
}
