/** Sends a message: finds out who reads it, seals it, hands it to the outbox, follows what becomes of it. */
import type { Response } from '../../api/ops.schema.ts'
import type { Outgoing } from '../../core/mail/outbox.ts'
import { MeshError } from '../../errors.ts'
import { LOCAL_MEMBER } from '../../link/keys.ts'
import { checkText, encodeEnvelope } from '../../wire/codec.ts'
import type { Envelope } from '../../wire/envelope.schema.ts'
import { limits } from '../../wire/limits.ts'
import { formatRecipient, newId, type Recipient } from '../../wire/names.ts'
import { type Sender as Address, messageSubject } from '../../wire/subjects.ts'
import { isControlIntent } from '../control.ts'
import type { Sidecar } from '../sidecar.ts'
import { deadline } from '../socket/deadline.ts'
import type { Call } from '../socket/server.ts'
import { handOver } from './lookup.ts'

/** The longest delay of a timer, about 25 days. */
export const FOREVER_MS = 2_147_483_647

/** What is sent, once recipient and origin are known. */
export interface Letter {
  id: string
  to: Recipient
  text: string
  thread?: string
  replyTo?: string
  intent?: string
  hops: number
  /** The sender of the message that this one answers: it is told. */
  answers?: Address
}

type SendOptions = { wait?: 'stored' | 'delivered' | 'surfaced' | 'reply'; timeoutMs?: number }

/** Sends a message and, if asked to, waits until it got somewhere. Throws `not_found`, `too_large`, `store_full`, `timeout`. */
export async function post(
  sidecar: Sidecar,
  letter: Letter,
  options: SendOptions,
  call: Call,
): Promise<Response<'send'>> {
  const intent = letter.intent ?? (options.wait === 'reply' ? 'request' : undefined)
  const { to, note, isNew, stored } = await enter(sidecar, { ...letter, intent })
  await stored
  if (isNew) sidecar.obligations.sent({ ...letter, intent }, formatRecipient(to), letter.text)
  if (isNew && letter.answers && letter.replyTo) tellReplied(sidecar, letter.answers, letter.replyTo, letter.id)
  await sidecar.settled()
  const position = sidecar.sender.get(letter.id)?.position ?? null
  const sent = {
    id: letter.id,
    state: position === null ? 'queued' : 'stored',
    to: formatRecipient(to),
    ...note,
  } as const
  return options.wait ? followUp(sidecar, sent, options, call) : sent
}

/** What is known once a message is in the outbox: `stored` settles as `Sender.send` does. */
interface Entered {
  to: Recipient
  note: { note?: string }
  /** It was not sent before. */
  isNew: boolean
  stored: Promise<unknown>
}

/** Puts a message into the outbox; the same id again is the same message. Throws `not_found`, `too_large`. */
export async function enter(sidecar: Sidecar, letter: Letter): Promise<Entered> {
  if (!sidecar.registry.claimed) await sidecar.ready()
  const bytes = checkText(letter.text)
  const { to, note } = await sidecar.recipients.resolve(
    sidecar.link.up ? sidecar.link.store : null,
    letter.to,
    sidecar.record.name,
  )
  await sidecar.settled()
  if (sidecar.sender.get(letter.id)) return { to, note, isNew: false, stored: Promise.resolve() }
  const body = await bodyOf(sidecar, letter.text, bytes)
  await sidecar.settled()
  // Before it goes: the answer may be here sooner than we know that it went.
  if (to.kind === 'session' && !isControlIntent(letter.intent)) sidecar.loops.sent(to.name)
  // In one go: the sequence number is taken when the message enters the outbox.
  const stored = sidecar.sender.send(seal(sidecar, { ...letter, to }, body))
  return { to, note, isNew: true, stored }
}

/** Tells the people, once per hold, that a peer's messages to this session are held. */
export async function tellPeople(sidecar: Sidecar, peer: string, rounds: number): Promise<void> {
  const { name } = sidecar.record
  const text = [
    `${name} and ${peer} answered each other ${rounds} times without a person: what ${peer} sends ${name} from now on is`,
    `held, nothing is lost. To let them go on, say something to ${name}, or in a plain shell: mesh budget resume ${name}`,
  ].join(' ')
  await tellOperators(sidecar, text)
}

/** Tells the people something that concerns them. */
export async function tellOperators(sidecar: Sidecar, text: string): Promise<void> {
  for (const to of await people(sidecar)) await tell(sidecar, to, text)
}

/** Every person at a shell now; nobody there: the role, whose next holder reads it. */
async function people(sidecar: Sidecar): Promise<Recipient[]> {
  const sessions = await sidecar.presence.sessions(sidecar.link.store)
  const there = sessions.filter(({ harness, status }) => harness === 'shell' && !['lost', 'gone'].includes(status))
  if (there.length === 0) return [{ kind: 'role', name: 'operator' }]
  return there.slice(0, limits.recipients).map(({ name }) => ({ kind: 'session', name }))
}

