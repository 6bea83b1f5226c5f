/**
 * Hands off what a session coordinates to another one. The step is one compare-and-set on the giver's names record.
 * Before it nothing has changed, and after it all belongs to the receiver, even if either side dies. `handoff.<op>`
 * lists what has to be moved until the receiver has it, and both sides repeat their part until then.
 */
import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Parsed, Response } from '../../api/ops.schema.ts'
import { isAside } from '../../core/mail/addresses.ts'
import { type Entry, NOWHERE } from '../../core/mail/inbox.ts'
import { MeshError } from '../../errors.ts'
import { compareAndSet } from '../../link/until.ts'
import type { ProjectStore } from '../../nats/project-store.ts'
import type { NameRecord } from '../../wire/envelope.schema.ts'
import { limits } from '../../wire/limits.ts'
import { checkName, quote } from '../../wire/names.ts'
import type { StateDocument, StatePointer } from '../../wire/state.schema.ts'
import { claimsOf, passClaims } from '../files/claims.ts'
import { actorOf } from '../names/actor.ts'
import { durableOf, holderOf, type Registry } from '../names/registry.ts'
import type { TasksSession } from '../tasks/handlers.ts'
import { keyOf as documentKey, newestReadable, readDocument } from './documents.ts'
import type { Obligations } from './obligations.ts'
import type { OwnState } from './own-state.ts'

/** Limits the wait for the receiver's sidecar, which takes a hand-off within milliseconds if it is there. */
const TAKEN_MS = 5000
const LOOK_MS = 20
/** Age after which a hand-off that was prepared and never committed is removed. */
const ABANDONED_MS = 3_600_000
/** Intent of the message that makes the receiver's sidecar look for hand-offs. */
export const HANDOFF = 'handoff'

/** A session with everything that it coordinates. */
export interface StateSession extends TasksSession {
  readonly registry: Registry
  readonly state: OwnState
  readonly obligations: Obligations
  /** Takes back mail that lies in a door untaken. */
  recallOffer(): Promise<void>
}

type Handoff = StatePointer & { handoff: NonNullable<StatePointer['handoff']> }

/**
 * Hands off to another session. Throws `not_found`, `not_alive`, `bad_request`. After `timeout` and `mesh_down` it may
 * have been committed: the same operation again shows it.
 */
export async function handOff(
  session: StateSession,
  { op: asked, to }: Parsed<'handoff'>,
): Promise<Response<'handoff'>> {
  const op = asked.padEnd(32, '0').slice(0, 32)
  const { store } = session.link
  // The answer to an earlier try of the same operation may have been lost.
  const { handedOver = [] } = await session.registry.refresh(store)
  const isCommitted = handedOver.some((one) => one.op === op)
  const given = isCommitted ? await readHandoff(store, op) : await commit(session, op, await receiverOf(session, to))
  if (!given) return { to, state: 'taken', keys: 0, tasks: 0, claims: 0, messages: 0 }
  const claims = await claimsOf(store, session.record.name)
  const keys = (await documentOf(store, given)).entries.length
  const counts = { keys, tasks: given.handoff.tasks.length, claims: claims.length, messages: given.handoff.mail.length }
  const stays = await staying(session, given)
  await letGo(session, op, given)
  await notify(session, op, given.handoff.to, counts)
  const until = performance.now() + TAKEN_MS
  while (performance.now() < until && (await readHandoff(store, op))) await sleep(LOOK_MS)
  const state = (await readHandoff(store, op)) ? 'committed' : 'taken'
  return { to: given.handoff.to, state, ...counts, ...(stays > 0 ? { stays } : {}) }
}

/** Returns how much unread mail is not handed over: the stream keeps what does not fit in memory, as one step has a limit. */
async function staying({ link, record, mailbox }: StateSession, { handoff }: Handoff): Promise<number> {
  const given = new Set(handoff.mail)
  const kept = mailbox.inbox.unread().filter((entry) => isMovable(entry) && !given.has(entry.seq))
  return kept.length + (mailbox.hasRoom ? 0 : await link.store.waitingFor(durableOf(record)))
}

