/** The word that a person may have meant by another. Pure. */

/** Returns the one of `names` that is at most two edits from `word`; of equally near ones the one of the same length. */
export function nearest(word: string, names: readonly string[]): string | undefined {
  const far = (name: string) => distance(word, name) + Math.abs(word.length - name.length) / 100
  return names.filter((name) => distance(word, name) <= 2).sort((a, b) => far(a) - far(b))[0]
}

/** Edits from one word to another. */
function distance(a: string, b: string): number {
  if (a.length > 20) return a.length
  let row = [...Array(b.length + 1).keys()]
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const substituted = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(substituted, row[j]! + 1, next[j - 1]! + 1))
    }
    row = next
  }
  return row[b.length]!
}
