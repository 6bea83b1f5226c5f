/** Codes for the end of a run, for programs. The `reason` beside the code is prose for people. Pure. */

/** Each code, and the prose that releases without codes wrote for it. */
const codes = {
  /** Its command exited by itself; `exitCode` says how. */
  exited: /^exit \d+$/,
  /** A signal ended it; `signal` says which where it was seen. */
  signalled: /^(signal SIG\w+.*|ended by a signal)$/,
  /** Its process was gone without a word. */
  killed: /^killed$/,
  /** It ended, and the system did not say how. */
  exit_unknown: /^ended, exit code unknown$/,
  timeout: /^timeout$/,
  out_of_memory: /^out of memory$/,
  /** A session or a person asked mesh for its end. */
  cancelled: /^cancelled by /,
  /** Its supervisor was gone, so its end was not seen. */
  supervisor_lost: /^supervisor lost$/,
  /** The whole machine went down. */
  host_lost: /^host lost$/,
  /** A session said that its work is over. */
  done: /^mesh done( --failed)?$/,
  /** A session ended its turn by itself. */
  finished: /^finished$/,
  /** Its user left a session. */
  left: /^its user left/,
  /** Its user interrupted a session. */
  interrupted: /^interrupted by its user$/,
  /** Its session stopped a subagent. */
  stopped: /^stopped$/,
  /** A subagent's session ended before it did. */
  session_ended: /^its session ended$/,
  /** A session's last turn stopped halfway. */
  unfinished: /^stopped in the middle$/,
  /** The service or the client reported an error. */
  api_error: /^API error: /,
  /** The model's response or its turns met a limit, or the model refused. */
  cut_off: /^(max_tokens|model_context_window_exceeded|refusal|pause_turn|turn limit)$/,
  /** A session ended without the result that was asked of it. */
  no_result: /^no result that fits its schema$/,
} as const

export type RunReasonCode = keyof typeof codes

/** The code of a run's end as an event or record states it; by its prose if an older release wrote it. */
export function runReasonCode(stated: {
  reason?: string | undefined
  reasonCode?: string | undefined
}): RunReasonCode | undefined {
  const { reason, reasonCode } = stated
  if (reasonCode !== undefined && Object.hasOwn(codes, reasonCode)) return reasonCode as RunReasonCode
  if (reason === undefined) return undefined
  return (Object.keys(codes) as RunReasonCode[]).find((code) => codes[code].test(reason))
}
