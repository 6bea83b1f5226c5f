/** Checks of what a person typed, before anything is asked of a sidecar. Pure. */
import { MeshError } from '../../errors.ts'
import { limits } from '../../wire/limits.ts'
import { checkName, formatRecipient, isName, parseRecipient, quote } from '../../wire/names.ts'

/** A full id or a beginning of one that may be unique. */
const MESSAGE_ID = /^m_[0-9a-f]{8,32}$/
const OTHER_ID = /^[rt]_/
const MOST_RUN = 4096

/** Throws `bad_request` unless `text` is a message id or a beginning of one, 8 digits or more. */
export function checkId(text: string): string {
  if (MESSAGE_ID.test(text)) return text
  throw new MeshError('bad_request', `${quote(text)} is not a message id`, {
    hint: 'an id is m_ and 32 hex digits, of which 8 or more are enough; mesh inbox shows them',
  })
}

/** A session's name or a message's id. Throws `bad_name`, `bad_request`. */
export function checkTarget(text: string): string {
  if (text.startsWith('m_')) return checkId(text)
  if (OTHER_ID.test(text))
    throw new MeshError('not_found', `there is no run or session ${quote(text)}`, {
      hint: 'mesh ps lists the sessions, mesh ps --runs the runs',
    })
  return checkName(text)
}

/** Throws `bad_request` for what can be neither the id nor the name of a run. */
export function checkRun(text: string): string {
  if (text !== '' && text.length <= MOST_RUN) return text
  throw new MeshError('bad_request', `${quote(text)} is neither the id nor the name of a run`, {
    hint: 'mesh ps --runs lists them',
  })
}

/** Throws `bad_request` unless `text` can be a thread's name: one line, not too long. */
export function checkThread(text: string): string {
  if (text !== '' && text.length <= limits.thread && !/[\u0000-\u001f\u007f-\u009f]/.test(text)) return text
  throw new MeshError('bad_request', `--thread is one line of 1 to ${limits.thread} characters`)
}

/** Reads a recipient. What is no name may be the title of a session, which its sidecar knows. Throws `bad_name`. */
export function readRecipient(text: string): string {
  try {
    return formatRecipient(parseRecipient(text))
  } catch (error) {
    if (isName(text) || !/^(?![mrt]_|@|topic:|role:)[^\p{C}]{1,200}$/u.test(text)) throw error
    return text
  }
}
