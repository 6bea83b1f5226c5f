/** Matches messages with calls that wait for one. A message goes to the first waiter that it fits, and to no door. Pure. */
import type { Envelope } from '../../wire/envelope.schema.ts'

export interface Waiter {
  id: string
  /** Fits any message, messages from one session, or answers to one message. */
  wants: { kind: 'any' } | { kind: 'from'; name: string } | { kind: 'reply'; id: string }
}

export function fits(waiter: Waiter, envelope: Envelope): boolean {
  const { wants } = waiter
  if (wants.kind === 'from') return envelope.from.name === wants.name
  if (wants.kind === 'reply') return envelope.replyTo === wants.id
  return true
}

/** Pairs unread messages (oldest first) with waiters (oldest first), at most one message each. */
export function pair<E extends { envelope: Envelope }>(
  waiters: readonly Waiter[],
  unread: readonly E[],
): { waiter: Waiter; entry: E }[] {
  const free = [...waiters]
  const pairs: { waiter: Waiter; entry: E }[] = []
  for (const entry of unread) {
    // An answer goes to the call that waits for it, before one that takes any message.
    const specific = free.findIndex((waiter) => waiter.wants.kind === 'reply' && fits(waiter, entry.envelope))
    const at = specific >= 0 ? specific : free.findIndex((waiter) => fits(waiter, entry.envelope))
    if (at < 0) continue
    const [waiter] = free.splice(at, 1)
    pairs.push({ waiter: waiter!, entry })
  }
  return pairs
}
