/**
 * A file in the session directory that a hook takes by `mv`. The rename decides between takers: exactly one gets it.
 */
import { readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { MeshError } from '../../../errors.ts'
import { writeAtomic } from '../../../host/files.ts'

/** The client puts a hook's longer text into a file and shows 2 KB of it. Exactly 10,000 characters pass (2.1.329). */
export const CONTEXT_CHARS = 10_000

export class MailFile {
  readonly path: string
  readonly #back: string

  constructor(sessionDir: string, name: string) {
    this.path = join(sessionDir, name)
    this.#back = `${this.path}.back`
  }

  /** Throws `too_large` for a text that the client would cut. `encode` makes the file's content of it. */
  put(text: string, encode: (text: string) => string = (same) => same): void {
    if (text.length > CONTEXT_CHARS)
      throw new MeshError('too_large', `${text.length} characters, a hook passes ${CONTEXT_CHARS}`)
    writeAtomic(this.path, encode(text))
  }

  /** Takes the file back. Returns true when no hook had taken it and none will. */
  takeBack(): boolean {
    try {
      renameSync(this.path, this.#back)
    } catch {
      return false
    }
    rmSync(this.#back, { force: true })
    return true
  }

  /** Returns whether a text with this token lies there untaken. */
  contains(token: string): boolean {
    try {
      return readFileSync(this.path, 'utf8').includes(token)
    } catch {
      return false
    }
  }
}
