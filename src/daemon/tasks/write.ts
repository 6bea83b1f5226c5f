/** Writes tasks to an engine that may not answer, and says what is certain then. */
import { setTimeout as sleep } from 'node:timers/promises'
import { MeshError } from '../../errors.ts'
import { isAway } from '../../link/until.ts'
import type { ProjectStore } from '../../nats/project-store.ts'
import type { Task } from '../../wire/task.schema.ts'

/** Writes one step, and remembers whether the engine's answer to a write was lost. */
export class Writing {
  readonly store: ProjectStore
  #isUnsure = false

  constructor(store: ProjectStore) {
    this.store = store
  }

  /** Returns the new revision. Null: another writer was faster or the answer was lost; reading again shows which. */
  async write(task: Task, revision: number): Promise<number | null> {
    try {
      const written = await this.store.tasks.update(task.id, task, revision)
      this.#isUnsure = false
      return written
    } catch (error) {
      this.#isUnsure ||= isAway(error)
      if (MeshError.from(error).code !== 'timeout') throw error
      return null
    }
  }

  /** Runs `work` while the write may still be taken back. Resolves when it is certain. */
  async uncertainly(work: () => Promise<void>): Promise<void> {
    this.#isUnsure = true
    await work()
    this.#isUnsure = false
  }

  isUnsure(error: unknown): boolean {
    return this.#isUnsure && isAway(error)
  }
}

/** Returns the error for work that may have been done. */
export function unsure(what: string, hint: string, cause: unknown): MeshError {
  return new MeshError('timeout', `the engine does not answer: whether ${what} is not known`, { hint, cause })
}

/** Waits for the work. Throws `timeout` if it takes longer; it goes on all the same. */
export async function withinTime(work: Promise<void>, ms: number): Promise<void> {
  const late = new AbortController()
  const timeout = sleep(ms, undefined, { signal: late.signal, ref: false }).then(() => {
    throw new MeshError('timeout', 'the engine did not answer in time')
  })
  try {
    await Promise.race([work, timeout])
  } finally {
    late.abort()
    timeout.catch(() => {})
  }
}

/** Handles a read whose key may be gone. */
export function ignoreMissing(error: unknown): null {
  if (MeshError.from(error).code !== 'not_found') throw error
  return null
}
