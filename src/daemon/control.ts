/** Messages that one sidecar sends to another: no reader sees them. Pure. */
import { controlIntents, type Envelope } from '../wire/envelope.schema.ts'
import { parseRecipient } from '../wire/names.ts'

export function isControlIntent(intent: string | undefined): boolean {
  return controlIntents.some((one) => one === intent)
}

/** True for what the sidecar of a session settles itself. A text under one of these intents is not ours: it is mail. */
export function isControl({ intent, to, body }: Envelope): boolean {
  const isEmpty = 'text' in body && body.text === ''
  return isControlIntent(intent) && isEmpty && parseRecipient(to).kind === 'session'
}
