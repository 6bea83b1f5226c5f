/** Sends a message: resolves the recipient, seals the message, puts it into the outbox and follows its receipts. */
import type { Response } from '../../api/ops.schema.ts'
import { isSaid } from '../../core/mail/control.ts'
import { localSender } from '../../link/keys.ts'
import { checkText, encodeEnvelope } from '../../wire/codec.ts'
import type { Envelope } from '../../wire/envelope.schema.ts'
import { limits } from '../../wire/limits.ts'
import { formatRecipient, type Recipient } from '../../wire/names.ts'
import { messageSubject } from '../../wire/subjects.ts'
import type { Entered, Letter } from '../session.ts'
import type { Sender } from './outbox.ts'
import type { MailSession } from './session.ts'

type Sent = Pick<Response<'send'>, 'id' | 'state' | 'to' | 'note'>

/** Sends a message. Resolves once the engine has it or it waits on this machine. Throws as `Session.send`. */
export async function post(session: MailSession, letter: Letter): Promise<Sent & { isNew: boolean }> {
  const { to, note, isNew, stored } = await enter(session, letter)
  await stored
  await session.settled()
  const position = session.sender.get(letter.id)?.position ?? null
  return { id: letter.id, state: position === null ? 'queued' : 'stored', to: formatRecipient(to), ...note, isNew }
}

/** Does what `Session.send` says. */
export async function enter(session: MailSession, letter: Letter): Promise<Entered> {
  if (!session.isNamed) await session.ready()
  const bytes = checkText(letter.text)
  const { to, epoch, note } = await session.recipients.resolve(
    session.link.up ? session.link.store : null,
    letter.to,
    session.record.name,
  )
  await session.settled()
  if (session.sender.get(letter.id)) return { to, note, isNew: false, stored: Promise.resolve() }
  const body = await bodyOf(session, letter.text, bytes)
  await session.settled()
  // Before it goes: the answer may be here sooner than we know that it went.
  if (to.kind === 'session' && isSaid(letter)) session.loops.sent(to.name)
  // Without a pause: the sequence number is taken when the message enters the outbox.
  const stored = put(session, session.sender, { ...letter, to }, body, seenEpoch(session, letter, to, epoch))
  return { to, note, isNew: true, stored }
}

/** The holder of the recipient's name whom the sender means: the one that it answers, else the present one. */
function seenEpoch(
  { mailbox }: MailSession,
  { replyTo }: Letter,
  to: Recipient,
  epoch: number | undefined,
): { toEpoch?: number } {
  const asker = replyTo === undefined ? undefined : mailbox.inbox.origin(replyTo)?.from
  // News of mesh's own is from no epoch.
  const isAsker = to.kind === 'session' && to.name === asker?.name && asker.epoch > 0
  const seen = isAsker ? asker?.epoch : epoch
  return seen === undefined ? {} : { toEpoch: seen }
}

/** Signs a message and puts it into the outbox. */
function put(
  session: MailSession,
  outbox: Sender,
  letter: Letter,
  body: Envelope['body'],
  seen: { toEpoch?: number },
): Promise<unknown> {
  const { record, key } = session
  const { project } = session.place
  const to = formatRecipient(letter.to)
  const seq = outbox.nextSeq(record.epoch, to)
  const at = Date.now()
  const { id, thread, replyTo, intent, author, hops } = letter
  const envelope: Omit<Envelope, 'sig'> = {
    v: 1,
    kind: 'message',
    id,
    project,
    from: localSender(record),
    to,
    ...seen,
    seq,
    sentAt: new Date(at).toISOString(),
    hops,
    body,
    ...(thread === undefined ? {} : { thread }),
    ...(replyTo === undefined ? {} : { replyTo }),
    ...(intent === undefined ? {} : { intent }),
    ...(author === undefined ? {} : { author }),
  }
  const subject = messageSubject(project, letter.to, localSender(record))
  return outbox.send({ id, subject, to, seq, epoch: record.epoch, at, bytes: encodeEnvelope(envelope, key) })
}

/** Returns the body of an envelope. A large one is stored in the object store first. */
async function bodyOf(session: MailSession, text: string, bytes: Buffer): Promise<Envelope['body']> {
  if (bytes.length <= limits.inlineBodyBytes) return { text }
  const object = await session.link.store.objects.put(bytes)
  return { object, size: bytes.length, preview: previewOf(text) }
}

/** Returns the beginning of a text, cut between characters, not inside one. */
function previewOf(text: string): string {
  const cut = text.slice(0, limits.previewChars)
  return cut.isWellFormed() ? cut : cut.slice(0, -1)
}
