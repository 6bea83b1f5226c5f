/** One short function per operation of the local API. */
import type { Message, Response, SendState } from '../api/ops.schema.ts'
import type { Entry } from '../core/inbox.ts'
import { MeshError } from '../errors.ts'
import { checkText, encodeEnvelope } from '../wire/codec.ts'
import type { Envelope, NameRecord } from '../wire/envelope.schema.ts'
import { limits } from '../wire/limits.ts'
import {
  checkName,
  checkToken,
  formatRecipient,
  isMessageId,
  parseRecipient,
  quote,
  type Recipient,
} from '../wire/names.ts'
import { messageSubject } from '../wire/subjects.ts'
import type { Handover } from './courier.ts'
import { durableOf } from './registry.ts'
import type { Call, Handlers } from './server.ts'
import { waitForSessions } from './session-waits.ts'
import { messageOf } from './shown.ts'
import { LOCAL_MEMBER, type Sidecar } from './sidecar.ts'

const FOREVER_MS = 2_147_483_647
const ID_PREFIX = /^m_[0-9a-f]{8,32}$/

/** What is sent, once recipient and origin are known. */
interface Letter {
  id: string
  to: Recipient
  text: string
  thread?: string
  replyTo?: string
  intent?: string
  hops: number
}

type SendOptions = { wait?: 'stored' | 'delivered' | 'surfaced' | 'reply'; timeoutMs?: number }

/** Calls that can be answered without the engine: what is sent then waits in the outbox. */
const ALWAYS = new Set<string>(['send', 'reply', 'taken', 'stop'])

