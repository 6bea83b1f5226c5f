/** Matches paths of a repository that can mean one file. `*` and `?` stand for characters of a name, `**` for names. Pure. */
import { folded, isGlob } from '../../wire/paths.ts'

const ANY_DEPTH = '**'
/** Characters that stand for the wildcards in a file's own name. */
const LITERAL = { '*': '\ue02a', '?': '\ue03f' } as const

/**
 * Returns true if there can be a file that both stand for. A path without wildcards stands for what is below it, too. Exact but
 * for letters: capitals and small ones, and the ways to write an accent, are alike, since they are on some machines.
 */
export function overlap(a: string, b: string): boolean {
  return patternsOverlap(patternOf(a), patternOf(b))
}

/** A path taken apart, for several comparisons. */
export interface Pattern {
  readonly names: readonly string[]
  /** Characters of all names, and of those with wildcards. */
  readonly chars: number
  readonly wildChars: number
}

export function patternOf(path: string): Pattern {
  return ofNames(namesOf(path))
}

/** As `overlap`. */
export function patternsOverlap(a: Pattern, b: Pattern): boolean {
  return !startApart(a, b) && meet(a.names, b.names, ANY_DEPTH, namesMeet)
}

/** Returns the number of steps that a comparison takes at most. */
export function comparing(a: Pattern, b: Pattern): number {
  return startApart(a, b) ? 1 : a.names.length * b.names.length + a.wildChars * b.chars + b.wildChars * a.chars
}

function ofNames(names: readonly string[]): Pattern {
  const length = (some: readonly string[]) => some.reduce((sum, name) => sum + name.length, 0)
  return { names, chars: length(names), wildChars: length(names.filter((name) => isGlob(name))) }
}

/** True if the two differ before the first wildcard. */
function startApart(a: Pattern, b: Pattern): boolean {
  for (const [i, x] of a.names.entries()) {
    const y = b.names[i]
    if (y === undefined || isGlob(x) || isGlob(y)) return false
    if (x !== y) return true
  }
  return false
}

/** Returns true if a claim on `claimed` covers the file at `path`, whose own name may contain wildcards. */
export function covers(claimed: string, path: string): boolean {
  const literal = folded(path).replace(/[*?]/g, (found) => LITERAL[found as '*' | '?'])
  return patternsOverlap(patternOf(claimed), ofNames(literal.split('/')))
}

function namesOf(path: string): string[] {
  const names = folded(path).split('/')
  return isGlob(path) ? names : [...names, ANY_DEPTH]
}

function namesMeet(a: string, b: string): boolean {
  if (!isGlob(a) && !isGlob(b)) return a === b
  return meet([...a], [...b], '*', (x, y) => x === y || x === '?' || y === '?')
}

/**
 * Returns true if two sequences can be made the same, where `many` in either stands for any number of elements. Row by row over
 * the first i of `a` and the first j of `b`: at most a × b steps.
 */
function meet(
  a: readonly string[],
  b: readonly string[],
  many: string,
  alike: (x: string, y: string) => boolean,
): boolean {
  let row = [true]
  for (const y of b) row.push(row.at(-1)! && y === many)
  for (const x of a) {
    const above = row
    row = [above[0]! && x === many]
    for (const [j, y] of b.entries()) {
      const isTaken = (x === many || y === many) && (above[j + 1]! || row[j]!)
      row.push(isTaken || (x !== many && y !== many && above[j]! && alike(x, y)))
    }
  }
  return row.at(-1)!
}
