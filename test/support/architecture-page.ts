/** Reads the rules that stand in ARCHITECTURE.md: who may import what, the invariants, and the tests that hold them. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** Something that a folder may import, in all of its files or only in those at one path. */
export interface Entry {
  name: string
  /** Path below the folder, when only that file (or those of that folder) may import it. */
  only?: string
}

export interface Rule {
  folder: string
  values: Entry[]
  types: Entry[]
  packages: Entry[]
}

export interface Invariant {
  text: string
  /** Paths of the test files that it names. */
  tests: string[]
}

/** Returns the rows of the first table below the heading that begins with `heading`. */
export function rulesOf(page: string, heading: string): Rule[] {
  const rows = sectionOf(page, heading).match(/^\|.*\|$/gm) ?? []
  return rows.slice(2).map((row) => {
    const [folder = '', values = '', types = '', packages = ''] = row.split('|').slice(1, -1)
    return {
      folder: entriesOf(folder)[0]?.name ?? '',
      values: entriesOf(values),
      types: entriesOf(types),
      packages: entriesOf(packages),
    }
  })
}

/** Returns the numbered paragraphs of "Invariants". */
export function invariantsOf(page: string): Invariant[] {
  const items = sectionOf(page, 'Invariants').split(/^\d+\. /m)
  return items.slice(1).map((text) => ({ text, tests: text.match(/test\/[\w/.-]+\.test\.ts/g) ?? [] }))
}

export function readPage(root: string): string {
  return readFileSync(join(root, 'ARCHITECTURE.md'), 'utf8')
}

function sectionOf(page: string, heading: string): string {
  const section = page.split(/^#+ /m).find((part) => part.startsWith(heading))
  if (section === undefined) throw new Error(`ARCHITECTURE.md has no section "${heading}"`)
  return section
}

/** `a`, or `a` in `b.ts`: names stand in backticks; words between them are for people. */
function entriesOf(cell: string): Entry[] {
  const entries = cell.matchAll(/`([^`]+)`(?: in `([^`]+)`)?/g)
  return [...entries].map(([, name, only]) => (only === undefined ? { name: name! } : { name: name!, only }))
}
