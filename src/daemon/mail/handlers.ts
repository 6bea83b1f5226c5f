/** Handles the operations that look at mail or act on it from outside. Those that read it are in `delivery`. */
import type { Parsed, Session as Peer, Response } from '../../api/ops.schema.ts'
import { isRefusal } from '../../core/mail/control.ts'
import { isShell } from '../../core/names/kinds.ts'
import { MeshError } from '../../errors.ts'
import type { Receipt } from '../../wire/envelope.schema.ts'
import { checkName, newId, quote } from '../../wire/names.ts'
import { type Call, deadline, type HandlersOf } from '../socket/call.ts'
import { checkId, fullId, traceOf } from './lookup.ts'
import { ping } from './ping.ts'
import { post } from './send.ts'
import type { MailSession } from './session.ts'

/** Limits the wait for sidecars that were asked to count anew. */
const ANSWER_MS = 5000

export const mailHandlers = {
  async ping(session, request, call) {
    checkId(request.id)
    checkName(request.name)
    return ping(session, request, call)
  },

  async trace(session, { id }) {
    return traceOf(session, await fullId(session, id))
  },

  async budget(session) {
    return pairsOf(await session.sessions())
  },

  async budget_resume(session, request, call) {
    if (request.name !== undefined) checkName(request.name)
    return resume(session, request, call)
  },
} satisfies HandlersOf<MailSession>

/** A session that is asked to count anew, with one peer or with all (null). */
interface Target {
  name: string
  with: string | null
}

/** Returns every pair of the project, held ones first. */
function pairsOf(sessions: readonly Peer[]): Response<'budget'> {
  const pairs = sessions.flatMap(({ name, budget = [] }) => budget.map((pair) => ({ name, ...pair })))
  return pairs.sort((a, b) => b.held - a.held || b.rounds - a.rounds)
}

/**
 * Asks the sidecars of a session and of its peers (of every session in a loop, without a name) to count anew. Throws
 * `denied` in an agent's session, `not_found`, `timeout` when none of them answered.
 */
async function resume(
  session: MailSession,
  { name, timeoutMs = ANSWER_MS }: Parsed<'budget_resume'>,
  call: Call,
): Promise<Response<'budget_resume'>> {
  const own = session.record.name
  if (!isShell(session.harness.kind))
    throw new MeshError('denied', `${own} may not let its own exchanges go on`, { hint: hintFor(name ?? own) })
  const sessions = await session.sessions()
  if (name !== undefined && !sessions.some((session) => session.name === name))
    throw new MeshError('not_found', `there is no session ${quote(name)}`)
  const signal = deadline(call.signal, timeoutMs)
  const answers = await Promise.all(targetsOf(sessions, name).map((target) => ask(session, target, signal)))
  const refused = answers.find(isRefusal)
  if (refused) throw new MeshError('denied', `${refused.name} ${refused.evidence}`)
  return answers.map(({ refused: _, ...answer }) => answer)
}

/** Returns the hint with the command that a person types in a shell. */
function hintFor(name: string): string {
  return `ask the person to run, in a plain shell: mesh budget resume ${name}`
}

/**
 * Returns the named session with all its peers, and each peer with that session: a message released by one side would
 * be held by the other.
 */
function targetsOf(sessions: readonly Peer[], name: string | undefined): Target[] {
  const there = sessions.filter(({ status }) => status !== 'gone')
  if (name === undefined) return there.filter(({ budget }) => budget).map((one) => ({ name: one.name, with: null }))
  const peers = there.filter((one) => one.name !== name && one.budget?.some((pair) => pair.with === name))
  return [{ name, with: null }, ...peers.map((peer) => ({ name: peer.name, with: name }))]
}

type Resumed = Response<'budget_resume'>[number] & Pick<Receipt, 'refused'>

async function ask(session: MailSession, target: Target, signal: AbortSignal): Promise<Resumed> {
  const id = newId('m')
  const letter = { id, to: { kind: 'session', name: target.name } as const, intent: 'budget_resume', hops: 0 }
  const { state } = await post(session, { ...letter, text: target.with ?? '' })
  const receipt = await session.receipts.first(id, (one) => one === 'delivered', signal)
  return {
    ...target,
    state: receipt?.state ?? state,
    evidence: receipt?.evidence ?? 'no answer yet; it will do so when it can',
    ...(receipt?.refused ? { refused: true } : {}),
  }
}