/** Returns the record of the receiver. Throws unless it is alive: a session that is gone would see to nothing. */
async function receiverOf(session: StateSession, to: string): Promise<NameRecord> {
  const { record, link } = session
  checkName(to)
  const receiver = await holderOf(link.store, to)
  if (receiver?.name === record.name) throw new MeshError('bad_request', 'what you coordinate is yours already')
  const peer = (await session.sessions()).find(({ name }) => name === receiver?.name)
  if (!receiver || !peer) throw new MeshError('not_found', `there is no session ${quote(to)}`)
  if (!['unreachable', 'lost', 'gone'].includes(peer.status)) return receiver
  const hint = 'who takes its name over has what is under it; mesh ps shows who is there'
  throw new MeshError('not_alive', `${receiver.name} is ${peer.status}: nothing was handed over`, { hint })
}

/** Writes what has to be moved, over what an earlier try wrote, and then takes the step. */
async function commit(session: StateSession, op: string, receiver: NameRecord): Promise<Handoff> {
  const { store } = session.link
  await session.board.open(store)
  // Mail that lies in a door and was not taken goes along; mail that the model may be reading now does not.
  await session.recallOffer()
  const given = await compareAndSet(store.state, keyOf(op), async () => {
    const now = await coordinated(session, receiver)
    return { write: now, result: now }
  })
  await session.registry.change(store, (now) => {
    const step = { op, to: receiver.name, at: new Date().toISOString() }
    const others = (now.handedOver ?? []).filter((one) => one.op !== op)
    return { ...now, handedOver: [...others, step].slice(-limits.handoffs) }
  })
  return given
}

/** Returns the session's state document, tasks and mail as they are now. */
async function coordinated(session: StateSession, receiver: NameRecord): Promise<Handoff> {
  const { board, mailbox, obligations, record } = session
  const { pointer } = await readDocument(session.link.store, { own: record.name, epoch: record.epoch })
  const unread = mailbox.inbox.unread().filter(isMovable)
  const owed = obligations.owed().map((id) => mailbox.inbox.origin(id)?.seq ?? NOWHERE)
  const mail = [...new Set([...unread.map(({ seq }) => seq), ...owed])].filter((seq) => seq !== NOWHERE)
  const tasks = board.claimedBy(record).map(({ id }) => id)
  const handoff = {
    from: actorOf(record),
    to: receiver.name,
    mail: mail.slice(0, limits.unread),
    tasks: tasks.slice(0, limits.unread),
  }
  return { ...pointer, handoff }
}

/**
 * True for mail that can move. A role's message belongs to its taker, and a sidecar's news for its own session is no
 * mail.
 */
function isMovable({ handover, envelope, seq }: Entry): boolean {
  return handover === null && seq !== NOWHERE && !isAside(envelope.to)
}

/** Does the giver's part after the step. */
async function letGo(session: StateSession, op: string, { rev, handoff }: Handoff): Promise<void> {
  const { store } = session.link
  const receiver = await holderOf(store, handoff.to)
  if (receiver) {
    await passTasks(session, op, handoff, receiver)
    await passClaims(store, session.record, actorOf(receiver))
  }
  const clear = { do: 'clear', ifDocumentRev: rev } as const
  if (rev > 0) await session.state.change(store, session.record, clear, derived(op, 'clear')).catch(ignoreConflict)
  giveMail(session, new Set(handoff.mail), handoff.to)
}

/** Passes on unread mail at these positions, and the answers owed for it. */
function giveMail(session: StateSession, positions: ReadonlySet<number>, to: string): void {
  const { mailbox, steps, obligations } = session
  const entries = mailbox.inbox.unread().filter(({ seq, handover }) => handover === null && positions.has(seq))
  mailbox.surface(
    entries.map(({ envelope }) => envelope.id),
    Date.now(),
  )
  steps.noteAll(entries, 'delivered', `handed over to ${to}`)
  obligations.settle(obligations.owed().filter((id) => positions.has(mailbox.inbox.origin(id)?.seq ?? 0)))
  session.poke()
  void session.save().catch(() => {})
}