/** Tells this very session that it lost the name `before` and has another. */
export async function tellRenamed(sidecar: Sidecar, before: string): Promise<void> {
  const { name } = sidecar.record
  const text = `You are "${name}" on mesh now, no longer "${before}": mail sent to that name does not reach you any more.`
  await tell(sidecar, { kind: 'session', name }, text)
}

async function tell(sidecar: Sidecar, to: Recipient, text: string): Promise<void> {
  const letter: Letter = { id: newId('m'), to, text, hops: 0 }
  await post(sidecar, letter, {}, { signal: new AbortController().signal, onAnswered() {} })
}

function tellReplied(sidecar: Sidecar, to: Address, id: string, reply: string): void {
  const { name, epoch } = sidecar.record
  const told = { id, state: 'replied', evidence: 'answered', reply } as const
  sidecar.receipts.tell(to, { member: LOCAL_MEMBER, name, epoch }, told)
}

function seal(sidecar: Sidecar, letter: Letter, body: Envelope['body']): Outgoing {
  const { record, key, sender } = sidecar
  const { project } = sidecar.options.place
  const to = formatRecipient(letter.to)
  const seq = sender.nextSeq(record.epoch, to)
  const at = Date.now()
  const { id, thread, replyTo, intent, hops } = letter
  const envelope: Omit<Envelope, 'sig'> = {
    v: 1,
    kind: 'message',
    id,
    project,
    from: { member: LOCAL_MEMBER, name: record.name, epoch: record.epoch },
    to,
    seq,
    sentAt: new Date(at).toISOString(),
    hops,
    body,
    ...(thread === undefined ? {} : { thread }),
    ...(replyTo === undefined ? {} : { replyTo }),
    ...(intent === undefined ? {} : { intent }),
  }
  const subject = messageSubject(project, letter.to, { member: LOCAL_MEMBER, name: record.name })
  return { id, subject, to, seq, epoch: record.epoch, at, bytes: encodeEnvelope(envelope, key) }
}

/** A large body goes to the object store first. */
async function bodyOf(sidecar: Sidecar, text: string, bytes: Buffer): Promise<Envelope['body']> {
  if (bytes.length <= limits.inlineBodyBytes) return { text }
  const object = await sidecar.link.store.objects.put(bytes)
  return { object, size: bytes.length, preview: previewOf(text) }
}

/** Cut between characters, not inside one. */
function previewOf(text: string): string {
  const cut = text.slice(0, limits.previewChars)
  return cut.isWellFormed() ? cut : cut.slice(0, -1)
}

/** Waits until the message got as far as asked for. */
async function followUp(
  sidecar: Sidecar,
  sent: Response<'send'>,
  { wait, timeoutMs = FOREVER_MS }: SendOptions,
  call: Call,
): Promise<Response<'send'>> {
  const signal = deadline(call.signal, timeoutMs)
  const late = async () =>
    new MeshError(
      'timeout',
      `${sent.id} is ${await stateNow(sidecar, sent)} but not ${wait === 'reply' ? 'answered' : wait} yet${sent.note ? `: ${sent.note}` : ''}`,
      {
        hint: isFull(sidecar)
          ? `${sidecar.unread} unread messages are before what comes now: mesh inbox`
          : `mesh trace ${sent.id}`,
      },
    )
  if (wait === 'reply') {
    const taken = await sidecar.courier.await({ kind: 'reply', id: sent.id }, signal).catch(async () => {
      throw await late()
    })
    const { messages, handover } = await handOver(sidecar, taken, call)
    return { ...sent, state: 'replied', reply: messages[0], handover }
  }
  if (sent.state === 'queued') {
    const position = await Promise.race([sidecar.sender.stored(sent.id), aborted(signal)])
    if (position === null) throw await late()
  }
  if (wait === 'stored') return { ...sent, state: 'stored' }
  const told = await sidecar.receipts.reached(sent.id, wait === 'surfaced' ? 'surfaced' : 'delivered', signal)
  if (!told) throw await late()
  return { ...sent, state: told.state }
}

/** No more is read from the stream until some of what is there is read by somebody. */
function isFull({ mailbox }: Sidecar): boolean {
  return !mailbox.hasRoomFor(limits.unreadAwaited)
}

/** How far it is known to be, and what shows it. */
async function stateNow({ link }: Sidecar, sent: Response<'send'>): Promise<string> {
  const receipts = link.up ? await link.store.receiptsOf(sent.id).catch(() => []) : []
  const last = receipts.at(-1)
  return last ? `${last.state} (${last.evidence})` : sent.state
}

function aborted(signal: AbortSignal): Promise<null> {
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(null), { once: true }))
}
