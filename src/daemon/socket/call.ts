/** Defines a call of the local API, and the handlers that answer it. */
import type { Op, Parsed, Response } from '../../api/ops.schema.ts'

/** Longest delay of a timer, about 25 days. */
export const FOREVER_MS = 2_147_483_647

export interface Call {
  /** Aborts when the caller goes away. */
  signal: AbortSignal
  /** Calls `done` once the answer has left this process, or could not. */
  onAnswered(done: (delivered: boolean) => void): void
}

/** Answers one operation for a session, given the part of it that the room knows. */
export type Handler<Session, O extends Op> = (session: Session, request: Parsed<O>, call: Call) => Promise<Response<O>>

/** The handlers of one room. */
export type HandlersOf<Session> = { [O in Op]?: Handler<Session, O> }

/** Answers every operation. */
export type Answer = <O extends Op>(op: O, request: Parsed<O>, call: Call) => Promise<Response<O>>

/**
 * Returns a signal that aborts with a call or after a time. The call's signal must abort when the call is over, which
 * also clears the timer. Written by hand, since `AbortSignal.any` of Node 20 drops an `AbortSignal.timeout` without
 * other references at garbage collection, and then never aborts.
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
