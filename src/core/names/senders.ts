/** Decides whether a sender may speak under a name. Pure. */
import type { Envelope, NameRecord } from '../../wire/envelope.schema.ts'

/**
 * Returns true if the name belongs, or belonged when it sent, to the member that signed. `record`: of the name's present
 * holder; null if there is none. Of a name that others hold by now, or nobody, the `own` member alone is believed: its key
 * is on this machine.
 */
export function ownsName({ member, epoch }: Envelope['from'], record: NameRecord | null, own: string): boolean {
  if (record?.member === member) return true
  return member === own && (record === null || epoch < record.epoch)
}
