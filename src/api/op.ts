/** The marks of an operation in the operations table, besides its request and its response. Pure. */

/** Form of an operation as an MCP tool. */
export interface ToolMark {
  effect: 'reads' | 'changes' | 'removes'
  /** Fields that the caller makes, not the model. */
  made?: 'id' | 'op'
  /** The answer may contain messages, which a model reads as rendered text only. */
  messages?: true
  /** The answer contains other words of peers, which a model reads as such: no structured result. */
  words?: true
}

/** Requests that may wait, as far as their words are concerned. */
interface Waiting {
  targets?: readonly string[]
  runs?: readonly string[]
  until?: string
  wait?: unknown
}

/** The wait of a call, shown among the session's obligations. */
export interface Awaited {
  what: string
  /** The message whose answer it is: a question that the session asked is open already. */
  answerTo?: string
}

export interface Marks {
  about: string
  /** Null: no tool. */
  tool: ToolMark | null
  /** Answered also before the session has joined and while the engine is away. */
  isLocal?: true
  /** Its requests may be as large as a message. */
  isLarge?: true
  /** Not called again when its answer was lost: the second call would do something else. */
  isOnce?: true
  /** The change that it makes to the session's obligations. */
  opens?: 'task' | 'files'
  /** Returns what a call waits for; null if for nothing. */
  awaits?(request: object): Awaited | null
}

const IDLE = 'until it is idle or ends'

/** Returns `Marks.awaits` of `wait`. */
export function awaitedMail({ targets = [], until }: Waiting): Awaited {
  const names = targets.join(', ')
  if (targets.length === 0) return { what: 'the next message' }
  if (targets[0]!.startsWith('m_')) return { what: `an answer to ${names}`, answerTo: targets[0]! }
  if (until === 'message') return { what: `a message from ${names}` }
  return { what: `${names}, ${until === 'end' ? 'until its end' : IDLE}` }
}

/** Returns `Marks.awaits` of `run_wait`. */
export function awaitedRuns({ runs = [], until }: Waiting): Awaited {
  const names = runs.join(', ')
  if (until === 'progress') return { what: `progress of ${names}` }
  return { what: until === 'idle' ? `${names}, ${IDLE}` : `the end of ${names}` }
}

/** Returns `Marks.awaits` of `task_claim`. */
export function awaitedTask({ wait }: Waiting): Awaited | null {
  return wait === true ? { what: 'a task that is ready' } : null
}
