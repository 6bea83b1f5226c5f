/** Does what another sidecar asks this one for. */
import { type ControlAnswer, refusal } from '../core/mail/control.ts'
import type { Envelope } from '../wire/envelope.schema.ts'
import type { EditNews } from './files/edits.ts'
import type { LoopGuard } from './mail/loops.ts'

/** Does what a control message asks for. Returns what its receipt says. */
export function obey(envelope: Envelope, verified: boolean, guard: LoopGuard, edits: EditNews): ControlAnswer {
  const { intent, from, body } = envelope
  if (intent === 'edited')
    return verified ? { evidence: edits.heard(envelope) } : refusal("its signature is not the member's")
  if (intent === 'ping') return { evidence: 'answered by its sidecar' }
  if (!guard.counts) return { evidence: "nothing is counted in a person's own session" }
  if (!guard.isPerson(from, verified)) return refusal('only people at a shell let held messages go on')
  const peer = 'text' in body && body.text !== '' ? body.text : null
  const count = guard.resume(peer, `${from.name} said so`)
  return { evidence: `counted anew; ${count} held ${count === 1 ? 'message goes' : 'messages go'} on` }
}
