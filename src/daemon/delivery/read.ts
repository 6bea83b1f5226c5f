/** Reads messages with their whole text, for a caller that asked for them. */
import type { Message } from '../../api/ops.schema.ts'
import { type Entry, NOWHERE } from '../../core/mail/inbox.ts'
import { MeshError } from '../../errors.ts'
import { times } from '../../wire/limits.ts'
import type { MailSession } from '../mail/session.ts'
import type { Call } from '../socket/call.ts'
import type { Handover } from './callers.ts'
import type { Courier } from './courier.ts'
import type { InboundGuard } from './inbound.ts'
import { messageOf } from './text.ts'

/** A session whose messages are delivered to readers. */
export interface ReadingSession extends MailSession {
  readonly courier: Courier
  readonly inbound: Pick<InboundGuard, 'policy'>
}

/** Limits the wait of a reader for mail that came while its session was away. */
const CATCH_UP_MS = 1000

/** Waits until a session that has just begun has the mail that came while it was away, or a batch of it. */
export async function caughtUp(session: ReadingSession): Promise<void> {
  if (!session.storage) await session.ready()
  await session.storage?.whenCaughtUp(CATCH_UP_MS)
}

/** Reads the bodies of a hand-over. A caller that went away has certainly not shown it. */
export async function handOver(
  session: ReadingSession,
  taken: Handover,
  call: Call,
): Promise<{ messages: Message[]; handover: string }> {
  const { courier } = session
  call.onAnswered((delivered) => {
    if (!delivered) courier.giveBack(taken.handover, true)
  })
  try {
    const messages = await Promise.all(taken.entries.map((entry) => readMessage(session, entry)))
    return { messages, handover: taken.handover }
  } catch (error) {
    courier.giveBack(taken.handover, true)
    throw error
  }
}

export async function readMessage(session: ReadingSession, entry: Entry): Promise<Message> {
  const { body } = entry.envelope
  if ('text' in body) return messageOf(session, entry, body.text)
  try {
    const bytes = await session.link.store.objects.get(body.object)
    return messageOf(session, entry, Buffer.from(bytes).toString())
  } catch (error) {
    // A message without its body must not keep the reader from those behind it.
    if (MeshError.from(error).code !== 'not_found') throw error
    const { id, sentAt } = entry.envelope
    if (Date.now() - Date.parse(sentAt) < times.messageAge) session.link.store.reportDamage(`the text of message ${id}`)
    return messageOf(
      session,
      entry,
      `${body.preview}\n[mesh: the rest of this text of ${body.size} bytes is no longer stored]`,
    )
  }
}

/** Returns a message that was received here, read or not, without changing its state. */
export async function recall(session: ReadingSession, id: string): Promise<Message> {
  const { inbox } = session.mailbox
  const unread = inbox.get(id)
  const origin = inbox.origin(id)
  const entry = unread ?? (origin && origin.seq !== NOWHERE ? await session.stored(origin.seq) : undefined)
  if (entry?.envelope.id === id) return readMessage(session, entry)
  throw new MeshError('not_found', `message ${id} is no longer stored here`)
}
