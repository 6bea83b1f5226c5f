/** Handles the operations of a sender: sends a message and follows it as far as the caller asks. */
import type { Parsed, Response } from '../../api/ops.schema.ts'
import { isControlIntent } from '../../core/mail/control.ts'
import { MeshError } from '../../errors.ts'
import { localSender } from '../../link/keys.ts'
import { untilAborted } from '../../link/until.ts'
import { limits } from '../../wire/limits.ts'
import { parseRecipient, quote, type Recipient } from '../../wire/names.ts'
import type { Sender as Address } from '../../wire/subjects.ts'
import { checkId, findMessage, fullId, hopsAfter } from '../mail/lookup.ts'
import { post } from '../mail/send.ts'
import type { MailSession } from '../mail/session.ts'
import type { Letter } from '../session.ts'
import { type Call, deadline, FOREVER_MS, type HandlersOf } from '../socket/call.ts'
import type { Obligations } from '../state/obligations.ts'
import { caughtUp, handOver, type ReadingSession } from './read.ts'

type SendOptions = { wait?: 'stored' | 'delivered' | 'surfaced' | 'reply'; timeoutMs?: number }

interface FollowingSession extends ReadingSession {
  readonly obligations: Obligations
}

export const sendHandlers = {
  async send(session, request, call) {
    checkId(request.id)
    try {
      return await sendTo(session, parseRecipient(request.to), request, call)
    } catch (error) {
      const to = await titled(session, request.to, error)
      return sendTo(session, to, request, call)
    }
  },

  async reply(session, request, call) {
    checkId(request.id)
    await caughtUp(session)
    const original = await findMessage(session, request.replyTo)
    const to: Recipient = { kind: 'session', name: original.from.name }
    const { id, text, intent } = request
    checkIntent(intent)
    const { thread } = original
    const hops = hopsAfter(original)
    const letter = { id, to, text, thread, replyTo: original.id, intent, hops, answers: original.from }
    return sendAndFollow(session, letter, request, call)
  },
} satisfies HandlersOf<FollowingSession>

async function sendTo(
  session: FollowingSession,
  to: Recipient,
  request: Parsed<'send'>,
  call: Call,
): Promise<Response<'send'>> {
  if (request.replyTo !== undefined) await caughtUp(session)
  const replyTo = request.replyTo === undefined ? undefined : await fullId(session, request.replyTo)
  const { id, text, thread, intent } = request
  checkIntent(intent)
  const hops = replyTo ? hopsAfter(session.mailbox.inbox.origin(replyTo)) : 0
  return sendAndFollow(session, { id, to, text, thread, replyTo, intent, hops }, request, call)
}

/**
 * Returns the one session whose title was given in place of a name. Throws `failed`, the reason why it is no name, when
 * none has it, and `bad_name` with their names when several do.
 */
async function titled(session: FollowingSession, title: string, failed: unknown): Promise<Recipient> {
  if (!['bad_name', 'not_found'].includes(MeshError.from(failed).code)) throw failed
  const wanted = title.trim().normalize()
  const peers = await session.sessions().catch(() => [])
  const found = peers.filter((peer) => peer.title?.normalize() === wanted && wanted !== '')
  if (found.length === 0) throw failed
  if (found.length === 1) return { kind: 'session', name: found[0]!.name }
  const names = found
    .map(({ name }) => name)
    .toSorted()
    .join(', ')
  const hint = 'name one of them instead'
  throw new MeshError('bad_name', `${quote(title)} is the title of several sessions: ${names}`, { hint })
}

function checkIntent(intent: string | undefined): void {
  if (isControlIntent(intent)) throw new MeshError('bad_request', `the intent ${intent} is mesh's own`)
}

/**
 * Sends a message and, if asked to, waits until it reaches a state. Throws `not_found`, `too_large`, `store_full`,
 * `timeout`.
 */
async function sendAndFollow(
  session: FollowingSession,
  given: Letter,
  options: SendOptions,
  call: Call,
): Promise<Response<'send'>> {
  const letter = { ...given, intent: given.intent ?? (options.wait === 'reply' ? 'request' : undefined) }
  const { isNew, ...sent } = await post(session, letter)
  if (isNew) session.obligations.sent(letter, sent.to, letter.text)
  if (isNew && letter.answers && letter.replyTo) sendReplied(session, letter.answers, letter.replyTo, letter.id)
  return options.wait ? followUp(session, sent, options, call) : sent
}

function sendReplied(session: MailSession, to: Address, id: string, reply: string): void {
  const receipt = { id, state: 'replied', evidence: 'answered', reply } as const
  session.receipts.send(to, localSender(session.record), receipt)
}

/** Waits until the message reaches the requested state. */
async function followUp(
  session: FollowingSession,
  sent: Response<'send'>,
  { wait, timeoutMs = FOREVER_MS }: SendOptions,
  call: Call,
): Promise<Response<'send'>> {
  const signal = deadline(call.signal, timeoutMs)
  const late = async () =>
    new MeshError(
      'timeout',
      `${sent.id} is ${await stateNow(session, sent)} but not ${wait === 'reply' ? 'answered' : wait} yet${sent.note ? `: ${sent.note}` : ''}`,
      {
        detail: 'not_reached',
        hint: isFull(session)
          ? `${session.mailbox.inbox.size} unread messages are before what comes now: mesh inbox`
          : `mesh trace ${sent.id}`,
      },
    )
  if (wait === 'reply') {
    const taken = await session.courier.await({ kind: 'reply', id: sent.id }, signal).catch(async () => {
      throw await late()
    })
    const { messages, handover } = await handOver(session, taken, call)
    return { ...sent, state: 'replied', reply: messages[0], handover }
  }
  if (sent.state === 'queued') {
    const position = await Promise.race([session.sender.stored(sent.id), untilAborted(signal)])
    if (position === null) throw await late()
  }
  if (wait === 'stored') return { ...sent, state: 'stored' }
  const receipt = await session.receipts.reached(sent.id, wait === 'surfaced' ? 'surfaced' : 'delivered', signal)
  if (!receipt) throw await late()
  return { ...sent, state: receipt.state }
}

/** True when the mailbox is full: the sidecar reads no more from the stream until some of it is read. */
function isFull({ mailbox }: FollowingSession): boolean {
  return !mailbox.hasRoomFor(limits.unreadAwaited)
}

/** Describes the last known state of the message and its evidence. */
async function stateNow({ link }: FollowingSession, sent: Response<'send'>): Promise<string> {
  const receipts = link.up ? await link.store.receiptsOf(sent.id).catch(() => []) : []
  const last = receipts.at(-1)
  return last ? `${last.state} (${last.evidence})` : sent.state
}
