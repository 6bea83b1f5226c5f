/** What a call says of what the session has open: that it waits for something, or did something with a task or a file. */
import type { Op } from '../../api/ops.schema.ts'
import { limits } from '../../wire/limits.ts'
import type { Call } from '../socket/server.ts'
import type { StateSession } from './handoff.ts'

type Handle = (request: never, call: Call) => Promise<unknown>

const TASK_OPS = new Set<string>(['task_add', 'task_claim', 'task_change'] satisfies Op[])
const FILE_OPS = new Set<string>(['claim', 'release'] satisfies Op[])
const IDLE = 'until it is idle or ends'

export function watchCalls(session: StateSession, op: string, handle: Handle): Handle {
  return async (request, call) => {
    const { obligations } = session
    const what = waitOf(session, op, request)
    const work = () => handle(request, call)
    const result = await (what === null ? work() : obligations.during(what, call, work))
    if (TASK_OPS.has(op)) obligations.touched((result as { id: string }).id)
    if (FILE_OPS.has(op)) obligations.changed()
    return result
  }
}

interface Waiting {
  targets?: string[]
  until?: string
  runs?: string[]
  wait?: unknown
}

/** What the call waits for, in words; null if for nothing, or for the answer to a question, which is kept as such. */
function waitOf({ obligations }: StateSession, op: string, request: Waiting): string | null {
  if (op === 'task_claim') return request.wait === true ? 'a task that is ready' : null
  const { targets = [], runs, until } = request
  if (op === 'run_wait' && until === 'progress') return `progress of ${list(runs)}`
  if (op === 'run_wait') return until === 'idle' ? `${list(runs)}, ${IDLE}` : `the end of ${list(runs)}`
  if (op !== 'wait') return null
  if (targets.length === 0) return 'the next message'
  if (targets[0]!.startsWith('m_')) return obligations.hasAsked(targets[0]!) ? null : `an answer to ${list(targets)}`
  if (until === 'message') return `a message from ${list(targets)}`
  return `${list(targets)}, ${until === 'end' ? 'until its end' : IDLE}`
}

function list(targets: readonly string[] = []): string {
  return targets.join(', ').slice(0, limits.ledgerText)
}
