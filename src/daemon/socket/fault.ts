/** Words for what is wrong with a request. The schema's own are the same for every fault that it gives no others. */
import type * as z from 'zod/mini'

const NO_WORDS = 'Invalid input'
const UNITS = new Map([
  ['string', 'characters'],
  ['array', 'items'],
])

/** Says what is wrong with the field of `body` that the issue is about. */
export function faultOf(issue: z.core.$ZodIssue, body: unknown): string {
  if (issue.code === 'invalid_type') {
    return valueAt(body, issue.path) === undefined ? 'it is missing' : `it has to be of type ${issue.expected}`
  }
  if (issue.message !== NO_WORDS) return issue.message
  switch (issue.code) {
    case 'too_small':
      return issue.minimum === 1 && UNITS.has(issue.origin) ? 'it is empty' : `at least ${amount(issue.minimum, issue)}`
    case 'too_big':
      return `at most ${amount(issue.maximum, issue)}`
    case 'invalid_value':
      return `it has to be ${issue.values.map(String).join(', ')}`.replace(/, ([^,]*)$/, ' or $1')
    case 'invalid_format':
      return `it has to match ${issue.pattern ?? issue.format}`
    default:
      return issue.message
  }
}

function valueAt(body: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>((at, key) => (at as Record<PropertyKey, unknown> | undefined)?.[key], body)
}

function amount(count: number | bigint, { origin }: { origin: string }): string {
  const unit = UNITS.get(origin)
  return unit === undefined ? `${count}` : `${count} ${unit}`
}
