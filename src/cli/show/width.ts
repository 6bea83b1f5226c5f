/**
 * Measures the columns of a terminal that a text takes, and makes texts fit. Pure. Wide characters are those of the blocks that
 * UAX #11 calls wide; a character with its marks, or an emoji of several parts, is one: `Intl.Segmenter` knows them.
 */

/** Every character of it takes one column. */
const PLAIN = /^[\x20-\x7e\xa1-\xac\xae-\u02ff\u2010-\u2026]*$/
const NO_WIDTH = /^[\p{Mn}\p{Me}\p{Cf}\p{Cc}]+$/u
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97c\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{17000}-\u{18cff}\u{1b000}-\u{1b2ff}\u{20000}-\u{3fffd}]|\ufe0f|\p{Emoji_Presentation}/u
const MORE = '…'

let segmenter: Intl.Segmenter | undefined

/** Returns the columns that a line takes. */
export function widthOf(text: string): number {
  if (PLAIN.test(text)) return text.length
  return clustersOf(text).reduce((sum, cluster) => sum + clusterWidth(cluster), 0)
}

/** Cuts a line to `width` columns, with `…` for what is left out: of a path its beginning, else the end. */
export function fit(text: string, width: number): string {
  if (text.length <= width && PLAIN.test(text)) return text
  if (width === Number.POSITIVE_INFINITY || widthOf(text) <= width) return text
  if (width < 1) return ''
  const clusters = clustersOf(text)
  const isPath = /^~?\//.test(text)
  if (isPath)
    return (
      MORE +
      taken(clusters.reverse(), width - 1)
        .reverse()
        .join('')
    )
  return (
    taken(clusters, width - 1)
      .join('')
      .trimEnd() + MORE
  )
}

/** Fills a line with spaces to `width` columns. */
export function pad(text: string, width: number): string {
  return text + ' '.repeat(Math.max(0, width - widthOf(text)))
}

/** Breaks a text between words into lines of at most `width` columns; a longer word has a line to itself. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = []
  for (const word of text.split(' ')) {
    const last = lines.at(-1)
    if (last !== undefined && widthOf(last) + 1 + widthOf(word) <= width) lines[lines.length - 1] = `${last} ${word}`
    else lines.push(word)
  }
  return lines
}

function taken(clusters: readonly string[], width: number): string[] {
  let room = width
  const end = clusters.findIndex((cluster) => {
    room -= clusterWidth(cluster)
    return room < 0
  })
  return end < 0 ? [...clusters] : clusters.slice(0, end)
}

function clustersOf(text: string): string[] {
  segmenter ??= new Intl.Segmenter('en', { granularity: 'grapheme' })
  return Array.from(segmenter.segment(text), ({ segment }) => segment)
}

function clusterWidth(cluster: string): number {
  if (NO_WIDTH.test(cluster)) return 0
  return WIDE.test(cluster) ? 2 : 1
}
