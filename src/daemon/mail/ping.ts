/** Reaches a session: its sidecar, or with `wake` its model through one of its doors. */
import type { Parsed, Session as Peer, Response } from '../../api/ops.schema.ts'
import { MeshError } from '../../errors.ts'
import type { Receipt } from '../../wire/envelope.schema.ts'
import { quote } from '../../wire/names.ts'
import { holderOf } from '../names/registry.ts'
import type { Call } from '../socket/call.ts'
import { deadline } from '../socket/call.ts'
import { post } from './send.ts'
import type { MailSession } from './session.ts'

const ANSWER_MS = 5000
const READ_MS = 30_000

type Pinged = Response<'ping'>

/** Pings a session. Throws `not_found`; any other obstacle is the answer's `problem`. */
export async function ping(session: MailSession, request: Parsed<'ping'>, call: Call): Promise<Pinged> {
  const { id, wake = false, timeoutMs = wake ? READ_MS : ANSWER_MS } = request
  const peer = await find(session, request.name)
  const { name } = peer
  const obstacle = obstacleOf(peer, wake)
  if (obstacle) return unsent(peer, obstacle)
  const startedAt = performance.now()
  const signal = deadline(call.signal, timeoutMs)
  const own = session.record.name
  const author = name === own ? {} : ({ author: 'mesh' } as const)
  const letter = { id, to: { kind: 'session', name } as const, ...author, hops: 0 }
  const whose = name === own ? 'mesh doctor tests this door' : `mesh ping from ${own}`
  const { state } = wake
    ? await post(session, { ...letter, text: `${whose}, no answer needed` })
    : await post(session, { ...letter, text: '', intent: 'ping' })
  const goals = wake ? ['surfaced', 'held', 'replied'] : ['delivered']
  const receipt = await session.receipts.first(id, (one) => goals.includes(one), signal)
  const ms = Math.round((performance.now() - startedAt) * 10) / 10
  const { status } = await find(session, name).catch(() => peer)
  if (!receipt) return late(session, { name, status, door: null, state, ms, evidence: '' }, request, timeoutMs)
  const pinged = { name, status, door: receipt.door ?? null, state: receipt.state, ms, evidence: receipt.evidence }
  return receipt.state === 'held' ? { ...pinged, problem: screenedProblem(name, id, receipt) } : pinged
}

async function find(session: MailSession, name: string): Promise<Peer> {
  const holder = await holderOf(session.link.store, name)
  const peer = (await session.sessions()).find((one) => one.name === holder?.name)
  if (!peer) throw new MeshError('not_found', `there is no session ${quote(name)}`)
  return peer
}

/** Returns the reason why a message would be pointless. A session that is only silent may answer. */
function obstacleOf({ name, status, reason, doors, wake }: Peer, wakes: boolean): MeshError | null {
  if (status === 'gone' || (wakes && status === 'lost')) {
    return new MeshError('not_alive', `${name} is ${status}${reason ? ` (${reason})` : ''}`, {
      hint: `mail waits for its return: mesh send ${name} -- TEXT`,
    })
  }
  if (!wakes || wake.length > 0) return null
  const shut = doors.length > 0 ? `: ${doors.map((door) => door.name).join(', ')} shut` : ''
  return new MeshError('conflict', `${name} is ${status} and has no door now${shut}`, {
    hint: 'it reads its mail with: mesh inbox',
  })
}

function unsent({ name, status }: Peer, problem: MeshError): Pinged {
  return { name, status, door: null, state: null, ms: 0, evidence: problem.message, problem: problem.toBody() }
}

function screenedProblem(name: string, id: string, { evidence }: Receipt) {
  return new MeshError('conflict', `${name} has it, held: ${evidence}`, { hint: `see: mesh trace ${id}` }).toBody()
}

async function late(
  { link }: MailSession,
  pinged: Pinged,
  { id, wake }: Parsed<'ping'>,
  timeoutMs: number,
): Promise<Pinged> {
  const last = link.up ? (await link.store.receiptsOf(id).catch(() => [])).at(-1) : undefined
  const { state = pinged.state, evidence = 'no sign of its sidecar' } = last ?? {}
  const what = wake ? 'did not read it' : 'did not answer'
  const message = `${pinged.name} (${pinged.status}) ${what} within ${timeoutMs} ms: ${state}, ${evidence}`
  const hint = wake ? `it is kept and may be read later: mesh trace ${id}` : 'mesh ps shows its state'
  return { ...pinged, state, evidence, problem: new MeshError('timeout', message, { hint }).toBody() }
}
