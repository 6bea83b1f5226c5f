/** The marks of an operation in the operations table, besides its request and its response. Pure. */

import type { Cause } from '../wire/envelope.schema.ts'

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
  to?: string
  text?: string
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

/** Whom or what a call waits for, as the cause of its session's state. */
export type Blocked = Pick<Cause, 'kind' | 'name' | 'run' | 'text'>

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
  /** Returns the same for those who look at the session; null if for nothing. */
  blocks?(request: object): Blocked | null
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

/** Returns `Marks.blocks` of `send`. */
export function blockedBySend({ to = '', text = '', wait }: Waiting): Blocked | null {
  return wait === 'reply' ? { kind: 'session', name: to, text } : null
}

/** Returns `Marks.blocks` of `wait`. */
export function blockedByWait({ targets = [] }: Waiting): Blocked {
  const names = targets.join(', ')
  return targets.length === 0 || targets[0]!.startsWith('m_') ? { kind: 'message' } : { kind: 'session', name: names }
}

/** Returns `Marks.blocks` of `run_wait`. */
export function blockedByRuns({ runs = [] }: Waiting): Blocked {
  return { kind: 'run', run: runs.join(', ') }
}

/** Returns `Marks.blocks` of `task_claim`. */
export function blockedByTask({ wait }: Waiting): Blocked | null {
  return wait === true ? { kind: 'task' } : null
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
