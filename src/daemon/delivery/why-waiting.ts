/** Reports why unread mail waits: once per message and reason, and only of what has waited for a moment. */

import { BoundedMap } from '../../core/bounded-map.ts'
import type { Entry } from '../../core/mail/inbox.ts'
import { limits, times } from '../../wire/limits.ts'

export type Waiting = 'delivered' | 'held'
type Report = (entries: readonly Entry[], state: Waiting, evidence: string) => void

export class Reasons {
  readonly #report: Report
  /** Reasons that were reported, by message. */
  readonly #reported = new BoundedMap<string, Set<string>>(limits.unread)
  /** Messages of which the client still keeps a copy back. */
  readonly #screened = new Set<string>()

  constructor(report: Report) {
    this.#report = report
  }

  /** `waiting`: unread messages that nobody has taken, oldest first. Returns when to look again. */
  look(waiting: readonly Entry[], reason: string | null, now: number): number | null {
    if (reason === null) return null
    // Further ones go after these, and say so then.
    const news = waiting.slice(0, limits.shownMessages).filter((entry) => !this.#reported.get(idOf(entry))?.has(reason))
    const due = news.filter(({ arrivedAt }) => now - arrivedAt >= times.waitShown)
    this.#say(due, 'delivered', reason)
    const later = news.filter((entry) => !due.includes(entry)).map(({ arrivedAt }) => arrivedAt + times.waitShown)
    return later.length > 0 ? Math.min(...later) : null
  }

  /** The client did not take them, or did not let them in. `held`: it keeps them back all the same. */
  refused(entries: readonly Entry[], state: Waiting, why: string): void {
    if (state === 'held') for (const entry of entries) remember(this.#screened, idOf(entry))
    this.#say(entries, state, why)
  }

  #say(entries: readonly Entry[], state: Waiting, reason: string): void {
    for (const entry of entries) {
      const reported = this.#reported.get(idOf(entry)) ?? new Set()
      this.#reported.set(idOf(entry), reported.add(reason))
    }
    const screened = entries.filter((entry) => this.#screened.has(idOf(entry)))
    const others = entries.filter((entry) => !screened.includes(entry))
    if (screened.length > 0) this.#report(screened, 'held', `waits: ${reason}`)
    if (others.length > 0) this.#report(others, state, `waits: ${reason}`)
  }
}

function idOf({ envelope }: Entry): string {
  return envelope.id
}

function remember(ids: Set<string>, id: string): void {
  ids.add(id)
  if (ids.size > limits.unread) ids.delete(ids.values().next().value!)
}
