/** Identity helpers for leases: the actor of a names record, whether a holder still lives, and the id of a finding. */
import { createHash } from 'node:crypto'
import { isShell } from '../../core/names/kinds.ts'
import type { Move } from '../../core/tasks/board.ts'
import type { Grace, HolderFacts } from '../../core/tasks/lease.ts'
import type { Settings } from '../../host/settings.ts'
import type { NameRecord } from '../../wire/envelope.schema.ts'
import { readSessionEnd, type SessionEndCode } from '../../wire/session-end.ts'
import type { Actor, Task } from '../../wire/task.schema.ts'

/** Reasons for which a person's sidecar ends without the person giving anything up: idle, or the machine's end. */
const RESTS: readonly SessionEndCode[] = ['idle', 'stopped', 'ended']

export function graceOf({ claimGraceSeconds, claimLostSeconds }: Settings): Grace {
  return { gone: claimGraceSeconds * 1000, lost: claimLostSeconds * 1000 }
}

/** Returns the part of a names record that says who did something. */
export function actorOf({ member, name, epoch }: Actor): Actor {
  return { member, name, epoch }
}

/** Returns what is known of a lease's holder from its names record. */
export function holderFacts(record: NameRecord | null, holder: Actor): HolderFacts {
  if (!record || record.member !== holder.member) return { state: 'absent' }
  const { endedAt, reason } = record
  const isResting = record.state === 'gone' && isShell(record.harness) && RESTS.includes(readSessionEnd(record).code)
  const state = isResting ? 'resting' : record.state
  return { state, ...(endedAt === undefined ? {} : { at: endedAt }), ...(reason === undefined ? {} : { reason }) }
}

/** Returns the id of a finding: two sessions with the same finding make one operation of it. */
export function findingId({ id, claim }: Task, move: Move): string {
  const finding = JSON.stringify([id, claim?.fence, claim?.deadline, move])
  return createHash('sha256').update(finding).digest('hex').slice(0, 32)
}
