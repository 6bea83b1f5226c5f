/** Messages that one sidecar sends to another: no reader sees them, and a receipt is the answer. */
import { decodeRecord } from '../wire/codec.ts'
import { controlIntents, type Envelope } from '../wire/envelope.schema.ts'
import { type FileEdited, fileEdited } from '../wire/files.schema.ts'
import { isName, parseRecipient } from '../wire/names.ts'
import type { EditNews } from './files/edits.ts'
import type { LoopGuard } from './mail/loops.ts'

/** The beginning of an answer that says no. */
export const REFUSED = 'refused'

export function isControlIntent(intent: string | undefined): boolean {
  return controlIntents.some((one) => one === intent)
}

/** True for what the sidecar of a session settles itself. Another text under one of these intents is mail. */
export function isControl({ intent, to, body }: Envelope): boolean {
  if (!isControlIntent(intent) || !('text' in body) || parseRecipient(to).kind !== 'session') return false
  if (intent === 'edited') return fileEditedIn(body.text) !== null
  return body.text === '' || (intent === 'budget_resume' && isName(body.text))
}

/** Does what a control message asks for. Returns what to tell its sender. */
export function obey(envelope: Envelope, verified: boolean, guard: LoopGuard, edits: EditNews): string {
  const { intent, from, body } = envelope
  if (intent === 'edited') return verified ? edits.heard(envelope) : `${REFUSED}: its signature is not the member's`
  if (intent === 'ping') return 'answered by its sidecar'
  if (!guard.counts) return "nothing is counted in a person's own session"
  if (!guard.isPerson(from, verified)) return `${REFUSED}: only people at a shell let held messages go on`
  const peer = 'text' in body && body.text !== '' ? body.text : null
  const count = guard.resume(peer, `${from.name} said so`)
  return `counted anew; ${count} held ${count === 1 ? 'message goes' : 'messages go'} on`
}

/** What an `edited` message says; null for another text. */
export function fileEditedIn(text: string): FileEdited | null {
  return decodeRecord(fileEdited, Buffer.from(text))
}