export function createHandlers(sidecar: Sidecar): Handlers {
  const handlers: Handlers = {
    async whoami() {
      const { record, courier, link } = sidecar
      const { project } = sidecar.options.place
      return {
        name: record.name,
        project,
        sessionId: sidecar.sessionId,
        host: record.process.host,
        pid: record.process.pid,
        harness: record.harness,
        member: record.member,
        epoch: record.epoch,
        status: courier.status,
        unread: sidecar.unread,
        topics: record.topics.map(({ name }) => name),
        roles: record.roles,
        connected: link.up,
        version: sidecar.options.version,
      }
    },

    async ps() {
      const sessions = await sidecar.presence.sessions(sidecar.link.store)
      return sessions.sort((a, b) => (a.name < b.name ? -1 : 1))
    },

    async alive({ name }) {
      checkName(name)
      const sessions = await sidecar.presence.sessions(sidecar.link.store)
      const session = sessions.find((one) => one.name === name)
      if (!session) throw new MeshError('not_found', `there is no session ${quote(name)}`)
      return { ...session, alive: !['unreachable', 'lost', 'gone'].includes(session.status) }
    },

    async send(request, call) {
      const to = parseRecipient(request.to)
      checkId(request.id)
      const replyTo = request.replyTo === undefined ? undefined : await fullId(sidecar, request.replyTo)
      const { id, text, thread, intent } = request
      const hops = replyTo ? hopsAfter(sidecar, replyTo) : 0
      return post(sidecar, { id, to, text, thread, replyTo, intent, hops }, request, call)
    },

    async reply(request, call) {
      checkId(request.id)
      const original = await findMessage(sidecar, request.replyTo)
      const to: Recipient = { kind: 'session', name: original.from.name }
      const { id, text, intent } = request
      const letter = { id, to, text, thread: original.thread, replyTo: original.id, intent, hops: original.hops + 1 }
      if (letter.hops > limits.hops) throw new MeshError('conflict', `this exchange is ${limits.hops} answers long`)
      const sent = await post(sidecar, letter, request, call)
      const { name, epoch } = sidecar.record
      const told = { id: original.id, state: 'replied', evidence: 'answered', reply: id } as const
      sidecar.receipts.tell(original.from, { member: LOCAL_MEMBER, name, epoch }, told)
      return sent
    },

    async inbox({ id, peek, limit = limits.inboxBatch }, call) {
      const { mailbox, courier } = sidecar
      if (id !== undefined) return { messages: [await recall(sidecar, await fullId(sidecar, id))], more: 0 }
      if (peek) {
        const waiting = mailbox.inbox.unread()
        const messages = await Promise.all(waiting.slice(0, limit).map((entry) => readMessage(sidecar, entry)))
        return { messages, more: Math.max(0, waiting.length - limit) }
      }
      const taken = courier.take(limit)
      const more = mailbox.inbox.deliverable().length
      if (!taken) return { messages: [], more }
      return { ...(await handOver(sidecar, taken, call)), more }
    },

    async wait(request, call) {
      const timeout = AbortSignal.any([call.signal, AbortSignal.timeout(request.timeoutMs ?? FOREVER_MS)])
      if (request.targets.length === 0) return waitForMessage(sidecar, { kind: 'any' }, timeout, call)
      const messageIds = request.targets.filter((target) => target.startsWith('m_'))
      if (messageIds.length > 0) {
        if (request.targets.length > 1) throw new MeshError('bad_request', 'wait for one message id at a time')
        const id = await fullId(sidecar, messageIds[0]!)
        return waitForMessage(sidecar, { kind: 'reply', id }, timeout, call)
      }
      for (const target of request.targets) checkName(target)
      if (request.until === 'message') {
        if (request.targets.length > 1) throw new MeshError('bad_request', 'wait for messages of one session at a time')
        return waitForMessage(sidecar, { kind: 'from', name: request.targets[0]! }, timeout, call)
      }
      const results = await waitForSessions(
        sidecar,
        request.targets,
        request.until ?? 'idle',
        request.all ?? false,
        timeout,
      )
      return { results }
    },

    async taken({ handover }) {
      return { surfaced: sidecar.courier.confirm(handover) }
    },

    async trace({ id }) {
      return traceOf(sidecar, await fullId(sidecar, id))
    },

    async topic_join({ topic }) {
      checkToken(topic, 'topic')
      const { store } = sidecar.link
      const { lastSeq } = await store.messagesState()
      await sidecar.changeMembership(store, (record) => joined(record, topic, lastSeq))
      return membersOf(sidecar, 'topics', topic)
    },

    async topic_leave({ topic }) {
      checkToken(topic, 'topic')
      await sidecar.changeMembership(sidecar.link.store, (record) => {
        if (!record.topics.some(({ name }) => name === topic)) throw new MeshError('not_found', `not in topic ${topic}`)
        return { ...record, topics: record.topics.filter(({ name }) => name !== topic) }
      })
      return membersOf(sidecar, 'topics', topic)
    },

    async topic_list() {
      return allMembers(sidecar, 'topics')
    },

    async role_add({ role }) {
      checkToken(role, 'role')
      if (sidecar.record.roles.length >= limits.memberships) throw new MeshError('too_large', 'too many roles')
      await sidecar.addRole(sidecar.link.store, role)
      return membersOf(sidecar, 'roles', role)
    },

    async role_rm({ role }) {
      checkToken(role, 'role')
      await sidecar.changeMembership(sidecar.link.store, (record) => {
        if (!record.roles.includes(role)) throw new MeshError('not_found', `this session has no role ${role}`)
        return { ...record, roles: record.roles.filter((name) => name !== role) }
      })
      return membersOf(sidecar, 'roles', role)
    },

    async role_list() {
      return allMembers(sidecar, 'roles')
    },

    async rename({ name }) {
      checkName(name)
      const previous = await sidecar.rename(sidecar.link.store, name)
      return { name, previous }
    },

    async forget({ name }) {
      checkName(name)
      const { store } = sidecar.link
      const entry = await store.names.get(name)
      if (!entry) throw new MeshError('not_found', `there is no session ${quote(name)}`)
      if (entry.value.state === 'held')
        throw new MeshError('conflict', `${name} is not gone`, { hint: 'end that session first' })
      const unread = await store.purgeMail(name, durableOf(entry.value))
      await Promise.all([store.surfaced.delete(name), store.presence.delete(name), store.names.delete(name)])
      return { name, unread }
    },

    async stop(_request, call) {
      call.onAnswered(() => void sidecar.end('stopped'))
      return { stopped: true }
    },
  }
  const gated = Object.entries(handlers).map(([op, handle]) => {
    const call = handle as (...args: unknown[]) => Promise<unknown>
    const afterReady = (...args: unknown[]) => sidecar.ready().then(() => call(...args))
    return [op, ALWAYS.has(op) ? call : afterReady]
  })
  return Object.fromEntries(gated) as Handlers
}

