/**
 * Holds the mail of a peer that has answered this session too often without a person, tells the people, and lets it go
 * on when they say so. The counting is core's.
 */

import { BoundedMap } from '../../core/bounded-map.ts'
import { holdEvidence, holdNote, type Pair } from '../../core/mail/budget.ts'
import type { Entry } from '../../core/mail/inbox.ts'
import { isShell } from '../../core/names/kinds.ts'
import { MeshError } from '../../errors.ts'
import type { Logger } from '../../host/log.ts'
import type { ProjectStore } from '../../nats/project-store.ts'
import type { Envelope, PairState } from '../../wire/envelope.schema.ts'
import { limits } from '../../wire/limits.ts'
import { parseRecipient } from '../../wire/names.ts'
import type { BudgetBook } from '../disk/budget-book.ts'
import { holderOf } from '../names/registry.ts'
import type { Mailbox } from './mailbox.ts'

/** Senders of whom it is remembered whether they are people. */
const KNOWN = 1000
/** The harness of the people at their shells. */

interface LoopGuardOptions {
  log: Logger
  /** Rounds without a person. */
  limit: number
  /** A person's own session counts nothing. */
  isAgent: boolean
  /** What the held name keeps; null while none is. */
  kept(): { mailbox: Mailbox; book: BudgetBook } | null
  store(): ProjectStore
  /** These go on. */
  onReleased(entries: readonly Entry[], evidence: string): void
  /** Resolves once the people's message is kept. */
  tellPeople(peer: string, rounds: number): Promise<void>
  onChange(): void
}

export class LoopGuard {
  readonly #options: LoopGuardOptions
  readonly #harness = new BoundedMap<string, string>(KNOWN)
  readonly #telling = new Set<string>()

  constructor(options: LoopGuardOptions) {
    this.#options = options
  }

  get counts(): boolean {
    return this.#options.isAgent
  }

  get #held(): readonly Readonly<Pair>[] {
    return this.#options.kept()?.book.budget.held() ?? []
  }

  /** Finds out who a sender is, so that `judge` can tell at once. */
  async know({ member, name, epoch }: Envelope['from']): Promise<void> {
    const key = keyOf({ member, name, epoch })
    if (!this.#options.isAgent || this.#harness.has(key)) return
    const record = await holderOf(this.#options.store(), name)
    this.#harness.set(key, record?.member === member ? record.harness : '')
  }

  /** True for people at a shell. After `know`. */
  isPerson(from: Envelope['from'], verified: boolean): boolean {
    return verified && isShell(this.#harness.get(keyOf(from)))
  }

  /** Counts a message that arrives. True: it is to be held. After `know`. */
  judge(envelope: Envelope, verified: boolean): boolean {
    const kept = this.#options.kept()
    if (!this.#options.isAgent || !kept) return false
    const { name } = envelope.from
    if (this.isPerson(envelope.from, verified)) {
      this.resume(null, `a message of ${name}`)
      return false
    }
    // A role's or topic's message is not said to this session alone.
    if (parseRecipient(envelope.to).kind !== 'session') return false
    const now = Date.now()
    const { budget } = kept.book
    if (budget.isStale(name, now)) this.resume(name, 'silence')
    const step = budget.hear(name, now, this.#options.limit)
    if (step) kept.book.note(step)
    return step?.held ?? false
  }

  /** This session sent something to a peer. */
  sent(to: string): void {
    const kept = this.#options.kept()
    if (!this.#options.isAgent || !kept) return
    const now = Date.now()
    if (kept.book.budget.isStale(to, now)) this.resume(to, 'silence')
    kept.book.note({ t: 'sent', to, at: now })
  }

  /** Counts anew, with one peer or all (null), and lets go on what was held. Returns how many messages. */
  resume(peer: string | null, evidence: string): number {
    const kept = this.#options.kept()
    if (!kept) return 0
    if (kept.book.budget.counted().some((pair) => peer === null || pair.with === peer)) {
      kept.book.note({ t: 'reset', with: peer })
      this.#options.onChange()
    }
    const released = kept.mailbox.release(peer)
    if (released.length > 0) this.#options.onReleased(released, `resumed: ${evidence}`)
    return released.length
  }

  /** Tells the people of holds that they do not know of. What fails is tried again with the next call. */
  async tell(): Promise<void> {
    const unnotified = this.#held.filter(({ notified }) => !notified.people)
    for (const { with: peer, rounds } of unnotified) {
      if (this.#telling.has(peer)) continue
      this.#telling.add(peer)
      try {
        await this.#options.tellPeople(peer, rounds)
        this.#noteTold(peer, 'people')
      } catch (error) {
        this.#options.log.error({ peer, error: MeshError.from(error).toBody() }, 'the people were not told of a hold')
      } finally {
        this.#telling.delete(peer)
      }
    }
  }

  /** Why the messages of a peer are held, for receipts. */
  evidence(peer: string): string {
    const pair = this.#held.find((one) => one.with === peer)
    return holdEvidence(peer, pair?.rounds ?? this.#options.limit)
  }

  /** What the model does not know of yet, for its next hand-over; `read` once it does. */
  note(): { text: string; read(): void } | null {
    const pairs = this.#held.filter(({ notified }) => !notified.model)
    const text = this.#noteOf(pairs)
    if (text === '') return null
    return { text, read: () => pairs.forEach((pair) => void this.#noteTold(pair.with, 'model')) }
  }

  /** What a model that starts is told; empty when nothing is held. */
  startNote(): string {
    return this.#noteOf(this.#held)
  }

  #noteOf(pairs: readonly { with: string; rounds: number }[]): string {
    const kept = this.#options.kept()
    const counts = kept ? countHeld(kept.mailbox) : new Map<string, number>()
    const all = pairs.map(({ with: peer, rounds }) => ({ with: peer, rounds, messages: counts.get(peer) ?? 0 }))
    return holdNote(all.filter(({ messages }) => messages > 0))
  }

  #noteTold(peer: string, whom: 'people' | 'model'): void {
    this.#options.kept()?.book.note({ t: 'told', with: peer, whom })
  }

  /** What a heartbeat tells of it. */
  pairs(): PairState[] {
    const kept = this.#options.kept()
    if (!kept || !this.#options.isAgent) return []
    const pairs = kept.book.budget.counted().slice(0, limits.pairsShown)
    const counts = countHeld(kept.mailbox)
    return pairs.map((pair) => ({
      with: pair.with,
      rounds: pair.rounds,
      limit: this.#options.limit,
      held: counts.get(pair.with) ?? 0,
      since: new Date(pair.heldSince ?? pair.since ?? pair.lastAt).toISOString(),
    }))
  }
}

/** Held messages by their sender. */
function countHeld({ inbox }: Mailbox): Map<string, number> {
  const counts = new Map<string, number>()
  for (const { envelope } of inbox.held()) counts.set(envelope.from.name, (counts.get(envelope.from.name) ?? 0) + 1)
  return counts
}

function keyOf({ member, name, epoch }: Envelope['from']): string {
  return `${member}/${name}/${epoch}`
}
