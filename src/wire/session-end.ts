/** The end of a live session: a code that programs read, and words for people. Pure. */

/** The default words of each code. Releases before the codes wrote only these, or a client's own. */
const words = {
  /** Its user left it. */
  left: 'exit',
  /** It had done what it was started for. */
  finished: 'finished',
  /** A signal or a closed terminal ended it, and it had time to say so. */
  signalled: 'ended by a signal',
  /** The daemon that its client runs it in ended it, by itself or for `claude stop`. */
  daemon: 'ended by the daemon of its client (claude stop)',
  /** Its process was gone without a word. */
  killed: 'killed',
  /** Its process ended in order. */
  ended: 'ended',
  /** A person's, which nothing called for a while. */
  idle: 'idle',
  /** `mesh down`. */
  stopped: 'stopped',
  /** Its client closed the line to it. */
  disconnected: 'disconnected',
  /** It goes on under another name. */
  renamed: 'renamed',
  /** Its process went on with another conversation. */
  resumed_other: 'resumed another conversation',
  /** Its heartbeat stopped: it counts as lost. */
  silent: 'no heartbeat',
} as const

export type SessionEndCode = keyof typeof words

export interface SessionEnd {
  code: SessionEndCode
  reason: string
}

export function sessionEnd(code: SessionEndCode, reason: string = words[code]): SessionEnd {
  return { code, reason }
}

/** Reads the end that a record states. Without a code that is known here, its words decide, as older releases wrote them. */
export function readSessionEnd(stated: { reason?: string | undefined; reasonCode?: string | undefined }): SessionEnd {
  const { reason = words.left, reasonCode = '' } = stated
  if (Object.hasOwn(words, reasonCode)) return { code: reasonCode as SessionEndCode, reason }
  const byWords = (Object.keys(words) as SessionEndCode[]).find((code) => words[code] === reason)
  // Clients have words of their own for a person who leaves: `logout`, `prompt_input_exit`.
  return { code: byWords ?? 'left', reason }
}
