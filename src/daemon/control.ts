/** Does what another sidecar asks this one for. */
import { REFUSED } from '../core/mail/control.ts'
import type { Envelope } from '../wire/envelope.schema.ts'
import type { EditNews } from './files/edits.ts'
import type { LoopGuard } from './mail/loops.ts'

/** Does what a control message asks for. Returns the evidence of its receipt. */
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
