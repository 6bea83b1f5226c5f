/** Holds the documents to the tree: paths and links that they name exist, and the pages for newcomers stay short. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, posix, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))
const files = readdirSync(root, { recursive: true, encoding: 'utf8' })
  .map((path) => path.split(sep).join('/'))
  .filter((path) => !/^(\.git|node_modules|dist)\//.test(path))
const pages = files.filter((path) => path.endsWith('.md') && !path.startsWith('test/'))

function existsIn(path: string): boolean {
  return path !== '' && existsSync(join(root, path))
}

function read(page: string): string {
  return readFileSync(join(root, page), 'utf8')
}

function wordsOf(page: string): number {
  return read(page).split(/\s+/).filter(Boolean).length
}

/** Headings as GitHub makes anchors of them. */
function anchorsOf(page: string): string[] {
  const headings = read(page).matchAll(/^#+ (.+)$/gm)
  return [...headings].map(([, text]) =>
    text!
      .toLowerCase()
      .replace(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  )
}

test.each(pages)('%s - every source that it names exists, and no other has that name', (page) => {
  // The tables of ARCHITECTURE.md are read, with paths below a folder, by their own test.
  const text = read(page).replace(page === 'ARCHITECTURE.md' ? /^\|.*$/gm : /$^/, '')
  for (const [, path] of text.matchAll(/`([\w@./-]+\.(?:ts|js|cjs|sh))`/g)) {
    if (path!.startsWith('dist/')) continue
    const found = files.filter((file) => file === path || file.endsWith(`/${path}`))
    expect(found, `${page}: ${path}`).toHaveLength(1)
  }
})

test.each(pages)('%s - every link leads somewhere', (page) => {
  for (const [, link] of read(page).matchAll(/\]\(([^)]+)\)/g)) {
    if (/^https?:/.test(link!)) continue
    const [path, anchor] = link!.split('#')
    const target = path ? posix.join(dirname(page), path) : page
    expect(existsIn(target), `${page}: ${link}`).toBe(true)
    if (anchor) expect(anchorsOf(target), `${page}: ${link}`).toContain(anchor)
  }
})

test('README.md has at most 900 words', () => {
  expect(wordsOf('README.md')).toBeLessThanOrEqual(900)
})

test('ARCHITECTURE.md fits two pages', () => {
  expect(wordsOf('ARCHITECTURE.md')).toBeLessThanOrEqual(1400)
})
