/** Waits that miss no change, and writes that several writers try at once. */
import { setTimeout as sleep } from 'node:timers/promises'
import { MeshError } from '../errors.ts'

/** Writers of one record that lose a race back off; so many losses in a row mean that something else is wrong. */
const ATTEMPTS = 100
/** No try begins later than this: each waits for the engine for some seconds at most. */
const WRITE_MS = 10_000
const BACKOFF_MS = 10
const BACKOFF_STEPS = 10

/** True when the engine did not answer or is away: the same again may succeed later. */
export function isAway(error: unknown): boolean {
  const { code } = MeshError.from(error)
  return code === 'timeout' || code === 'mesh_down'
}

/** Resolves to null when the signal aborts, at once if it has aborted already. */
export function untilAborted(signal: AbortSignal): Promise<null> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(null)
    else signal.addEventListener('abort', () => resolve(null), { once: true })
  })
}

interface Changes {
  /** Calls `changed` after each change, until the returned function is called. */
  subscribe(changed: () => void): (() => void) | Promise<() => void>
  signal: AbortSignal
  /** Looks at least this often, for changes that are not published. */
  pollMs?: number
  /** Changes often come in groups: waits so long after one before it looks. */
  gatherMs?: number
}

/**
 * Subscribes, and then looks until something is found: at once, and after each change, also one that comes during a look.
 * Resolves to null when the signal aborts first; it always looks once.
 */
export async function untilFound<T>(look: () => T | null | Promise<T | null>, changes: Changes): Promise<T | null> {
  const { subscribe, signal, pollMs, gatherMs = 0 } = changes
  const bell = new Bell()
  const ring = () => bell.ring()
  const unsubscribe = await subscribe(ring)
  signal.addEventListener('abort', ring, { once: true })
  try {
    for (;;) {
      bell.reset()
      const found = await look()
      if (found !== null) return found
      if (!signal.aborted) await bell.rung(pollMs)
      if (!signal.aborted && gatherMs > 0) await sleep(gatherMs)
      if (signal.aborted) return null
    }
  } finally {
    signal.removeEventListener('abort', ring)
    unsubscribe()
  }
}

/** Remembers that it was rung until it is reset. */
class Bell {
  #isRung = false
  #wake = () => {}

  ring(): void {
    this.#isRung = true
    this.#wake()
  }

  reset(): void {
    this.#isRung = false
  }

  /** Resolves when it was rung since the last reset, or after `ms`. */
  rung(ms: number | undefined): Promise<void> {
    if (this.#isRung) return Promise.resolve()
    return new Promise((resolve) => {
      const timer = ms === undefined ? undefined : setTimeout(resolve, ms)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }
}

/**
 * Tries to write until `attempt` (given how many were made before it) returns a result; null means that another writer
 * was faster, or that the answer was lost. Throws what `attempt` throws, `conflict` when none of the tries was the first, and
 * `timeout` when they take too long: the write may have been made.
 */
export async function untilWritten<T>(what: string, attempt: (earlier: number) => Promise<T | null>): Promise<T> {
  const deadline = performance.now() + WRITE_MS
  for (let earlier = 0; earlier < ATTEMPTS; earlier++) {
    if (performance.now() > deadline) throw new MeshError('timeout', `${what} was not written in time`)
    const written = await attempt(earlier)
    if (written !== null) return written
    // The first loss says only that the record had changed since it was read.
    if (earlier > 0) await sleep(Math.random() * BACKOFF_MS * Math.min(earlier, BACKOFF_STEPS))
  }
  throw new MeshError('conflict', `${what} was changed by another writer at every try`, { hint: 'try again' })
}

/** The part of a bucket that a compare-and-set needs. */
interface Records<Read, Written> {
  look(key: string): Promise<{ value: Read | null; revision: number; isThere: boolean }>
  update(key: string, value: Written, revision: number): Promise<number | null>
}

/** The value to write in place of the one that was read (null: none), and the caller's result once it is written. */
interface Edit<Written, Result> {
  write: Written | null
  result: Result
}

/**
 * Reads the record under `key`, edits it, and writes it unless it has changed meanwhile: then again. `isThere` without a
 * value: it cannot be read. Throws as `untilWritten` and `edit` do.
 */
export async function compareAndSet<Read, Written, Result>(
  records: Records<Read, Written>,
  key: string,
  edit: (now: { value: Read | null; isThere: boolean }) => Edit<Written, Result> | Promise<Edit<Written, Result>>,
): Promise<Result> {
  const done = await untilWritten(`the record of ${key}`, async () => {
    const { revision, ...now } = await records.look(key)
    const { write, result } = await edit(now)
    const isWritten = write === null || (await records.update(key, write, revision)) !== null
    return isWritten ? { result } : null
  })
  return done.result
}