async function passTasks(
  { board, link, obligations }: StateSession,
  op: string,
  { from, tasks }: Handoff['handoff'],
  to: NameRecord,
): Promise<void> {
  await board.open(link.store)
  for (const id of tasks) {
    // Finished or taken by another session meanwhile: the giver cannot pass it on.
    await board.pass(link.store, id, { from, to, op: derived(op, id) }).catch(ignoreConflict)
    obligations.touched(id)
  }
}

async function notify(session: StateSession, op: string, to: string, counts: Record<string, number>): Promise<void> {
  const what = Object.entries(counts).flatMap(([name, count]) =>
    count > 0 ? [`${count} ${count === 1 ? name.replace(/s$/, '') : name}`] : [],
  )
  const text = `${session.record.name} hands over to you what it coordinates (${what.join(', ') || 'nothing was open'}): mesh state show`
  const letter = { id: `m_${op}`, to: { kind: 'session', name: to }, text, intent: HANDOFF, hops: 0 } as const
  await (await session.send(letter)).stored
}

/** Does the receiver's part: takes everything that was handed off to it. Repeating it changes nothing. */
export async function takeHandoffs(session: StateSession): Promise<void> {
  const { store } = session.link
  const { name, formerly } = session.record
  for (const { key, value, revision, writtenAt } of await store.state.all(`${HANDOFF}.*`)) {
    const { handoff } = value
    const op = key.slice(HANDOFF.length + 1)
    if (!handoff || (handoff.to !== name && handoff.to !== formerly?.name)) continue
    const giver = await store.names.get(handoff.from.name)
    if (giver?.value.handedOver?.some((one) => one.op === op)) {
      await take(session, op, { ...value, handoff })
      await store.state.delete(key, revision)
    } else if (Date.now() - writtenAt > ABANDONED_MS) await store.state.delete(key, revision)
  }
}

async function take(session: StateSession, op: string, given: Handoff): Promise<void> {
  const { link, record, state, mailbox, log } = session
  const { handoff } = given
  const document = await documentOf(link.store, given)
  const change = { do: 'merge', from: handoff.from.name, given: document } as const
  if (given.rev > 0) await state.change(link.store, record, change, derived(op, 'merge'))
  await passTasks(session, op, handoff, record)
  for (const seq of handoff.mail) {
    const entry = await session.stored(seq)
    if (!entry || mailbox.inbox.knows(entry.envelope.id)) continue
    mailbox.arrive(entry, Date.now(), { aside: true })
  }
  log.info({ from: handoff.from.name, messages: handoff.mail.length }, 'took what was handed over')
  session.poke()
}

/** Finishes hand-offs that this session gave and, after a crash, has not completed. */
export async function finishHandoffs(session: StateSession): Promise<void> {
  for (const { op } of session.record.handedOver ?? []) {
    const given = await readHandoff(session.link.store, op)
    if (!given || given.handoff.from.name !== session.record.name) continue
    await letGo(session, op, given)
    await notify(session, op, given.handoff.to, {})
  }
}

async function readHandoff(store: ProjectStore, op: string): Promise<Handoff | null> {
  const given = (await store.state.get(keyOf(op)))?.value
  return given?.handoff ? { ...given, handoff: given.handoff } : null
}

/** Returns the giver's document as it was handed over. */
function documentOf(store: ProjectStore, given: Handoff): Promise<StateDocument> {
  return newestReadable(store, documentKey({ own: given.handoff.from.name, epoch: 0 }), given)
}

function keyOf(op: string): string {
  return `${HANDOFF}.${op}`
}

/** Derives an id for each step of an operation. */
function derived(op: string, step: string): string {
  return createHash('sha256').update(`${op} ${step}`).digest('hex').slice(0, 32)
}

function ignoreConflict(error: unknown): void {
  if (!['conflict', 'not_found'].includes(MeshError.from(error).code)) throw error
}
