/** `mesh wait`: block until something happened, print it, and only then mark it as read. */
import type { Response } from '../../api/ops.schema.ts'
import { MeshError } from '../../errors.ts'
import { limits } from '../../wire/limits.ts'
import type { Context } from '../context.ts'
import { messageLines, taken } from '../messages.ts'
import { misuse } from '../parse.ts'
import { eventLines, exitOf } from '../runs.ts'
import { oneLine, parseChoice, parseDuration } from '../units.ts'
import { checkTarget } from '../values.ts'

const GRACE_MS = 10_000
const untilWhat = ['idle', 'end', 'message'] as const

type Result = Response<'wait'>['results'][number]

const HOW = { session_idle: 'is idle', session_ended: 'ended: gone', session_lost: 'is lost: nobody saw it end' }

export async function run(context: Context): Promise<number | undefined> {
  const { flags, out } = context
  if (context.args.some((target) => target.startsWith('r_'))) return waitForRuns(context)
  const request = readRequest(context)
  const sidecar = context.sidecar()
  const timeoutMs = request.timeoutMs === undefined ? 0 : request.timeoutMs + GRACE_MS
  const { results, handover } = await sidecar.call('wait', request, { timeoutMs })
  if (results.length === 0) throw new MeshError('timeout', `nothing happened within ${flags.timeout}`)
  for (const result of results) {
    if (out.json) await out.value(result)
    else await out.line(resultLine(result))
  }
  await taken(sidecar, handover, out)
}

/** Until one of the runs, or all of them, ended. The exit code tells how. */
async function waitForRuns(context: Context): Promise<number> {
  const { args, flags, out, command } = context
  if (!args.every((target) => target.startsWith('r_'))) throw misuse(command, 'runs cannot be waited for with others')
  if (flags.until !== undefined && flags.until !== 'end') throw misuse(command, '--until end is all that runs have')
  const timeoutMs = flags.timeout === undefined ? undefined : parseDuration(flags.timeout, '--timeout')
  const request = { runs: [...args], ...(flags.all && { all: true }), ...(timeoutMs !== undefined && { timeoutMs }) }
  const callMs = timeoutMs === undefined ? 0 : timeoutMs + GRACE_MS
  const { events } = await context.sidecar().call('run_wait', request, { timeoutMs: callMs })
  for (const event of events) {
    if (out.json) await out.value(event)
    else await out.line(eventLines(event))
  }
  return exitOf(events)
}

function readRequest({ args, flags, command }: Context) {
  if (args.length > limits.recipients) throw misuse(command, `more than ${limits.recipients} targets`)
  const targets = args.map(checkTarget)
  const onMessages = targets.filter((target) => target.startsWith('m_'))
  if (flags.until !== undefined && onMessages.length > 0) throw misuse(command, '--until is for sessions, not for ids')
  return {
    targets,
    ...(flags.until !== undefined && { until: parseChoice(flags.until, '--until', untilWhat) }),
    ...(flags.all && { all: true }),
    ...(flags.timeout !== undefined && { timeoutMs: parseDuration(flags.timeout, '--timeout') }),
  }
}

function resultLine(result: Result): string {
  if ('text' in result) return messageLines(result, Date.now())
  return `${result.name} ${HOW[result.type]}${result.reason ? ` (${oneLine(result.reason)})` : ''}`
}
