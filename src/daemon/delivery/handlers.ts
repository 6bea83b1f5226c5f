/** Handles the operations of a reader, which take messages or wait for them. */
import type { Response } from '../../api/ops.schema.ts'
import type { ShownEvent } from '../../api/run-ops.schema.ts'
import { batchOf } from '../../core/mail/batch.ts'
import type { Entry } from '../../core/mail/inbox.ts'
import type { Waiter } from '../../core/mail/waiters.ts'
import { MeshError } from '../../errors.ts'
import { limits } from '../../wire/limits.ts'
import { checkName } from '../../wire/names.ts'
import { checkKnown, fullId } from '../mail/lookup.ts'
import { waitForSessions } from '../names/wait.ts'
import type { RunsSession } from '../runs/runs.ts'
import { waitForChildren } from '../runs/wait.ts'
import { type Call, deadline, FOREVER_MS, type HandlersOf } from '../socket/call.ts'
import { caughtUp, handOver, type ReadingSession, readMessage, recall } from './read.ts'

export const readHandlers = {
  async inbox(session, { id, peek, follow, limit = limits.inboxBatch }, call) {
    await caughtUp(session)
    const { mailbox, courier } = session
    if (id !== undefined) return { messages: [await recall(session, await fullId(session, id))], more: 0 }
    if (peek) {
      const waiting = mailbox.inbox.unread().filter(({ held }) => !held || showsHeld(session))
      const messages = await Promise.all(batchOf(waiting, limit).map((entry) => readMessage(session, entry)))
      return { messages, more: waiting.length - messages.length }
    }
    const taken = await courier.take(limit, follow !== true && showsHeld(session))
    // Mail behind an unconfirmed hand-over of the same sender waits its turn, but it is there.
    const more = mailbox.inbox.deliverable().length
    if (!taken) return { messages: [], more: more + givenToOthers(session).length }
    return { ...(await handOver(session, taken, call)), more }
  },

  async wait(session, request, call) {
    const { targets = [], until = 'idle', all = false } = request
    const timeout = deadline(call.signal, request.timeoutMs ?? FOREVER_MS)
    if (targets.length === 0) return waitForMessage(session, { kind: 'any' }, timeout, call)
    const messageIds = targets.filter((target) => target.startsWith('m_'))
    if (messageIds.length > 0) {
      if (targets.length > 1) throw new MeshError('bad_request', 'wait for one message id at a time')
      const id = await fullId(session, messageIds[0]!)
      await checkKnown(session, id)
      return waitForMessage(session, { kind: 'reply', id }, timeout, call)
    }
    for (const target of targets) checkName(target)
    if (until === 'message') {
      if (targets.length > 1) throw new MeshError('bad_request', 'wait for messages of one session at a time')
      return waitForMessage(session, { kind: 'from', name: targets[0]! }, timeout, call)
    }
    const wait = { names: targets, until, all, signal: timeout }
    const events = await waitForChildren(session, wait, call)
    if (events) return { results: events.map(sessionEventOf), events }
    return { results: await waitForSessions(session, wait), events: [] }
  },

  async taken({ courier }, { handover, shownBy }) {
    const evidence = shownBy === 'tool' ? 'given to the client by an MCP tool' : 'printed by the mesh command'
    return { surfaced: courier.confirm(handover, evidence) }
  },
} satisfies HandlersOf<ReadingSession & RunsSession>

/** Callers of 0.1.0 read the results alone, and know only sessions. */
function sessionEventOf({ type, name, at, reason }: ShownEvent): Response<'wait'>['results'][number] {
  const why = reason === undefined ? {} : { reason }
  if (type === 'run_idle') return { type: 'session_idle', name, status: 'idle', at }
  return { type: 'session_ended', name, status: 'gone', at, ...why }
}

/** What `inbound: hold` keeps is for a person to let in, not for the model to fetch. */
function showsHeld({ inbound }: ReadingSession): boolean {
  return inbound.policy !== 'hold'
}

/** Returns the messages that another caller was given and has not confirmed: it may not have shown them. */
function givenToOthers({ mailbox: { inbox } }: ReadingSession): Entry[] {
  return inbox.calls().flatMap((handover) => inbox.inHandover(handover))
}

async function waitForMessage(
  session: ReadingSession,
  wants: Waiter['wants'],
  signal: AbortSignal,
  call: Call,
): Promise<Response<'wait'>> {
  const { messages, handover } = await handOver(session, await session.courier.await(wants, signal), call)
  return { results: messages, handover }
}
