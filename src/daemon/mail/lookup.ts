/** Finds messages by id: unread ones here, read ones in the stream, sent ones in the outbox, receipts in the engine. */
import type { Response, SendState } from '../../api/ops.schema.ts'
import type { Origin } from '../../core/mail/inbox.ts'
import { MeshError } from '../../errors.ts'
import { limits } from '../../wire/limits.ts'
import { isMessageId, quote } from '../../wire/names.ts'
import type { MailSession } from './session.ts'

const ID_PREFIX = /^m_[0-9a-f]{8,32}$/

/** Throws `not_found` for a message that was neither sent nor received here and has no receipt. */
export async function checkKnown(session: MailSession, id: string): Promise<void> {
  if (session.sender.get(id) || session.mailbox.inbox.origin(id)) return
  if (!session.link.up || (await session.link.store.receiptsOf(id)).length > 0) return
  throw new MeshError('not_found', `nothing is known of ${id}`)
}

export function checkId(id: string): void {
  if (!isMessageId(id)) throw new MeshError('bad_request', `${quote(id)} is not a message id`)
}

/** Returns the full id for an unambiguous prefix of at least eight digits, as models see them. */
export async function fullId(session: MailSession, prefix: string): Promise<string> {
  if (isMessageId(prefix)) return prefix
  if (!ID_PREFIX.test(prefix)) throw new MeshError('bad_request', `${quote(prefix)} is not a message id`)
  const found = [...new Set([...session.mailbox.inbox.idsFrom(prefix), ...session.sender.idsFrom(prefix)])]
  if (found.length === 1) return found[0]!
  if (found.length > 1)
    throw new MeshError('bad_request', `${prefix} fits ${found.length} messages`, { hint: 'give more of the id' })
  throw new MeshError('not_found', `no message ${prefix} is known here`, {
    hint: 'a session knows what it sent in the last day and what it received: mesh inbox --peek',
  })
}

/** Returns what is known of a message that was received here, for an answer to it. Throws `not_found`. */
export async function findMessage(session: MailSession, idOrPrefix: string): Promise<Origin> {
  const id = await fullId(session, idOrPrefix)
  const entry = session.mailbox.inbox.origin(id)
  if (entry) return entry
  throw new MeshError('not_found', `no message ${id} was received here`, {
    hint: 'mesh inbox --peek lists unread messages',
  })
}

/** Returns how many replies an answer to this message makes. Throws `conflict` when that is too many. */
export function hopsAfter(origin: Pick<Origin, 'hops' | 'from'> | undefined): number {
  const hops = (origin?.hops ?? 0) + 1
  if (hops <= limits.hops) return hops
  throw new MeshError('conflict', `${limits.hops} replies in a row led to this message: no further one is sent`, {
    hint: `if there is reason to go on, begin anew: mesh send ${origin!.from.name} -- TEXT`,
  })
}

export async function traceOf(session: MailSession, id: string): Promise<Response<'trace'>> {
  const { name } = session.record
  const sent = session.sender.get(id)
  const steps: Response<'trace'>['steps'] = []
  const add = (state: SendState, at: number | string, by: string, evidence: string) =>
    steps.push({ state, at: typeof at === 'number' ? new Date(at).toISOString() : at, by, evidence })
  if (sent) add('queued', sent.message.at, name, 'in the outbox of its sender')
  if (sent?.position) add('stored', sent.storedAt!, 'engine', `position ${sent.position} of the stream`)
  const entry = session.mailbox.inbox.get(id)
  if (entry) add('stored', entry.envelope.sentAt, 'engine', `position ${entry.seq} of the stream`)
  for (const receipt of session.link.up ? await session.link.store.receiptsOf(id) : []) {
    add(
      receipt.state,
      receipt.at,
      receipt.by.name,
      receipt.reply ? `${receipt.evidence}: ${receipt.reply}` : receipt.evidence,
    )
  }
  if (steps.length === 0)
    throw new MeshError('not_found', `nothing is known of ${id}`, { hint: 'receipts are kept for a day' })
  return { id, steps }
}
