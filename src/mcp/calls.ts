/** Makes a tool call: its operation, with progress, cancellation and the confirmation of what it showed. */
import { ProtocolError, ProtocolErrorCode } from '@modelcontextprotocol/server'
import type { Op, Request, Response } from '../api/ops.schema.ts'
import type { Sidecar } from '../client/sidecar.ts'
import { told } from '../wire/cause.ts'
import { limits } from '../wire/limits.ts'
import { newId, newOperation } from '../wire/names.ts'
import { dataResult, errorResult, fitting, inboxText, type Result, sentText, textResult, waitText } from './results.ts'
import { type Tool, tools } from './tools.ts'

/** Claude Code gives up on a silent call after 30 minutes, others after one: progress says that it still waits. */
const PROGRESS_MS = 10_000
/** The sidecar keeps the time of a wait; this much later it is taken for stuck. */
const GRACE_MS = 10_000

export interface Call {
  signal: AbortSignal
  /** Notifies the client that the call goes on, `elapsedS` seconds after its begin. */
  progress(elapsedS: number): void
  /** Does something once the result is written. */
  afterAnswer(act: () => void): void
}

/** Runs a tool. Operating errors are results; a tool that does not exist is the protocol's, `-32602` (MCP, server/tools). */
export async function callTool(sidecar: Sidecar, name: string, args: unknown, call: Call): Promise<Result> {
  const tool = tools.get(name)
  if (!tool) {
    const message = `there is no tool ${JSON.stringify(name.slice(0, 80))}: tools/list has them`
    throw new ProtocolError(ProtocolErrorCode.InvalidParams, message)
  }
  const begun = performance.now()
  const beat = setInterval(() => call.progress(Math.round((performance.now() - begun) / 1000)), PROGRESS_MS)
  try {
    return await run(sidecar, tool, (args ?? {}) as Record<string, unknown>, call)
  } catch (error) {
    if (call.signal.aborted) throw error
    return errorResult(error, name)
  } finally {
    clearInterval(beat)
  }
}

/** A message's id; a board operation's. */
const made = { id: () => newId('m'), op: newOperation } as const

async function run(sidecar: Sidecar, tool: Tool, args: Record<string, unknown>, call: Call): Promise<Result> {
  const ask = <O extends Op>(op: O, body: object) =>
    sidecar.call(op, body as Request<O>, { signal: call.signal, timeoutMs: patience(op, body) })
  const { op, mark } = tool
  // What the caller makes, so that a retry is the same message; a model cannot choose it.
  const asked = mark.made ? { ...args, [mark.made]: made[mark.made]() } : args
  // A sidecar of 0.1.0 wants them.
  const body = op === 'wait' ? { targets: [], ...asked } : asked
  if (op === 'inbox') return textResult(await readInbox(ask, body, confirm))
  const answer = await ask(op, body)
  if (!mark.messages) return dataResult(tool, isState(op) ? toldAll(answer) : answer)
  confirm((answer as { handover?: string }).handover)
  if (op === 'wait') return textResult(waitText(answer as Response<'wait'>))
  return textResult(sentText(answer as Response<'send'>, args.wait as string | undefined))

  /** Without success the messages come again, marked: nothing is lost. */
  function confirm(handover: string | undefined): void {
    if (handover === undefined) return
    call.afterAnswer(() => void sidecar.call('taken', { handover, shownBy: 'tool' }).catch(() => {}))
  }
}

function isState(op: Op): boolean {
  return op === 'ps' || op === 'alive' || op === 'whoami'
}

function toldAll(answer: unknown): unknown {
  return Array.isArray(answer) ? answer.map(told) : told(answer as Response<'alive'>)
}

type Ask = <O extends Op>(op: O, body: object) => Promise<Response<O>>

/** Takes no more than one answer shows: the rest stays unread. */
async function readInbox(
  ask: Ask,
  args: { id?: unknown; peek?: unknown; limit?: unknown },
  confirm: (handover: string | undefined) => void,
): Promise<string> {
  if (args.id !== undefined) return inboxText(await ask('inbox', { id: args.id }), true)
  const most = { limit: args.limit ?? limits.shownMessages }
  const { messages, more } = await ask('inbox', { ...most, peek: true })
  const limit = fitting(messages)
  if (args.peek) return inboxText({ messages: messages.slice(0, limit), more: more + messages.length - limit }, false)
  if (limit === 0) return inboxText(await ask('inbox', { ...most, peek: false }), false)
  const taken = await ask('inbox', { limit })
  confirm(taken.handover)
  return inboxText(taken, false)
}

/** Returns the time in which the sidecar has to answer; 0: any. */
function patience(op: Op, body: { wait?: unknown; timeoutMs?: unknown }): number | undefined {
  const waits =
    op === 'wait' || op === 'run_wait' || op === 'run_stop' || (body.wait !== undefined && body.wait !== 'stored')
  if (!waits) return undefined
  return typeof body.timeoutMs === 'number' ? body.timeoutMs + GRACE_MS : 0
}
