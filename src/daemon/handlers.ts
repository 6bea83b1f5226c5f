/** One short function per operation of the local API. */
import type { Response } from '../api/ops.schema.ts'
import { isControlIntent } from '../core/mail/control.ts'
import { batchOf, startPosition, wasRead } from '../core/mail/inbox.ts'
import type { Waiter } from '../core/mail/waiters.ts'
import { MeshError } from '../errors.ts'
import { limits } from '../wire/limits.ts'
import { checkName, checkToken, parseRecipient, quote, type Recipient } from '../wire/names.ts'
import { sessionEnd } from '../wire/session-end.ts'
import { sendAndFollow } from './delivery/follow.ts'
import { handOver, readMessage, recall } from './delivery/read.ts'
import { createFileHandlers } from './files/handlers.ts'
import { clearName } from './mail/drain.ts'
import { checkId, checkKnown, findMessage, fullId, hopsAfter, traceOf } from './mail/lookup.ts'
import { pairsOf, resume } from './mail/loop-ops.ts'
import { ping } from './mail/ping.ts'
import { allMembers, membersOf } from './names/memberships.ts'
import { durableOf } from './names/registry.ts'
import { waitForSessions } from './names/wait.ts'
import { createRunHandlers } from './runs/handlers.ts'
import type { Sidecar } from './sidecar.ts'
import { deadline, FOREVER_MS } from './socket/deadline.ts'
import type { Call, Handlers } from './socket/server.ts'
import { keyOf } from './state/documents.ts'
import { createStateHandlers } from './state/handlers.ts'
import { watchCalls } from './state/watched-calls.ts'
import { createTaskHandlers } from './tasks/handlers.ts'

/** Calls that can be answered without the engine: what is sent then waits in the outbox. */
const ALWAYS = new Set<string>(['send', 'reply', 'taken', 'health', 'stop'])

