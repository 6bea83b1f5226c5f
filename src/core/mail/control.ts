/** Messages that one sidecar sends to another: no reader sees them, and a receipt is the answer. */
import { decodeRecord } from '../../wire/codec.ts'
import { controlIntents, type Envelope, type Receipt } from '../../wire/envelope.schema.ts'
import { type FileEdited, fileEdited } from '../../wire/files.schema.ts'
import { isName, parseRecipient } from '../../wire/names.ts'

/** A sidecar's answer to a control message: the end of its receipt. */
export type ControlAnswer = Pick<Receipt, 'evidence' | 'refused'>

/** The first word of a refusal, by which sidecars of 0.1.0 know it; later ones state `refused`. */
const REFUSED = 'refused'

export function refusal(why: string): ControlAnswer {
  return { evidence: `${REFUSED}: ${why}`, refused: true }
}

export function isRefusal({ evidence, refused }: ControlAnswer): boolean {
  return refused === true || evidence.startsWith(REFUSED)
}

export function isControlIntent(intent: string | undefined): boolean {
  return controlIntents.some((one) => one === intent)
}

/** Returns true for words of the session itself: neither between sidecars nor news that one of them made. */
export function isSaid({ intent, author }: { intent?: string | undefined; author?: 'mesh' | undefined }): boolean {
  return author === undefined && !isControlIntent(intent)
}

/** Returns true for what the sidecar of a session settles itself. Another text under one of these intents is mail. */
export function isControl({ intent, to, body }: Envelope): boolean {
  if (!isControlIntent(intent) || !('text' in body) || parseRecipient(to).kind !== 'session') return false
  if (intent === 'edited') return fileEditedIn(body.text) !== null
  return body.text === '' || (intent === 'budget_resume' && isName(body.text))
}

/** Returns what an `edited` message says; null for another text. */
export function fileEditedIn(text: string): FileEdited | null {
  return decodeRecord(fileEdited, Buffer.from(text))
}
