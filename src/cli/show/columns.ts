/** Lines and tables. Pure. */
import { visible } from '../../core/render.ts'
import { fit, pad, widthOf } from './width.ts'

const GAP = 2
/** No column gets narrower than this to make a table fit. */
const LEAST = 8

/** Makes a peer's words fit for a line of ours: they may neither end the line nor change the display. */
export function oneLine(text: string): string {
  return visible(text).replace(/[\n\t]/g, ' ')
}

/** Puts two spaces before every line of a text. */
export function indent(text: string): string {
  return text
    .split('\n')
    .map((line) => `  ${line}`)
    .join('\n')
}

/** Aligns rows in columns; the last is not padded. The widest columns are cut until a row has at most `width` columns. */
export function columns(rows: readonly (readonly string[])[], width = Number.POSITIVE_INFINITY): string[] {
  const widths = fitting(naturalWidths(rows), width)
  return rows.map((row) => {
    const cells = row.map((cell, i) => pad(fit(cell, widths[i]!), i === row.length - 1 ? 0 : widths[i]!))
    return fit(cells.join(' '.repeat(GAP)).trimEnd(), width)
  })
}

function naturalWidths(rows: readonly (readonly string[])[]): number[] {
  const widths: number[] = []
  for (const row of rows) for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, widthOf(cell))
  return widths
}

/** Takes from the widest column, of equal ones from the last, until all fit or are narrow. */
function fitting(natural: readonly number[], width: number): number[] {
  const widths = [...natural]
  let excess = widths.reduce((sum, one) => sum + one + GAP, -GAP) - width
  while (excess > 0) {
    const widest = Math.max(...widths)
    if (widest <= LEAST) break
    widths[widths.lastIndexOf(widest)] = widest - 1
    excess--
  }
  return widths
}
