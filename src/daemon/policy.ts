/** Lets every room handle a message that arrived or that was read. */
import { isControl } from '../core/mail/control.ts'
import type { Entry } from '../core/mail/inbox.ts'
import { isDirect } from '../core/mail/recipients.ts'
import { type ControlledSession, obey } from './control.ts'
import type { Arrival } from './mail/incoming.ts'
import { hasReceipts } from './mail/receipts.ts'
import { HANDOFF } from './state/handoff.ts'
import type { HandoffQueue } from './state/handoff-queue.ts'

export interface PolicySession extends ControlledSession {
  readonly handoffs: HandoffQueue
  /** Notes an activity of the session in its heartbeat. */
  touch(): void
}

/** Handles a message that has been journalled. */
export function arrived(session: PolicySession, { envelope, verified, isNew, held, heldWhy }: Arrival): void {
  const { steps, loops, obligations, handoffs } = session
  if (isControl(envelope)) void obey(session, { envelope, verified })
  else if (held) steps.note(envelope, 'held', heldWhy ?? loops.evidence(envelope.from.name))
  else if (isNew && isDirect(envelope)) steps.note(envelope, 'delivered', 'in the journal of its sidecar')
  if (held) void loops.notify()
  if (isNew) obligations.arrived(envelope)
  if (isNew && envelope.intent === HANDOFF) void handoffs.run()
  session.poke()
}

/** Handles messages that the model, or a reader who asked for them, has read. */
export function surfaced(session: PolicySession, entries: readonly Entry[], evidence: string, door: string): void {
  const { steps, roles, obligations, link } = session
  for (const { envelope } of entries) {
    if (hasReceipts(envelope.to)) steps.note(envelope, 'surfaced', evidence, door)
    if (envelope.to.startsWith('role:')) void roles.settle(envelope.to.slice(5), envelope.id).catch(() => {})
  }
  obligations.surfaced(entries)
  session.touch()
  if (link.up) void session.save().catch(() => {})
}
