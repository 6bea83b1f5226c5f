/** Sends one message and shows its outcome, for `send`, `ask` and `reply`. */
import type { Message, Request, Response, SendState } from '../../../api/ops.schema.ts'
import { Unreachable } from '../../../client/client.ts'
import type { Sidecar } from '../../../client/sidecar.ts'
import { MeshError } from '../../../errors.ts'
import { newId } from '../../../wire/names.ts'
import type { Values } from '../../command.ts'
import { parseChoice, parseDuration } from '../../input/units.ts'
import { oneLine } from '../../show/columns.ts'

/** The sidecar keeps the time of a wait; this much later it is taken for stuck. */
const GRACE_MS = 10_000

const waitStates = ['stored', 'delivered', 'surfaced', 'reply'] as const
export type WaitState = (typeof waitStates)[number]
type Sent = Response<'send'>

/** States in their order; any other state is an end that nothing follows. */
const progress: readonly SendState[] = ['queued', 'stored', 'delivered', 'handed', 'held', 'surfaced', 'replied']

export interface Content {
  /** Set when the id must be known before the message is sent. */
  id?: string
  text: string
  intent?: string
  wait?: WaitState
  timeoutMs?: number
}

/** Reads `--wait`, `--timeout` and `--intent`. */
export function readContent(flags: Values<'intent' | 'timeout'> & Partial<Values<'wait'>>, text: string): Content {
  return {
    text,
    ...(flags.intent !== undefined && { intent: checkIntent(flags.intent) }),
    ...(flags.wait !== undefined && { wait: parseChoice(flags.wait, '--wait', waitStates) }),
    ...(flags.timeout !== undefined && { timeoutMs: parseDuration(flags.timeout, '--timeout') }),
  }
}

function checkIntent(intent: string): string {
  if (/^[a-z][a-z_-]{0,31}$/.test(intent)) return intent
  throw new MeshError('bad_request', '--intent is one word of a-z, _ and -, at most 32 characters', {
    hint: 'for example --intent request, --intent info',
  })
}

/** Sends one message and returns what became of it. Throws `timeout` when what was waited for did not happen. */
export async function transmit<O extends 'send' | 'reply'>(
  sidecar: Sidecar,
  op: O,
  fields: Omit<Request<O>, 'id'> & Content,
): Promise<Sent> {
  // Made here, so that a retry is the same message.
  const { id = newId('m') } = fields
  const waits = fields.wait !== undefined && fields.wait !== 'stored'
  const timeoutMs = fields.timeoutMs !== undefined ? fields.timeoutMs + GRACE_MS : waits ? 0 : undefined
  let sent: Sent
  try {
    sent = await sidecar.call(op, { ...fields, id } as Request<O>, { timeoutMs })
  } catch (error) {
    throw explain(error, id, fields)
  }
  checkReached(sent, fields)
  return sent
}

function checkReached(sent: Sent, fields: Content): void {
  const { wait, timeoutMs = 0 } = fields
  if (wait === undefined) return
  const wanted = progress.indexOf(wait === 'reply' ? 'replied' : wait)
  const reached = progress.indexOf(sent.state)
  if (reached < 0)
    throw new MeshError('not_alive', `${sent.id} is ${sent.state}`, { hint: `see: mesh trace ${sent.id}` })
  if (wait === 'reply' ? sent.reply : reached >= wanted) return
  throw notReached(sent.id, fields, { soFar: `: it is ${sent.state} after ${timeoutMs} ms` })
}

/** Adds to an unknown outcome the ID with which to find it out. */
function explain(error: unknown, id: string, fields: Content): unknown {
  if (error instanceof Unreachable && error.sent) {
    return new MeshError('timeout', `${id}: ${error.message}`, { cause: error, hint: unknownHint(id) })
  }
  if (!(error instanceof MeshError) || error.code !== 'timeout') return error
  // The message begins with the id, and goes on with how far it got.
  const soFar = error.detail === 'not_reached' ? `: it${oneLine(error.message.slice(id.length))}` : ''
  return notReached(id, fields, { soFar, cause: error })
}

function notReached(id: string, { wait, timeoutMs }: Content, seen: { soFar?: string; cause?: unknown }): MeshError {
  const { soFar = '', cause } = seen
  const awaited = wait ? `was not seen to be ${wait === 'reply' ? 'answered' : wait}` : 'got no answer'
  const within = timeoutMs === undefined ? '' : ` within ${timeoutMs} ms`
  return new MeshError('timeout', `${id} ${awaited}${within}${soFar}`, { cause, hint: unknownHint(id) })
}

function unknownHint(id: string): string {
  return `the outcome is unknown; see: mesh trace ${id}`
}

/** Returns one line on what became of a message. */
export function sentLine(sent: Sent, several: boolean): string {
  const to = several ? ` ${oneLine(sent.to)}` : ''
  return `${sent.id} ${sent.state}${to}${sent.note ? ` (${oneLine(sent.note)})` : ''}`
}

/** A reply's fields for `--json`. */
export function withoutHandover(sent: Sent): Omit<Sent, 'handover'> & { reply?: Message } {
  const { handover: _, ...rest } = sent
  return rest
}
