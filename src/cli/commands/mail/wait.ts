/** `mesh wait`: block until something happened, print it, and only then mark it as read. */
import type { Request, Response } from '../../../api/ops.schema.ts'
import type { ShownEvent } from '../../../api/run-ops.schema.ts'
import { MeshError } from '../../../errors.ts'
import { limits } from '../../../wire/limits.ts'
import { type Context, misuse, type Switches, type Values } from '../../command.ts'
import { parseChoice, parseDuration } from '../../input/units.ts'
import { checkRun, checkTarget } from '../../input/values.ts'
import { oneLine } from '../../show/columns.ts'
import { wholeView } from '../../show/view.ts'
import { eventLines, exitOf } from '../runs/lines.ts'
import { ownerOf } from '../runs/supervised.ts'
import { messageLines, taken } from './messages.ts'
import { isUnknown, noSessionOrRun } from './unknown.ts'

const GRACE_MS = 10_000
const untilWhat = ['idle', 'end', 'message', 'progress'] as const
const untilSession = ['idle', 'end', 'message'] as const

type Result = Response<'wait'>['results'][number]

const HOW = { session_idle: 'is idle', session_ended: 'ended: gone', session_lost: 'is lost: its end was not seen' }

type Flags = Values<'until' | 'timeout'> & Switches<'all'>

export async function run(context: Context<Flags>): Promise<number | undefined> {
  const { flags } = context
  const until = untilOfRuns(context)
  if (until !== null) return waitForRuns(context, until)
  const request = readRequest(context)
  try {
    return await waitForOthers(context, request)
  } catch (error) {
    if (!isUnknown(error) || flags.until === 'message') throw error
    // It may be what a run is called, also that of a session that was spawned just now and has not joined yet.
    return await waitForRuns(context, flags.until === 'idle' ? 'idle' : 'end').catch((second) => {
      if (!isUnknown(second)) throw second
      throw context.args.length === 1 ? noSessionOrRun(context.args[0]!) : error
    })
  }
}

/** Waits for sessions and messages. The exit code is that of a run where the session is a child. */
async function waitForOthers(context: Context<Flags>, request: Request<'wait'>): Promise<number | undefined> {
  const { flags, out } = context
  const sidecar = context.sidecar()
  const timeoutMs = request.timeoutMs === undefined ? 0 : request.timeoutMs + GRACE_MS
  const { results, events, handover } = await sidecar.call('wait', request, { timeoutMs })
  if (events?.length) return printEvents(context, events)
  if (events === undefined && (await areChildren(context))) {
    return waitForRuns(context, flags.until === 'end' ? 'end' : 'idle')
  }
  if (results.length === 0)
    throw new MeshError('timeout', `nothing happened within ${flags.timeout}`, {
      hint: 'wait again, or look with: mesh ps, mesh inbox',
    })
  for (const result of results) {
    if (out.json) await out.value(result)
    else await out.line(resultLine(result))
  }
  await taken(sidecar, handover, out)
  return undefined
}

/** True if these are sessions that this one spawned. A sidecar of 0.1.0 does not say so, nor how their runs ended. */
async function areChildren(context: Context<Flags>): Promise<boolean> {
  const { args, flags } = context
  if (args.length === 0 || flags.until === 'message' || args.some((target) => target.startsWith('m_'))) return false
  const sidecar = context.sidecar()
  const { owner } = ownerOf(context)
  try {
    const runs = (await Promise.all(args.map((run) => sidecar.call('runs', { run })))).flat()
    return runs.length > 0 && runs.every((run) => run.kind === 'session' && run.owner === owner && run.name !== owner)
  } catch (error) {
    if (isUnknown(error)) return false
    throw error
  }
}

/** Until one of the runs, or all of them, got so far. The exit code tells how they ended. */
async function waitForRuns(context: Context<Flags>, until: 'end' | 'idle' | 'progress'): Promise<number> {
  const { args, flags } = context
  const request = { runs: args.map(checkRun), until, ...(flags.all && { all: true }), ...timeoutOf(context) }
  const callMs = request.timeoutMs === undefined ? 0 : request.timeoutMs + GRACE_MS
  const { events } = await context.sidecar().call('run_wait', request, { timeoutMs: callMs })
  return printEvents(context, events)
}

async function printEvents({ out }: Context<Flags>, events: readonly ShownEvent[]): Promise<number> {
  for (const event of events) {
    if (out.json) await out.value(event)
    else await out.line(eventLines(event, wholeView(Date.now())))
  }
  return exitOf(events)
}

/** Reads until when runs are waited for; null where the targets are sessions and messages. Throws `bad_request`. */
function untilOfRuns({ args, flags, command }: Context<Flags>): 'end' | 'idle' | 'progress' | null {
  const until = flags.until === undefined ? undefined : parseChoice(flags.until, '--until', untilWhat)
  const runs = args.filter((target) => target.startsWith('r_'))
  if (runs.length === 0 && until !== 'progress') return null
  const isMixed = runs.length < args.length && until !== 'progress'
  if (isMixed)
    throw misuse(
      command,
      'runs cannot be waited for together with sessions or messages; wait for each in a call of its own',
    )
  if (args.length === 0) throw misuse(command, 'name the run or the session whose progress to wait for')
  if (args.some((target) => target.startsWith('m_')))
    throw misuse(command, 'a message makes no progress; leave --until out to wait for its reply')
  if (until === 'message') throw misuse(command, '--until message is for sessions: give the name of one')
  return until ?? 'end'
}

function timeoutOf({ flags }: Context<Flags>): { timeoutMs?: number } {
  return flags.timeout === undefined ? {} : { timeoutMs: parseDuration(flags.timeout, '--timeout') }
}

function readRequest(context: Context<Flags>) {
  const { args, flags, command } = context
  if (args.length > limits.recipients)
    throw misuse(command, `${args.length} targets are too many, the limit is ${limits.recipients}`)
  const targets = args.map(checkTarget)
  const onMessages = targets.filter((target) => target.startsWith('m_'))
  if (flags.until !== undefined && onMessages.length > 0)
    throw misuse(command, '--until is for sessions, not for messages; leave it out to wait for a reply')
  return {
    targets,
    ...(flags.until !== undefined && { until: parseChoice(flags.until, '--until', untilSession) }),
    ...(flags.all && { all: true }),
    ...timeoutOf(context),
  }
}

function resultLine(result: Result): string {
  if ('text' in result) return messageLines(result, Date.now())
  return `${result.name} ${HOW[result.type]}${result.reason ? ` (${oneLine(result.reason)})` : ''}`
}
