/** The causes of a session's state in words, and the status that they make of it. Pure. */
import type { Cause } from './envelope.schema.ts'
import { limits } from './limits.ts'

/** The role of the people, as a session that asks them names it. */
const PEOPLE = new Set(['operator', 'role:operator'])
/** Kinds that say whom or what a call inside the session waits for. */
const WAITS = new Set(['session', 'run', 'message', 'task'])

/**
 * Returns the status to show. On the wire and on the sidecar's socket a status stays one that 0.1.0 knows, with its
 * cause beside it: only what people and scripts read has these words.
 */
export function toldStatus<S extends string>(status: S, cause: Pick<Cause, 'kind'> | null | undefined) {
  const kind = cause?.kind ?? ''
  if (status === 'idle' && kind === 'error') return 'failed'
  if (status === 'busy' && kind === 'compacting') return 'compacting'
  return status === 'busy' && WAITS.has(kind) ? 'waiting' : status
}

/** Returns the same session with the status to show. */
export function told<T extends { status: string; cause?: Cause | null | undefined }>(session: T) {
  return { ...session, status: toldStatus(session.status as T['status'], session.cause) }
}

/** Returns a cause in words, which are not escaped. */
export function causeWords({ kind, name = '', tool = '', input, run = '', error, text }: Cause): string {
  const more = (words: string | undefined) => (words ? `: ${words}` : '')
  switch (kind) {
    case 'tool':
      return `runs ${name}${more(input)}`
    case 'permission':
      return `asks for permission: ${tool}${more(input)}`
    case 'question':
      return `asks${more(text)}`
    case 'session':
      return `waits for ${PEOPLE.has(name) ? 'you' : name}${more(text && JSON.stringify(text))}`
    case 'run':
      return `waits for ${run}`
    case 'message':
      return 'waits for a message'
    case 'task':
      return 'waits for a task'
    case 'error':
      return `failed: ${[error, text].filter((part) => part).join(', ')}`
    case 'compacting':
      return 'compacts its conversation'
    case 'shell':
      return 'a background shell runs'
    case 'unknown':
      return `its client says ${JSON.stringify(text ?? '')}`
    default:
      return `${kind}${more(text)}`
  }
}

/** Returns whether the cause says what is asked, and not only that something is. */
export function saysWhat(cause: Cause | null): boolean {
  return cause !== null && cause.kind !== 'dialog'
}

/** Returns what a session asks its user, for the event of its run. It begins with the words of Claude Code. */
export function askedWords(cause: Cause): string {
  const { kind, tool = '', input, text = '' } = cause
  if (kind === 'permission') return `permission prompt: ${tool}${input ? `: ${input}` : ''}`
  return kind === 'question' ? `input needed: ${text}` : text
}

/** Returns how a turn failed, for the event of its run. */
export function failedWords({ kind, message }: { kind: string; message: string }): string {
  return causeText(`failed: ${kind}${message ? `, ${message}` : ''}`)
}

/** Cuts a word of a cause to what a record takes. */
export function causeName(word: string): string {
  return word.slice(0, limits.causeName).toWellFormed()
}

/** Cuts a text of a cause to what a record takes. */
export function causeText(text: string): string {
  return text.slice(0, limits.causeText).toWellFormed()
}
