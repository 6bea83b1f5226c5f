/**
 * A signal that aborts with a call or after a time. By hand: `AbortSignal.any` of Node 20 forgets an
 * `AbortSignal.timeout` that nothing else refers to as soon as garbage is collected, and then never aborts.
 */

/** The longest delay of a timer, about 25 days. */
export const FOREVER_MS = 2_147_483_647

/** The call's signal must abort at the latest when the call is over: that also clears the timer. */
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
