/** Reports why unread mail waits, once per message and reason, after it has waited for a moment. */

import { BoundedMap } from '../../core/bounded-map.ts'
import type { Entry } from '../../core/mail/inbox.ts'
import { limits, times } from '../../wire/limits.ts'

export type Waiting = 'delivered' | 'held'
type Report = (entries: readonly Entry[], state: Waiting, evidence: string) => void

export class Reasons {
  readonly #report: Report
  /** Reported reasons by message. */
  readonly #reported = new BoundedMap<string, Set<string>>(limits.unread)
  /** Messages that the client still screens. */
  readonly #screened = new Set<string>()

  constructor(report: Report) {
    this.#report = report
  }

  /** Reports `reason` for unread messages that no reader has taken, given oldest first. Returns when to look again. */
  look(waiting: readonly Entry[], reason: string | null, now: number): number | null {
    if (reason === null) return null
    // Reports no more than one hand-over's worth; later messages are reported once they come first.
    const news = waiting.slice(0, limits.shownMessages).filter((entry) => !this.#reported.get(idOf(entry))?.has(reason))
    const due = news.filter(({ arrivedAt }) => now - arrivedAt >= times.waitShown)
    this.#say(due, 'delivered', reason)
    const later = news.filter((entry) => !due.includes(entry)).map(({ arrivedAt }) => arrivedAt + times.waitShown)
    return later.length > 0 ? Math.min(...later) : null
  }

  /** Reports messages that the client did not take or let in. State `held`: the client goes on screening them. */
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