// --- sending

async function post(sidecar: Sidecar, letter: Letter, options: SendOptions, call: Call): Promise<Response<'send'>> {
  if (!sidecar.registry.claimed) await sidecar.ready()
  const bytes = checkText(letter.text)
  const { to, note } = await resolveRecipient(sidecar, letter.to)
  const earlier = sidecar.sender.get(letter.id)
  if (!earlier) {
    const reply = options.wait === 'reply' ? { intent: 'request' } : {}
    const outgoing = await seal(sidecar, { ...reply, ...letter, to }, bytes)
    await sidecar.sender.send(outgoing)
  }
  const position = sidecar.sender.get(letter.id)?.position ?? null
  const sent = {
    id: letter.id,
    state: position === null ? 'queued' : 'stored',
    to: formatRecipient(to),
    ...note,
  } as const
  return options.wait ? followUp(sidecar, sent, options, call) : sent
}

/** Checks that somebody is there to read it, and says so when it may take a while. */
async function resolveRecipient(sidecar: Sidecar, to: Recipient): Promise<{ to: Recipient; note: { note?: string } }> {
  if (to.kind !== 'session' || !sidecar.link.up) return { to, note: {} }
  const found = await sidecar.link.store.names.get(to.name)
  if (!found) throw new MeshError('not_found', `there is no session ${quote(to.name)}`)
  const { renamedTo, state, reason } = found.value
  if (state === 'gone' && renamedTo) {
    return { to: { kind: 'session', name: renamedTo }, note: { note: `${to.name} is ${renamedTo} now` } }
  }
  if (state === 'held') return { to, note: {} }
  return {
    to,
    note: { note: `${to.name} is ${state} (${reason ?? 'no reason known'}); the message waits for its return` },
  }
}

/** The signed envelope; a large body goes to the object store first. */
async function seal(sidecar: Sidecar, letter: Letter, bytes: Buffer) {
  const { record, key, sender } = sidecar
  const { project } = sidecar.options.place
  const to = formatRecipient(letter.to)
  const body = await bodyOf(sidecar, letter.text, bytes)
  const seq = sender.nextSeq(record.epoch, to)
  const now = Date.now()
  const { id, thread, replyTo, intent, hops } = letter
  const envelope: Omit<Envelope, 'sig'> = {
    v: 1,
    kind: 'message',
    id,
    project,
    from: { member: LOCAL_MEMBER, name: record.name, epoch: record.epoch },
    to,
    seq,
    sentAt: new Date(now).toISOString(),
    hops,
    body,
    ...(thread === undefined ? {} : { thread }),
    ...(replyTo === undefined ? {} : { replyTo }),
    ...(intent === undefined ? {} : { intent }),
  }
  const subject = messageSubject(project, letter.to, { member: LOCAL_MEMBER, name: record.name })
  return { id, subject, to, seq, epoch: record.epoch, at: now, bytes: encodeEnvelope(envelope, key) }
}

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
  const signal = AbortSignal.any([call.signal, AbortSignal.timeout(timeoutMs)])
  const late = () =>
    new MeshError('timeout', `${sent.id} is ${sent.state} but not ${wait} yet`, { hint: `mesh trace ${sent.id}` })
  if (wait === 'reply') {
    const taken = await sidecar.courier.await({ kind: 'reply', id: sent.id }, signal).catch(() => {
      throw late()
    })
    const { messages, handover } = await handOver(sidecar, taken, call)
    return { ...sent, state: 'replied', reply: messages[0], handover }
  }
  if (sent.state === 'queued') {
    const position = await Promise.race([sidecar.sender.stored(sent.id), aborted(signal)])
    if (position === null) throw late()
  }
  if (wait === 'stored') return { ...sent, state: 'stored' }
  const told = await sidecar.receipts.reached(sent.id, wait === 'surfaced' ? 'surfaced' : 'delivered', signal)
  if (!told) throw late()
  return { ...sent, state: told.state }
}

function aborted(signal: AbortSignal): Promise<null> {
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(null), { once: true }))
}

// --- reading

