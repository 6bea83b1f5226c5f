/** What is known of the holder of a claim on a task, and the name of what one finds out. */
import { createHash } from 'node:crypto'
import type { HolderFacts, Move } from '../core/board.ts'
import type { NameRecord } from '../wire/envelope.schema.ts'
import type { Actor, Task } from '../wire/task.schema.ts'

/** From the names record. */
export function holderFacts(record: NameRecord | null, holder: Actor): HolderFacts {
  if (!record || record.member !== holder.member) return { state: 'absent' }
  const { state, endedAt, reason } = record
  return { state, ...(endedAt === undefined ? {} : { at: endedAt }), ...(reason === undefined ? {} : { reason }) }
}

/** The same finding by two who look is one operation. */
export function findingId({ id, claim }: Task, move: Move): string {
  const finding = JSON.stringify([id, claim?.fence, claim?.deadline, move])
  return createHash('sha256').update(finding).digest('hex').slice(0, 32)
}
