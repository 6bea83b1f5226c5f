/**
 * Finds out what became of the hand-overs of an earlier sidecar, from the transcript and from what lies in the doors.
 */
import type { Offer } from '../../../core/mail/inbox.ts'
import type { Door, Recalled } from '../../types.ts'
import { lastSeen } from '../transcript/last-seen.ts'

/** Returns the state of a hand-over. `isOpen`: the client that it was made to is this one, and may read it yet. */
export function recallOffer(
  { handover: token, door }: Offer,
  isOpen: boolean,
  transcript: string | null,
  doors: readonly Door[],
): Recalled {
  const seen = lastSeen(transcript, [token]).get(token)
  if (seen?.state === 'surfaced') return { state: 'surfaced', evidence: seen.evidence }
  if (!isOpen || seen?.state === 'refused') return { state: 'lost', evidence: 'its client ended before it was read' }
  if (seen) return { state: seen.state, evidence: seen.evidence }
  const isFile = door !== 'inbox-socket' && door !== 'mod'
  const lies = doors.some((one) => one.name === door && one.lies(token))
  return isFile && !lies ? { state: 'handed', evidence: 'taken by a hook' } : { state: 'open', evidence: '' }
}
