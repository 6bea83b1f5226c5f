// Reads the walk of one message out of ARCHITECTURE.md: the modules that it passes on each side, in order.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/**
 * Returns `[{ side, files }]` from the lines `**Side**: `a.ts` → `b.ts` → …` of the section "One message". Paths are
 * below `src`. Empty where the page has no such lines.
 */
export function walkOf(root) {
  const page = join(root, 'ARCHITECTURE.md')
  if (!existsSync(page)) return []
  const section = readFileSync(page, 'utf8')
    .split(/^## /m)
    .find((part) => part.startsWith('One message'))
  const lines = [...(section ?? '').matchAll(/^\*\*(\w+)\*\*:((?:.+\n)+)/gm)]
  return lines.map(([, side, text]) => ({ side: side.toLowerCase(), files: pathsIn(text) }))
}

function pathsIn(text) {
  return [...text.matchAll(/`([\w/.-]+\.(?:ts|js|sh))`/g)].map(([, path]) => `src/${path}`)
}
