/** Collects the handlers of every operation of the local API, those of the rooms and those of the sidecar itself. */

import type { Marks } from '../api/op.ts'
import { type Op, ops, type Parsed, type Response } from '../api/ops.schema.ts'
import { sessionEnd } from '../wire/session-end.ts'
import { readHandlers } from './delivery/handlers.ts'
import { sendHandlers } from './delivery/send.ts'
import { fileHandlers } from './files/handlers.ts'
import { mailHandlers } from './mail/handlers.ts'
import { membershipHandlers } from './mail/memberships.ts'
import { nameHandlers } from './names/handlers.ts'
import { runHandlers } from './runs/handlers.ts'
import type { Sidecar } from './sidecar.ts'
import type { Answer, Call, Handler, HandlersOf } from './socket/call.ts'
import { stateHandlers } from './state/handlers.ts'
import { taskHandlers } from './tasks/handlers.ts'

const sidecarHandlers = {
  async whoami({ record, courier, doing, link, place, run, sessionId, unread, version }) {
    return {
      name: record.name,
      project: place.project,
      sessionId,
      host: record.process.host,
      pid: record.process.pid,
      harness: record.harness,
      member: record.member,
      epoch: record.epoch,
      status: courier.status,
      cause: doing.cause,
      unread,
      topics: record.topics.map(({ name }) => name),
      roles: record.roles,
      connected: link.up,
      version,
      ...(run ? { run: run.id, lineage: run.lineage } : {}),
    }
  },

  async health(session) {
    const { link, courier, version, isNamed } = session
    const engine = link.up ? await link.store.health().catch(() => null) : null
    const name = isNamed ? session.record.name : null
    const { unknownWords = [] } = session.harness
    const at = new Date().toISOString()
    return { name, version, connected: link.up, doors: courier.doors, unknownWords: [...unknownWords], at, engine }
  },

  async stop(session, _request, call) {
    call.onAnswered(() => void session.end(sessionEnd('stopped')))
    return { stopped: true }
  },
} satisfies HandlersOf<Sidecar>

const handlers: { [O in Op]: Handler<Sidecar, O> } = {
  ...sidecarHandlers,
  ...nameHandlers,
  ...mailHandlers,
  ...membershipHandlers,
  ...runHandlers,
  ...taskHandlers,
  ...fileHandlers,
  ...stateHandlers,
  ...sendHandlers,
  ...readHandlers,
}

/** Returns the function that answers a session's calls, guided by the marks in the operations table. */
export function answersOf(session: Sidecar): Answer {
  return async (op, request, call) => {
    if (!marksOf(op).isLocal) await session.ready()
    return answer(session, op, request, call)
  }
}

async function answer<O extends Op>(session: Sidecar, op: O, request: Parsed<O>, call: Call): Promise<Response<O>> {
  const { awaits, blocks, opens } = marksOf(op)
  const { obligations } = session
  const over = session.doing.wait(blocks?.(request) ?? null)
  const work = () => handlers[op](session, request, call).finally(over)
  const awaited = awaits?.(request) ?? null
  const result = await (awaited === null ? work() : obligations.during(awaited, call, work))
  if (opens === 'task' && 'id' in result) obligations.touched(String(result.id))
  if (opens === 'files') obligations.changed()
  return result
}

function marksOf(op: Op): Marks {
  return ops[op]
}
