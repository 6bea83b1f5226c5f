/** Tracks calls that wait for messages, and hand-overs to callers that have not confirmed showing them. */
import { randomBytes } from 'node:crypto'
import type { Entry } from '../../core/mail/inbox.ts'
import { pair, type Waiter } from '../../core/mail/waiters.ts'
import { MeshError } from '../../errors.ts'
import { limits } from '../../wire/limits.ts'

/** Time within which a reader confirms that it showed its messages. After it, they count as not shown. */
const UNCONFIRMED_MS = 10_000

export interface Handover {
  handover: string
  entries: Entry[]
}

interface Waiting extends Waiter {
  resolve(handover: Handover): void
}

export class WaitingCalls {
  readonly #waiters: Waiting[] = []
  readonly #onChange: () => void

  /** Calls `onChange` when a call that takes any message begins or ends. */
  constructor(onChange: () => void) {
    this.#onChange = onChange
  }

  get size(): number {
    return this.#waiters.length
  }

  /** True while some call takes any message. */
  get takesAny(): boolean {
    return this.#waiters.some(({ wants }) => wants.kind === 'any')
  }

  /** True while some call takes only messages of one kind. */
  get takesOne(): boolean {
    return this.#waiters.some(({ wants }) => wants.kind !== 'any')
  }

  /** Blocks until messages fit. The signal ends the wait; then nothing is handed over. */
  async await(wants: Waiter['wants'], signal: AbortSignal): Promise<Handover> {
    if (this.#waiters.length >= limits.waiters) {
      throw new MeshError('conflict', `${limits.waiters} calls wait already`, { hint: 'end some of them' })
    }
    return new Promise((resolve, reject) => {
      const id = randomBytes(8).toString('hex')
      const leave = () => {
        const at = this.#waiters.findIndex((waiter) => waiter.id === id)
        if (at >= 0) this.#waiters.splice(at, 1)
        if (wants.kind === 'any') this.#onChange()
      }
      const abort = () => {
        leave()
        const isAny = wants.kind === 'any'
        const hint = `${isAny ? '' : 'the message is kept; '}wait again, or look later: mesh inbox`
        reject(new MeshError('timeout', 'nothing came in time', { hint }))
      }
      if (signal.aborted) return abort()
      signal.addEventListener('abort', abort, { once: true })
      const settle = (handover: Handover) => {
        leave()
        signal.removeEventListener('abort', abort)
        resolve(handover)
      }
      this.#waiters.push({ id, wants, resolve: settle })
      if (wants.kind === 'any') this.#onChange()
    })
  }

  /** Returns the next message that a call wants, and the way to hand it to that call; undefined if there is none. */
  next(readable: readonly Entry[]): { entry: Entry; give(handover: Handover): void } | undefined {
    const [first] = pair(this.#waiters, readable)
    return first && { entry: first.entry, give: this.#waiters.find(({ id }) => id === first.waiter.id)!.resolve }
  }
}

/** Tracks hand-overs whose caller has not confirmed showing them. */
export class Unconfirmed {
  readonly #open = new Map<string, { timer: NodeJS.Timeout; door: string }>()

  has(handover: string): boolean {
    return this.#open.has(handover)
  }

  /** Calls `late` unless the hand-over is closed within 10 s. */
  open(handover: string, door: string, late: () => void): void {
    this.#open.set(handover, { timer: setTimeout(late, UNCONFIRMED_MS), door })
  }

  /** Returns the door of a hand-over; undefined if it is not open. */
  doorOf(handover: string): string | undefined {
    return this.#open.get(handover)?.door
  }

  /** Closes a hand-over. Returns the same as `doorOf` did before. */
  close(handover: string): string | undefined {
    const open = this.#open.get(handover)
    clearTimeout(open?.timer)
    this.#open.delete(handover)
    return open?.door
  }

  clear(): void {
    for (const handover of [...this.#open.keys()]) this.close(handover)
  }
}
