/** Durations, numbers and choices as flags take them. Pure. */
import { MeshError } from '../../errors.ts'
import { quote } from '../../wire/names.ts'

const UNITS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }
/** Longest wait of a Node timer: 24.8 days. */
const MAX_MS = 2_147_483_647

/** Reads `500ms`, `30s`, `5m` or `2h`, at least `leastMs`. Throws `bad_request`. */
export function parseDuration(text: string, flag: string, leastMs = 0): number {
  const match = /^(\d{1,12}(?:\.\d{1,3})?)(ms|s|m|h)$/.exec(text)
  const ms = match ? Math.round(Number(match[1]) * UNITS[match[2]!]!) : Number.NaN
  if (ms >= leastMs && ms <= MAX_MS) return ms
  if (ms < leastMs) throw new MeshError('bad_request', `${flag} ${quote(text)} is too short`)
  throw new MeshError('bad_request', `${flag} ${quote(text)} is not a duration`, {
    hint: 'durations are like 500ms, 30s, 5m or 2h, at most 24 days',
  })
}

/** Reads a whole number between `min` and `max`. Throws `bad_request`. */
export function parseCount(text: string, flag: string, min: number, max: number): number {
  const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN
  if (value >= min && value <= max) return value
  throw new MeshError('bad_request', `${flag} ${quote(text)} is not a number from ${min} to ${max}`)
}

/** Reads one of `choices`. Throws `bad_request`. */
export function parseChoice<T extends string>(text: string, flag: string, choices: readonly T[]): T {
  const found = choices.find((choice) => choice === text)
  if (found) return found
  throw new MeshError('bad_request', `${flag} ${quote(text)} is not one of ${choices.join(', ')}`)
}
