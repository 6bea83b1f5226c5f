/**
 * Bounds what two agent sessions can say to each other without a person. A round is a message of a peer that answers
 * something: it arrives after this session sent that peer something since the last one. Rebuilt from journal lines.
 * Counted by the recipient, since a sender may say anything. Pure.
 */
import { limits, times } from '../../wire/limits.ts'

export type BudgetStep =
  | { t: 'sent'; to: string; at: number }
  | { t: 'heard'; from: string; at: number; round: boolean; held: boolean }
  /** A person, or silence, let the counting begin anew. `with` null: with every peer. */
  | { t: 'reset'; with: string | null }
  /** The people, or the model, were notified of the hold. */
  | { t: 'told'; with: string; whom: 'people' | 'model' }
  /** A pair's line in a compacted journal. */
  | ({ t: 'pair' } & Pair)

/** The counting with one peer. Times in milliseconds. */
export interface Pair {
  with: string
  rounds: number
  /** When the first round that counts arrived; null without one. */
  since: number | null
  /** The last message in either direction. */
  lastAt: number
  /** Something was sent to the peer since its last round. */
  answered: boolean
  /** Since when its messages are held. */
  heldSince: number | null
  notified: { people: boolean; model: boolean }
}

export class Budget {
  readonly #pairs = new Map<string, Pair>()

  apply(step: BudgetStep): void {
    switch (step.t) {
      case 'sent':
        Object.assign(this.#open(step.to, step.at), { answered: true, lastAt: step.at })
        return
      case 'heard': {
        const pair = this.#open(step.from, step.at)
        pair.lastAt = step.at
        if (step.round) this.#count(pair, step.at)
        if (step.held) pair.heldSince ??= step.at
        return
      }
      case 'reset':
        for (const pair of step.with === null ? this.#pairs.values() : this.#find(step.with)) reset(pair)
        return
      case 'told':
        for (const pair of this.#find(step.with)) pair.notified[step.whom] = true
        return
      case 'pair': {
        const { t: _, ...pair } = step
        this.#pairs.set(pair.with, pair)
      }
    }
  }

  #count(pair: Pair, at: number): void {
    pair.rounds++
    pair.answered = false
    pair.since ??= at
  }

  #find(peer: string): Pair[] {
    const pair = this.#pairs.get(peer)
    return pair ? [pair] : []
  }

  #open(peer: string, at: number): Pair {
    const known = this.#pairs.get(peer)
    if (known) return known
    if (this.#pairs.size >= limits.pairs) this.#forgetOne()
    const notified = { people: false, model: false }
    const pair: Pair = { with: peer, rounds: 0, since: null, lastAt: at, answered: false, heldSince: null, notified }
    this.#pairs.set(peer, pair)
    return pair
  }

  /** Returns the pair that has been silent for longest and is not held. */
  #forgetOne(): void {
    const free = [...this.#pairs.values()].filter(({ heldSince }) => heldSince === null)
    const [oldest] = free.sort((a, b) => a.lastAt - b.lastAt)
    if (oldest) this.#pairs.delete(oldest.with)
  }

  /** Returns the step that a message of `from` is; null for a peer that was never sent anything. */
  hear(from: string, at: number, limit: number): (BudgetStep & { t: 'heard' }) | null {
    const pair = this.#pairs.get(from)
    if (!pair) return null
    const held = pair.heldSince !== null || (pair.answered && pair.rounds >= limit)
    return { t: 'heard', from, at, round: pair.answered && !held, held }
  }

  /** True if neither has said anything for so long that what was said before no longer counts. */
  isStale(peer: string, at: number): boolean {
    const pair = this.#pairs.get(peer)
    return pair !== undefined && (pair.rounds > 0 || pair.heldSince !== null) && at - pair.lastAt >= times.loopSilence
  }

  isHeld(peer: string): boolean {
    return this.held().some((pair) => pair.with === peer)
  }

  /** Peers whose messages are held. */
  held(): Readonly<Pair>[] {
    return [...this.#pairs.values()].filter(({ heldSince }) => heldSince !== null)
  }

  /** Pairs with rounds or a hold: the held ones first, then by rounds. */
  counted(): Readonly<Pair>[] {
    const counted = [...this.#pairs.values()].filter(({ rounds, heldSince }) => rounds > 0 || heldSince !== null)
    return counted.sort((a, b) => Number(b.heldSince !== null) - Number(a.heldSince !== null) || b.rounds - a.rounds)
  }

  /** The steps of a compacted journal, without what no longer counts at `at`. */
  steps(at: number): BudgetStep[] {
    const kept = [...this.#pairs.values()].filter((pair) => {
      return pair.heldSince !== null || at - pair.lastAt < times.loopSilence
    })
    return kept.map((pair) => ({ t: 'pair', ...pair }))
  }
}

function reset(pair: Pair): void {
  Object.assign(pair, { rounds: 0, since: null, heldSince: null, notified: { people: false, model: false } })
}

/** Returns the line for a model about peers whose messages are held; empty without one. */
export function holdNote(held: readonly { with: string; rounds: number; messages: number }[]): string {
  const [first, ...others] = held
  if (!first) return ''
  const more = others.length === 0 ? '' : ` and of ${others.length} other${others.length === 1 ? '' : 's'}`
  return `${first.messages} of ${first.with}${more} held after ${first.rounds} rounds without a person: mesh inbox`
}

/** Says why a message is held: for its sender, for traces and for people. */
export function holdEvidence(peer: string, rounds: number): string {
  return `loop budget: ${rounds} rounds with ${peer} without a person; mesh inbox reads it`
}
