// Reads the walk of one message out of ARCHITECTURE.md: the modules that it passes on each side, in order.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/**
 * Returns the walks from the lines "**Side**: `a.ts` → `b.ts` ⇢ `c.ts`" of the section "One message", with paths below
 * the checkout. `joined` are the pairs with `→` between them, of which one module imports the other. Empty where the page
 * has no such lines.
 * @param {string} root
 * @returns {{ side: string, files: string[], joined: [string, string][] }[]}
 */
export function walkOf(root) {
  const page = join(root, 'ARCHITECTURE.md')
  if (!existsSync(page)) return []
  const sections = readFileSync(page, 'utf8').split(/^## /m)
  const section = sections.find((part) => part.startsWith('One message')) ?? ''
  return [...section.matchAll(/^\*\*(\w+)\*\*:((?:.+\n)+)/gm)].map(([, side, text]) => {
    const steps = [...text.matchAll(/`([\w/.-]+\.(?:ts|js|sh))`(?:\s*(→|⇢))?/g)]
    const files = steps.map(([, path]) => `src/${path}`)
    const joined = files.slice(1).map((file, at) => [files[at], file])
    return { side: side.toLowerCase(), files, joined: joined.filter((_, at) => steps[at][2] === '→') }
  })
}
