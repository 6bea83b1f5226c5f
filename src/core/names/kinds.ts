/** Predicates over names records, whose fields keep the words of their first release. Pure. */
import type { NameRecord } from '../../wire/envelope.schema.ts'

/** True for a person at a shell; false for an agent's session. `kind` is the `harness` of a names record. */
export function isShell(kind: string | undefined): boolean {
  return kind === 'shell'
}

/** True while a live session owns the name; the word on the wire is `held`. */
export function isOwned({ state }: Pick<NameRecord, 'state'>): boolean {
  return state === 'held'
}
