/** Reads the surfaced record: the positions of its mail that a name has read. Pure. */
import type { Surfaced } from '../../wire/envelope.schema.ts'

/** Returns where a new consumer has to begin, given the record of what was read. */
export function startPosition(record: Surfaced | null, since: number): number {
  if (!record) return since + 1
  return Math.max(since, Math.min(record.high, ...record.unread.map((seq) => seq - 1))) + 1
}

/** True if the surfaced record says that the message at `seq` was read. */
export function wasRead(record: Surfaced | null, seq: number): boolean {
  return record !== null && seq <= record.high && !record.unread.includes(seq)
}
