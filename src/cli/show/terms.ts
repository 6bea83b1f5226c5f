/** Terms with what they are, wrapped to the terminal. */
import { pad, widthOf, wrap } from './width.ts'

/** Width of help in a pipe. */
const PLAIN_WIDTH = 80
/** Longer lines are hard to read. */
const MOST_WIDTH = 110
/** A term that is longer has a line to itself. */
const MOST_TERM = 32
const INDENT = 2

/** Returns pairs of a term and what it is, the second wrapped beside the first. */
export function described(pairs: readonly (readonly [term: string, about: string])[]): string[] {
  const terms = pairs.map(([term]) => widthOf(term)).filter((one) => one <= MOST_TERM)
  const left = Math.max(0, ...terms)
  const margin = ' '.repeat(INDENT + left + 2)
  return pairs.flatMap(([term, about]) => {
    const [first = '', ...more] = wrap(about, textWidth() - margin.length)
    const rest = more.map((line) => margin + line)
    if (widthOf(term) > left) return [`  ${term}`, margin + first, ...rest]
    return [`  ${pad(term, left)}  ${first}`.trimEnd(), ...rest]
  })
}

/** Returns how wide a text for people may be. */
export function textWidth(): number {
  const { isTTY, columns } = process.stdout
  return isTTY && columns ? Math.min(columns, MOST_WIDTH) : PLAIN_WIDTH
}
