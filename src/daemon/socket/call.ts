/** A call of the local API, and the shape of what answers it. */
import type { Op, Parsed, Response } from '../../api/ops.schema.ts'

/** The longest delay of a timer, about 25 days. */
export const FOREVER_MS = 2_147_483_647

export interface Call {
  /** Aborted when the caller went away. */
  signal: AbortSignal
  /** Called once the answer has left this process, or could not. */
  onAnswered(done: (delivered: boolean) => void): void
}

/** Answers one operation for a session, as far as its room knows that. */
export type Handler<Session, O extends Op> = (session: Session, request: Parsed<O>, call: Call) => Promise<Response<O>>

/** The operations of one room. */
export type HandlersOf<Session> = { [O in Op]?: Handler<Session, O> }

/** Answers every operation. */
export type Answer = <O extends Op>(op: O, request: Parsed<O>, call: Call) => Promise<Response<O>>

/**
 * Returns a signal that aborts with a call or after a time. The call's signal must abort at the latest when the call is
 * over: that also clears the timer. By hand, since `AbortSignal.any` of Node 20 forgets an `AbortSignal.timeout` that
 * nothing else refers to as soon as garbage is collected, and then never aborts.
 */
export function deadline(call: AbortSignal, ms: number): AbortSignal {
  const controller = new AbortController()
  const abort = () => {
    clearTimeout(timer)
    controller.abort()
  }
  const timer = setTimeout(abort, ms)
  if (call.aborted) abort()
  else call.addEventListener('abort', abort, { once: true })
  return controller.signal
}
