/**
 * The open ends of a session that no other record has: questions without an answer, calls that wait, answers that
 * it owes, and tasks that may be its own. Rebuilt from journal lines. Pure.
 */
import { limits } from '../../wire/limits.ts'
import { BoundedMap } from '../bounded-map.ts'

export interface Talk {
  /** The message. */
  id: string
  /** With whom. */
  with: string
  /** Milliseconds. */
  at: number
  /** Its beginning. */
  text: string
}

export interface Wait {
  /** Its goal, for people: two calls for the same are one. */
  what: string
  at: number
  /** False: the call ended without an answer, and not because its time was over. */
  isOpen: boolean
}

export type LedgerStep =
  /** A message that asks for an answer went out. */
  | ({ t: 'asked' } & Talk)
  | { t: 'answered'; id: string }
  | { t: 'waiting'; what: string; at: number }
  /** The call ended: with what it waited for or with its time (`over`), or with its caller. */
  | { t: 'waited'; what: string; over: boolean }
  /** A message that asks for an answer was read. */
  | ({ t: 'owes' } & Talk)
  | { t: 'settled'; id: string }
  /** A task that the session took or put up. */
  | { t: 'task'; id: string }
  | { t: 'untask'; id: string }
  /** The model was given its state with this token; `seen`: it has read it, or no longer needs to. */
  | { t: 'told'; token: string; at: number }
  | { t: 'seen' }

export class Ledger {
  readonly #asks = new BoundedMap<string, Talk>(limits.ledger)
  readonly #owed = new BoundedMap<string, Talk>(limits.ledger)
  readonly #waits = new BoundedMap<string, Wait>(limits.ledger)
  readonly #tasks = new Set<string>()
  #given: { token: string; at: number } | null = null

  /** Applies a step. Steps that make no sense (an answer to nothing) change nothing. */
  apply(step: LedgerStep): void {
    switch (step.t) {
      case 'asked':
        this.#asks.set(step.id, talkOf(step))
        return
      case 'answered':
        this.#asks.delete(step.id)
        return
      case 'owes':
        if (!this.#owed.has(step.id)) this.#owed.set(step.id, talkOf(step))
        return
      case 'settled':
        this.#owed.delete(step.id)
        return
      case 'waiting':
        this.#waits.set(step.what, { what: step.what, at: step.at, isOpen: true })
        return
      case 'waited': {
        const wait = this.#waits.get(step.what)
        if (wait && step.over) this.#waits.delete(step.what)
        else if (wait) wait.isOpen = false
        return
      }
      case 'task':
        this.#tasks.add(step.id)
        if (this.#tasks.size > limits.ledger) this.#tasks.delete(this.#tasks.values().next().value!)
        return
      case 'untask':
        this.#tasks.delete(step.id)
        return
      case 'told':
        this.#given = { token: step.token, at: step.at }
        return
      case 'seen':
        this.#given = null
    }
  }

  /** Returns true for a step that changes anything: others need not be written down. */
  matters(step: LedgerStep): boolean {
    if (step.t === 'answered') return this.#asks.has(step.id)
    if (step.t === 'settled') return this.#owed.has(step.id)
    if (step.t === 'owes') return !this.#owed.has(step.id)
    if (step.t === 'task') return !this.#tasks.has(step.id)
    if (step.t === 'untask') return this.#tasks.has(step.id)
    if (step.t === 'waited') return this.#waits.has(step.what)
    if (step.t === 'seen') return this.#given !== null
    return true
  }

  /** Calls end with the process that answered them. */
  restart(): void {
    for (const wait of this.#waits.values()) wait.isOpen = false
  }

  /** Forgets what is too old to come back to. */
  forget(now: number, ages: { asks: number; owed: number; waits: number }): void {
    for (const [id, { at }] of this.#asks) if (now - at > ages.asks) this.#asks.delete(id)
    for (const [id, { at }] of this.#owed) if (now - at > ages.owed) this.#owed.delete(id)
    for (const [what, { at, isOpen }] of this.#waits) if (!isOpen && now - at > ages.waits) this.#waits.delete(what)
  }

  /** Oldest first, as all that follow. */
  get asks(): Talk[] {
    return [...this.#asks.values()]
  }

  get owed(): Talk[] {
    return [...this.#owed.values()]
  }

  get waits(): Wait[] {
    return [...this.#waits.values()]
  }

  get tasks(): string[] {
    return [...this.#tasks]
  }

  /** The state that the model was given and has not been seen to read. */
  get given(): { token: string; at: number } | null {
    return this.#given
  }

  /** The shortest list of steps that rebuilds this ledger. */
  steps(): LedgerStep[] {
    return [
      ...this.asks.map((ask): LedgerStep => ({ t: 'asked', ...ask })),
      ...this.owed.map((one): LedgerStep => ({ t: 'owes', ...one })),
      ...this.waits.flatMap(({ what, at, isOpen }): LedgerStep[] => {
        return [{ t: 'waiting', what, at }, ...(isOpen ? [] : [{ t: 'waited', what, over: false } as const])]
      }),
      ...this.tasks.map((id): LedgerStep => ({ t: 'task', id })),
      ...(this.#given ? [{ t: 'told', ...this.#given } as const] : []),
    ]
  }
}

function talkOf({ id, with: who, at, text }: Talk): Talk {
  return { id, with: who, at, text }
}
