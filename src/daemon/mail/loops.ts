/**
 * Holds the mail of a peer that has answered this session too often without a person, notifies the people, and releases
 * it at their word. `core/mail/budget.ts` does the counting.
 */

import { holdEvidence, holdNote, type Pair } from '../../core/mail/budget.ts'
import { isShell } from '../../core/names/kinds.ts'
import { MeshError } from '../../errors.ts'
import type { Envelope, PairState } from '../../wire/envelope.schema.ts'
import { limits } from '../../wire/limits.ts'
import { parseRecipient } from '../../wire/names.ts'
import type { BudgetBook } from '../disk/budget-book.ts'
import { notifyPeople } from '../names/people.ts'
import { Senders } from '../names/senders.ts'
import type { Session } from '../session.ts'
import type { Mailbox } from './mailbox.ts'
import type { Steps } from './receipts.ts'

/** A session whose exchanges are counted. */
export interface CountedSession extends Session {
  /** The name's files on this machine; null before the session has a name. */
  readonly storage: { mailbox: Mailbox; book: BudgetBook } | null
  readonly steps: Steps
}

export class LoopGuard {
  readonly #session: CountedSession
  readonly senders: Senders
  readonly #notifying = new Set<string>()

  constructor(session: CountedSession) {
    this.#session = session
    this.senders = new Senders(session)
  }

  /** False for a person's own session, which counts nothing. */
  get counts(): boolean {
    return !isShell(this.#session.harness.kind)
  }

  /** Number of rounds allowed without a person. */
  get #limit(): number {
    return this.#session.settings.loopRounds
  }

  get #held(): readonly Readonly<Pair>[] {
    return this.#session.storage?.book.budget.held() ?? []
  }

  /** Counts a message that arrives. Returns true if it is to be held. Its sender must be known. */
  judge(envelope: Envelope, verified: boolean): boolean {
    const kept = this.#session.storage
    if (!this.counts || !kept) return false
    const { name } = envelope.from
    if (this.senders.isPerson(envelope.from, verified)) {
      this.resume(null, `a message of ${name}`)
      return false
    }
    if (verified && envelope.author === 'mesh') return false
    // A role's or topic's message is not said to this session alone.
    if (parseRecipient(envelope.to).kind !== 'session') return false
    const now = Date.now()
    const { budget } = kept.book
    if (budget.isStale(name, now)) this.resume(name, 'silence')
    const step = budget.hear(name, now, this.#limit)
    if (step) kept.book.note(step)
    return step?.held ?? false
  }

  /** Counts a message to a peer. */
  sent(to: string): void {
    const kept = this.#session.storage
    if (!this.counts || !kept) return
    const now = Date.now()
    if (kept.book.budget.isStale(to, now)) this.resume(to, 'silence')
    kept.book.note({ t: 'sent', to, at: now })
  }

  /** Counts anew, with one peer or all (null), and releases held messages. Returns how many. */
  resume(peer: string | null, evidence: string): number {
    const kept = this.#session.storage
    if (!kept) return 0
    if (kept.book.budget.counted().some((pair) => peer === null || pair.with === peer)) {
      kept.book.note({ t: 'reset', with: peer })
      this.#session.poke()
    }
    const released = kept.mailbox.release(peer)
    for (const { envelope } of released) this.#session.steps.note(envelope, 'delivered', `resumed: ${evidence}`)
    if (released.length > 0) this.#session.poke()
    return released.length
  }

  /** Notifies the people of holds that they do not know of. The next call retries what failed. */
  async notify(): Promise<void> {
    const unnotified = this.#held.filter(({ notified }) => !notified.people)
    for (const { with: peer, rounds } of unnotified) {
      if (this.#notifying.has(peer)) continue
      this.#notifying.add(peer)
      try {
        await notifyPeople(this.#session, holdNews(this.#session.record.name, peer, rounds))
        this.#noteNotified(peer, 'people')
      } catch (error) {
        this.#session.log.error(
          { peer, error: MeshError.from(error).toBody() },
          'the people were not notified of a hold',
        )
      } finally {
        this.#notifying.delete(peer)
      }
    }
  }

  /** Returns the reason why a peer's messages are held, for receipts. */
  evidence(peer: string): string {
    const pair = this.#held.find((one) => one.with === peer)
    return holdEvidence(peer, pair?.rounds ?? this.#limit)
  }

  /**
   * Returns the line about new holds for the model's next hand-over; the caller calls `read` once the model has read
   * it.
   */
  note(): { text: string; read(): void } | null {
    const pairs = this.#held.filter(({ notified }) => !notified.model)
    const text = this.#noteOf(pairs)
    if (text === '') return null
    return { text, read: () => pairs.forEach((pair) => void this.#noteNotified(pair.with, 'model')) }
  }

  /** Returns the line about holds for a model that starts; empty without any. */
  startNote(): string {
    return this.#noteOf(this.#held)
  }

  #noteOf(pairs: readonly { with: string; rounds: number }[]): string {
    const kept = this.#session.storage
    const counts = kept ? countHeld(kept.mailbox) : new Map<string, number>()
    const all = pairs.map(({ with: peer, rounds }) => ({ with: peer, rounds, messages: counts.get(peer) ?? 0 }))
    return holdNote(all.filter(({ messages }) => messages > 0))
  }

  #noteNotified(peer: string, whom: 'people' | 'model'): void {
    this.#session.storage?.book.note({ t: 'told', with: peer, whom })
  }

  /** Returns the pairs that the heartbeat shows. */
  pairs(): PairState[] {
    const kept = this.#session.storage
    if (!kept || !this.counts) return []
    const pairs = kept.book.budget.counted().slice(0, limits.pairsShown)
    const counts = countHeld(kept.mailbox)
    return pairs.map((pair) => ({
      with: pair.with,
      rounds: pair.rounds,
      limit: this.#limit,
      held: counts.get(pair.with) ?? 0,
      since: new Date(pair.heldSince ?? pair.since ?? pair.lastAt).toISOString(),
    }))
  }
}

function holdNews(name: string, peer: string, rounds: number): string {
  return [
    `${name} and ${peer} answered each other ${rounds} times without a person: what ${peer} sends ${name} from now on is`,
    `held, nothing is lost. To let them go on, say something to ${name}, or in a plain shell: mesh budget resume ${name}`,
  ].join(' ')
}

/** Counts held messages by their sender. */
function countHeld({ inbox }: Mailbox): Map<string, number> {
  const counts = new Map<string, number>()
  for (const { envelope } of inbox.held()) counts.set(envelope.from.name, (counts.get(envelope.from.name) ?? 0) + 1)
  return counts
}
