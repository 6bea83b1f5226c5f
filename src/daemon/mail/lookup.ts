/** Finds messages by id: unread ones here, read ones in the stream, sent ones in the outbox, receipts in the engine. */
import type { Message, Response, SendState } from '../../api/ops.schema.ts'
import { type Entry, NOWHERE, type Origin } from '../../core/mail/inbox.ts'
import { MeshError } from '../../errors.ts'
import { limits } from '../../wire/limits.ts'
import { isMessageId, quote } from '../../wire/names.ts'
import type { Handover } from '../delivery/courier.ts'
import { messageOf } from '../delivery/text.ts'
import type { Sidecar } from '../sidecar.ts'
import type { Call } from '../socket/server.ts'

const ID_PREFIX = /^m_[0-9a-f]{8,32}$/

/** Reads the bodies of a hand-over. A caller that went away has certainly not shown it. */
export async function handOver(
  sidecar: Sidecar,
  taken: Handover,
  call: Call,
): Promise<{ messages: Message[]; handover: string }> {
  const { courier } = sidecar
  call.onAnswered((delivered) => {
    if (!delivered) courier.giveBack(taken.handover, true)
  })
  try {
    const messages = await Promise.all(taken.entries.map((entry) => readMessage(sidecar, entry)))
    return { messages, handover: taken.handover }
  } catch (error) {
    courier.giveBack(taken.handover, true)
    throw error
  }
}

export async function readMessage(sidecar: Sidecar, entry: Entry): Promise<Message> {
  const { body } = entry.envelope
  if ('text' in body) return messageOf(entry, body.text)
  try {
    const bytes = await sidecar.link.store.objects.get(body.object)
    return messageOf(entry, Buffer.from(bytes).toString())
  } catch (error) {
    // One message without its body must not keep the reader from all behind it.
    if (MeshError.from(error).code !== 'not_found') throw error
    return messageOf(entry, `${body.preview}\n[mesh: the rest of this text of ${body.size} bytes is no longer stored]`)
  }
}

/** Throws `not_found` unless something is known of the message: sent or received here, or told by a receipt. */
export async function checkKnown(sidecar: Sidecar, id: string): Promise<void> {
  if (sidecar.sender.get(id) || sidecar.mailbox.inbox.origin(id)) return
  if (!sidecar.link.up || (await sidecar.link.store.receiptsOf(id)).length > 0) return
  throw new MeshError('not_found', `nothing is known of ${id}`)
}

/** A message that was received here, read or not; it stays as it is. */
export async function recall(sidecar: Sidecar, id: string): Promise<Message> {
  const { inbox } = sidecar.mailbox
  const unread = inbox.get(id)
  const origin = inbox.origin(id)
  const entry = unread ?? (origin && origin.seq !== NOWHERE ? await sidecar.stored(origin.seq) : undefined)
  if (entry?.envelope.id === id) return readMessage(sidecar, entry)
  throw new MeshError('not_found', `message ${id} is no longer stored here`)
}

export function checkId(id: string): void {
  if (!isMessageId(id)) throw new MeshError('bad_request', `${quote(id)} is not a message id`)
}

/** A whole id from a whole one or from an unambiguous beginning of at least eight digits, as models are shown. */
export async function fullId(sidecar: Sidecar, prefix: string): Promise<string> {
  if (isMessageId(prefix)) return prefix
  if (!ID_PREFIX.test(prefix)) throw new MeshError('bad_request', `${quote(prefix)} is not a message id`)
  const found = [...new Set([...sidecar.mailbox.inbox.idsFrom(prefix), ...sidecar.sender.idsFrom(prefix)])]
  if (found.length === 1) return found[0]!
  if (found.length > 1)
    throw new MeshError('bad_request', `${prefix} fits ${found.length} messages`, { hint: 'give more of the id' })
  throw new MeshError('not_found', `no message ${prefix} is known here`, {
    hint: 'a session knows what it sent in the last day and what it received: mesh inbox --peek',
  })
}

/** What is known of a message received here, for an answer to it. */
export async function findMessage(sidecar: Sidecar, idOrPrefix: string): Promise<Origin> {
  const id = await fullId(sidecar, idOrPrefix)
  const entry = sidecar.mailbox.inbox.origin(id)
  if (entry) return entry
  throw new MeshError('not_found', `no message ${id} was received here`, {
    hint: 'mesh inbox --peek lists unread messages',
  })
}

/** How many replies an answer to this message makes. Throws `conflict` when that is too many. */
export function hopsAfter(origin: Pick<Origin, 'hops' | 'from'> | undefined): number {
  const hops = (origin?.hops ?? 0) + 1
  if (hops <= limits.hops) return hops
  throw new MeshError('conflict', `${limits.hops} replies in a row led to this message: no further one is sent`, {
    hint: `if there is reason to go on, begin anew: mesh send ${origin!.from.name} -- TEXT`,
  })
}

export async function traceOf(sidecar: Sidecar, id: string): Promise<Response<'trace'>> {
  const { name } = sidecar.record
  const sent = sidecar.sender.get(id)
  const steps: Response<'trace'>['steps'] = []
  const add = (state: SendState, at: number | string, by: string, evidence: string) =>
    steps.push({ state, at: typeof at === 'number' ? new Date(at).toISOString() : at, by, evidence })
  if (sent) add('queued', sent.message.at, name, 'in the outbox of its sender')
  if (sent?.position) add('stored', sent.storedAt!, 'engine', `position ${sent.position} of the stream`)
  const entry = sidecar.mailbox.inbox.get(id)
  if (entry) add('stored', entry.envelope.sentAt, 'engine', `position ${entry.seq} of the stream`)
  for (const told of sidecar.link.up ? await sidecar.link.store.receiptsOf(id) : []) {
    add(told.state, told.at, told.by.name, told.reply ? `${told.evidence}: ${told.reply}` : told.evidence)
  }
  if (steps.length === 0)
    throw new MeshError('not_found', `nothing is known of ${id}`, { hint: 'receipts are kept for a day' })
  return { id, steps }
}