export function createHandlers(session: Sidecar): Handlers {
  const handlers: Handlers = {
    ...createTaskHandlers(session),
    ...createFileHandlers(session),
    ...createRunHandlers(session),
    ...createStateHandlers(session),

    async whoami() {
      const { record, courier, link } = session
      const { project } = session.place
      return {
        name: record.name,
        project,
        sessionId: session.sessionId,
        host: record.process.host,
        pid: record.process.pid,
        harness: record.harness,
        member: record.member,
        epoch: record.epoch,
        status: courier.status,
        unread: session.unread,
        topics: record.topics.map(({ name }) => name),
        roles: record.roles,
        connected: link.up,
        version: session.version,
        ...(session.run ? { run: session.run.id, lineage: session.run.lineage } : {}),
      }
    },

    async ps() {
      const sessions = await session.sessions()
      return sessions.sort((a, b) => (a.name < b.name ? -1 : 1))
    },

    async alive({ name }) {
      checkName(name)
      const sessions = await session.sessions()
      const peer = sessions.find((one) => one.name === name)
      if (!peer) throw new MeshError('not_found', `there is no session ${quote(name)}`)
      return { ...peer, alive: !['unreachable', 'lost', 'gone'].includes(peer.status) }
    },

    async send(request, call) {
      const to = parseRecipient(request.to)
      checkId(request.id)
      const replyTo = request.replyTo === undefined ? undefined : await fullId(session, request.replyTo)
      const { id, text, thread, intent } = request
      if (isControlIntent(intent)) throw new MeshError('bad_request', `the intent ${intent} is mesh's own`)
      const hops = replyTo ? hopsAfter(session.mailbox.inbox.origin(replyTo)) : 0
      return sendAndFollow(session, { id, to, text, thread, replyTo, intent, hops }, request, call)
    },

    async reply(request, call) {
      checkId(request.id)
      const original = await findMessage(session, request.replyTo)
      const to: Recipient = { kind: 'session', name: original.from.name }
      const { id, text, intent } = request
      if (isControlIntent(intent)) throw new MeshError('bad_request', `the intent ${intent} is mesh's own`)
      const { thread } = original
      const hops = hopsAfter(original)
      const letter = { id, to, text, thread, replyTo: original.id, intent, hops, answers: original.from }
      return sendAndFollow(session, letter, request, call)
    },

    async inbox({ id, peek, follow, limit = limits.inboxBatch }, call) {
      const { mailbox, courier } = session
      if (id !== undefined) return { messages: [await recall(session, await fullId(session, id))], more: 0 }
      if (peek) {
        const waiting = mailbox.inbox.unread()
        const messages = await Promise.all(batchOf(waiting, limit).map((entry) => readMessage(session, entry)))
        return { messages, more: waiting.length - messages.length }
      }
      const taken = await courier.take(limit, follow !== true)
      // Mail behind an unconfirmed hand-over of the same sender waits its turn, but it is there.
      const more = mailbox.inbox.deliverable().length
      if (!taken) return { messages: [], more }
      return { ...(await handOver(session, taken, call)), more }
    },

    async wait(request, call) {
      const timeout = deadline(call.signal, request.timeoutMs ?? FOREVER_MS)
      if (request.targets.length === 0) return waitForMessage(session, { kind: 'any' }, timeout, call)
      const messageIds = request.targets.filter((target) => target.startsWith('m_'))
      if (messageIds.length > 0) {
        if (request.targets.length > 1) throw new MeshError('bad_request', 'wait for one message id at a time')
        const id = await fullId(session, messageIds[0]!)
        await checkKnown(session, id)
        return waitForMessage(session, { kind: 'reply', id }, timeout, call)
      }
      for (const target of request.targets) checkName(target)
      if (request.until === 'message') {
        if (request.targets.length > 1) throw new MeshError('bad_request', 'wait for messages of one session at a time')
        return waitForMessage(session, { kind: 'from', name: request.targets[0]! }, timeout, call)
      }
      const { targets: names, until = 'idle', all = false } = request
      return { results: await waitForSessions(session, { names, until, all, signal: timeout }) }
    },

    async taken({ handover, shownBy }) {
      const evidence = shownBy === 'tool' ? 'given to the client by an MCP tool' : 'printed by the mesh command'
      return { surfaced: session.courier.confirm(handover, evidence) }
    },

    async ping(request, call) {
      checkId(request.id)
      checkName(request.name)
      return ping(session, request, call)
    },

    async trace({ id }) {
      return traceOf(session, await fullId(session, id))
    },

    async budget() {
      return pairsOf(await session.sessions())
    },

    async budget_resume(request, call) {
      if (request.name !== undefined) checkName(request.name)
      return resume(session, request, call)
    },

    async topic_join({ topic }) {
      checkToken(topic, 'topic')
      await session.joinTopic(session.link.store, topic)
      return membersOf(session, 'topics', topic)
    },

    async topic_leave({ topic }) {
      checkToken(topic, 'topic')
      await session.changeMembership(session.link.store, (record) => {
        if (!record.topics.some(({ name }) => name === topic)) throw new MeshError('not_found', `not in topic ${topic}`)
        return { ...record, topics: record.topics.filter(({ name }) => name !== topic) }
      })
      return membersOf(session, 'topics', topic)
    },

    async topic_list() {
      return allMembers(session, 'topics')
    },

    async role_add({ role }) {
      checkToken(role, 'role')
      if (session.record.roles.length >= limits.memberships) throw new MeshError('too_large', 'too many roles')
      await session.addRole(session.link.store, role)
      return membersOf(session, 'roles', role)
    },

    async role_rm({ role }) {
      checkToken(role, 'role')
      await session.changeMembership(session.link.store, (record) => {
        if (!record.roles.includes(role)) throw new MeshError('not_found', `this session has no role ${role}`)
        return { ...record, roles: record.roles.filter((name) => name !== role) }
      })
      return membersOf(session, 'roles', role)
    },

    async role_list() {
      return allMembers(session, 'roles')
    },

    async rename({ name }, call) {
      checkName(name)
      // An operator's sidecar is found by its name: the next command starts one under the new name.
      if (session.harness.kind === 'shell') call.onAnswered((done) => done && void session.end(sessionEnd('renamed')))
      const previous = await session.rename(session.link.store, name)
      return { name, previous }
    },

    async forget({ name }) {
      checkName(name)
      const { store } = session.link
      const entry = await store.names.get(name)
      if (!entry) throw new MeshError('not_found', `there is no session ${quote(name)}`)
      if (entry.value.state === 'held')
        throw new MeshError('conflict', `${name} is not gone`, { hint: 'end that session first' })
      const surfaced = (await store.surfaced.get(name))?.value ?? null
      const positions = await store.mailFrom(name, startPosition(surfaced, entry.value.since))
      await clearName(session.home, store, name, session.log)
      // First of all: a session that claims the name meanwhile keeps it.
      if (!(await store.names.delete(name, entry.revision)))
        throw new MeshError('conflict', `${name} has just returned`)
      await store.purgeMail(name, durableOf(entry.value))
      await Promise.all([
        store.surfaced.delete(name),
        store.presence.delete(name),
        store.state.delete(keyOf({ own: name, epoch: 0 })),
      ])
      return { name, unread: positions.filter((seq) => !wasRead(surfaced, seq)).length }
    },

    async health() {
      const { link, courier, version } = session
      const engine = link.up ? await link.store.health().catch(() => null) : null
      const name = session.isNamed ? session.record.name : null
      const at = new Date().toISOString()
      return { name, version, connected: link.up, doors: courier.doors, at, engine }
    },

    async stop(_request, call) {
      call.onAnswered(() => void session.end(sessionEnd('stopped')))
      return { stopped: true }
    },
  }
  const gated = Object.entries(handlers).map(([op, handle]) => {
    const call = watchCalls(session, op, handle as never) as (...args: unknown[]) => Promise<unknown>
    const afterReady = (...args: unknown[]) => session.ready().then(() => call(...args))
    return [op, ALWAYS.has(op) ? call : afterReady]
  })
  return Object.fromEntries(gated) as Handlers
}

async function waitForMessage(
  session: Sidecar,
  wants: Waiter['wants'],
  signal: AbortSignal,
  call: Call,
): Promise<Response<'wait'>> {
  const { messages, handover } = await handOver(session, await session.courier.await(wants, signal), call)
  return { results: messages, handover }
}
