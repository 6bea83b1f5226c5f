/**
 * The mail file: what lies in it is taken by the next hook between two tool calls, or at the end of the turn, and goes
 * into the same turn. Costs the model about ten tokens, the client nothing.
 */
import { renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { MeshError } from '../../errors.ts'
import { writeAtomic } from '../../host/files.ts'
import type { Door } from '../types.ts'

/** The client puts a longer text into a file and shows 2 KB of it (CLAUDE_CODE 2.4: exactly 10,000 pass). */
export const CONTEXT_CHARS = 10_000

export class HookDoor implements Door {
  readonly name = 'hook'
  readonly reaches = ['busy', 'waiting'] as const
  readonly #mail: string

  constructor(runDir: string) {
    this.#mail = join(runDir, 'mail')
  }

  /** The hooks started this sidecar, so they are there. */
  available(): boolean {
    return true
  }

  async offer(text: string): Promise<void> {
    if (text.length > CONTEXT_CHARS)
      throw new MeshError('too_large', `${text.length} characters, a hook passes ${CONTEXT_CHARS}`)
    writeAtomic(this.#mail, JSON.stringify(text))
  }

  /** A rename decides between us and a hook, as between two hooks. */
  async withdraw(): Promise<boolean> {
    const back = `${this.#mail}.back`
    try {
      renameSync(this.#mail, back)
    } catch {
      return false
    }
    rmSync(back, { force: true })
    return true
  }
}