async function waitForMessage(
  sidecar: Sidecar,
  wants: Parameters<Sidecar['courier']['await']>[0],
  signal: AbortSignal,
  call: Call,
): Promise<Response<'wait'>> {
  const { messages, handover } = await handOver(sidecar, await sidecar.courier.await(wants, signal), call)
  return { results: messages, handover }
}

/** Reads the bodies of a hand-over. A caller that went away has certainly not shown it. */
async function handOver(
  sidecar: Sidecar,
  taken: Handover,
  call: Call,
): Promise<{ messages: Message[]; handover: string }> {
  const { courier } = sidecar
  call.onAnswered((delivered) => {
    if (!delivered) courier.giveBack(taken.handover)
  })
  try {
    const messages = await Promise.all(taken.entries.map((entry) => readMessage(sidecar, entry)))
    return { messages, handover: taken.handover }
  } catch (error) {
    courier.giveBack(taken.handover, true)
    throw error
  }
}

async function readMessage(sidecar: Sidecar, entry: Entry): Promise<Message> {
  const { body } = entry.envelope
  if ('text' in body) return messageOf(entry, body.text)
  const bytes = await sidecar.link.store.objects.get(body.object)
  return messageOf(entry, Buffer.from(bytes).toString())
}

/** A message that was received here, read or not; it stays as it is. */
async function recall(sidecar: Sidecar, id: string): Promise<Message> {
  const { inbox } = sidecar.mailbox
  const unread = inbox.get(id)
  const origin = inbox.origin(id)
  const entry = unread ?? (origin && (await sidecar.stored(origin.seq)))
  if (entry?.envelope.id === id) return readMessage(sidecar, entry)
  throw new MeshError('not_found', `message ${id} is no longer stored here`)
}

function checkId(id: string): void {
  if (!isMessageId(id)) throw new MeshError('bad_request', `${quote(id)} is not a message id`)
}

/** A whole id from a whole one or from an unambiguous beginning of at least eight digits, as models are shown. */
async function fullId(sidecar: Sidecar, prefix: string): Promise<string> {
  if (isMessageId(prefix)) return prefix
  if (!ID_PREFIX.test(prefix)) throw new MeshError('bad_request', `${quote(prefix)} is not a message id`)
  const found = [...new Set([...sidecar.mailbox.inbox.idsFrom(prefix), ...sidecar.sender.idsFrom(prefix)])]
  if (found.length === 1) return found[0]!
  if (found.length > 1)
    throw new MeshError('bad_request', `${prefix} fits ${found.length} messages`, { hint: 'give more of the id' })
  throw new MeshError('not_found', `no message ${prefix} is known here`)
}

async function findMessage(sidecar: Sidecar, idOrPrefix: string) {
  const id = await fullId(sidecar, idOrPrefix)
  const entry = sidecar.mailbox.inbox.origin(id)
  if (entry) return entry
  throw new MeshError('not_found', `no message ${id} was received here`, {
    hint: 'mesh inbox --peek lists unread messages',
  })
}

function hopsAfter(sidecar: Sidecar, replyTo: string): number {
  return Math.min(limits.hops, (sidecar.mailbox.inbox.origin(replyTo)?.hops ?? 0) + 1)
}

async function traceOf(sidecar: Sidecar, id: string): Promise<Response<'trace'>> {
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

// --- topics and roles

function joined(record: NameRecord, topic: string, since: number): NameRecord {
  if (record.topics.some(({ name }) => name === topic)) return record
  if (record.topics.length >= limits.memberships) throw new MeshError('too_large', 'too many topics')
  return { ...record, topics: [...record.topics, { name: topic, since }] }
}

async function allMembers(sidecar: Sidecar, kind: 'topics' | 'roles'): Promise<Response<'topic_list'>> {
  const members = new Map<string, string[]>()
  for (const { value } of await sidecar.link.store.names.all()) {
    const names = kind === 'roles' ? value.roles : value.topics.map(({ name }) => name)
    for (const name of names) members.set(name, [...(members.get(name) ?? []), value.name])
  }
  return [...members].sort().map(([name, holders]) => ({ name, members: holders.sort() }))
}

async function membersOf(sidecar: Sidecar, kind: 'topics' | 'roles', name: string): Promise<Response<'topic_join'>> {
  const all = await allMembers(sidecar, kind)
  return all.find((one) => one.name === name) ?? { name, members: [] }
}
