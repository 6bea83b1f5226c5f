/** Answers requests that other sidecars make of this one by control messages. */
import { type ControlAnswer, refusal } from '../core/mail/control.ts'
import type { Entry } from '../core/mail/inbox.ts'
import type { EditNews } from './files/edits.ts'
import type { StateSession } from './state/handoff.ts'

type Control = Pick<Entry, 'envelope' | 'verified'>

export interface ControlledSession extends StateSession {
  readonly edits: EditNews
}

/** Settles a control message. No reader sees it, and its receipt is the answer. */
export async function obey(session: ControlledSession, message: Control): Promise<void> {
  const { mailbox, loops, steps } = session
  mailbox.surface([message.envelope.id], Date.now())
  await loops.senders.know(message.envelope.from)
  steps.answer(message.envelope, answerTo(message, session))
}

function answerTo({ envelope, verified }: Control, { loops, edits }: ControlledSession): ControlAnswer {
  const { intent, from, body } = envelope
  if (intent === 'edited')
    return verified ? { evidence: edits.heard(envelope) } : refusal("its signature is not the member's")
  if (intent === 'ping') return { evidence: 'answered by its sidecar' }
  if (!loops.counts) return { evidence: "nothing is counted in a person's own session" }
  if (!loops.senders.isPerson(from, verified)) return refusal('only people at a shell let held messages go on')
  const peer = 'text' in body && body.text !== '' ? body.text : null
  const count = loops.resume(peer, `${from.name} said so`)
  return { evidence: `counted anew; ${count} held ${count === 1 ? 'message goes' : 'messages go'} on` }
}
