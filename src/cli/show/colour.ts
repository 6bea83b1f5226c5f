/** Colours, only where a person looks. */

function isColourful(): boolean {
  const { NO_COLOR, TERM } = process.env
  return process.stdout.isTTY === true && !NO_COLOR && TERM !== 'dumb'
}

/** A listing whose lines below its header have the colour (SGR code) that `colourOf` gives for their place. */
export function paint(lines: readonly string[], colourOf: (row: number) => string | undefined): string[] {
  if (!isColourful()) return [...lines]
  return lines.map((line, i) => {
    const colour = i > 0 ? colourOf(i - 1) : undefined
    return colour ? `\x1b[${colour}m${line}\x1b[0m` : line
  })
}
