// Prints the figures that say whether the house is in order: `node scripts/figures.js [CHECKOUT] [--words]`.
// It reads any checkout, also an older one, so that two of them can be compared. `--words` adds where the words are.
import { existsSync, readFileSync } from 'node:fs'
import { join, posix, resolve } from 'node:path'
import { walkOf } from './message-walk.js'
import { circlesOf, folderSizes, readSources } from './source-tree.js'

const args = process.argv.slice(2)
const root = resolve(args.find((arg) => !arg.startsWith('--')) ?? '.')
const src = readSources(root, 'src')
const tests = readSources(root, 'test')

/**
 * A doc comment is headless when its first word stands for a noun that the reader has to guess: "What a session waits
 * for", "Of those who claim, one". On 3b4d1e0 these are 15 % of 2,743.
 */
const HEADLESS = /^(what|who|whoever|whom|whose|one|ones|of|that|which|whether|nobody|somebody|the same)\b/i
/** These begin a clause instead of a statement; some are fine, most read better turned round. */
const CLAUSE = /^(how|where|as|for|so|then)\b/i

/**
 * Files where a message is "held": the loop budget, and the mailbox and its callers, which carry the budget's mark
 * (`Entry.held`) from the journal to the reader.
 */
const LOOP_BUDGET = /(budget|loop)[^/]*\.ts$|(core\/mail\/inbox|daemon\/mail\/(incoming|mailbox)|daemon\/policy)\.ts$/

function words(text) {
  return text.match(/[A-Z]?[a-z]+|[A-Z]+(?![a-z])/g) ?? []
}

function count(sources, pattern) {
  const found = sources.map(({ path, text }) => [path, words(text).filter((word) => pattern.test(word)).length])
  return found.filter(([, times]) => times > 0).sort((a, b) => b[1] - a[1])
}

function total(counted) {
  return counted.reduce((sum, [, times]) => sum + times, 0)
}

function wordsOf(file) {
  return existsSync(join(root, file)) ? readFileSync(join(root, file), 'utf8').split(/\s+/).filter(Boolean).length : 0
}

function largest(entries, most = 5) {
  return entries
    .sort((a, b) => b[1] - a[1])
    .slice(0, most)
    .map(([name, size]) => `${size} ${name}`)
    .join(', ')
}

function shape(title, sources) {
  const functions = sources.flatMap(({ path, functions }) =>
    functions.map(({ name, line, lines }) => [`${name} (${path}:${line})`, lines]),
  )
  const sizes = sources.map(({ lines }) => lines).sort((a, b) => a - b)
  const over = (entries, limit) => entries.filter(([, size]) => size > limit).length
  const folders = Object.entries(folderSizes(sources))
  const files = sources.map(({ path, lines }) => [path, lines])
  print(title, `${sources.length} files, ${sizes.reduce((a, b) => a + b, 0)} lines, median ${sizes[sizes.length >> 1]}`)
  print('  files per folder', `${over(folders, 15)} over 15; ${largest(folders)}`)
  print('  longest files', `${over(files, 300)} over 300; ${largest(files)}`)
  print('  longest functions', `${over(functions, 60)} over 60; ${largest(functions)}`)
}

function print(title, text) {
  console.log(`${title.padEnd(28)} ${text}`)
}

function headless() {
  const docs = src.flatMap(({ path, docs }) => docs.map((doc) => ({ path, doc })))
  const found = docs.filter(({ doc }) => HEADLESS.test(doc))
  const clauses = docs.filter(({ doc }) => CLAUSE.test(doc))
  print(
    'doc comments in src',
    `${docs.length}, headless ${percent(found, docs)}, beginning a clause ${percent(clauses, docs)}`,
  )
  if (args.includes('--words'))
    list([...found, ...clauses].map(({ path, doc }) => `${path}: ${doc.split('\n')[0].slice(0, 90)}`))
}

function percent(part, whole) {
  return `${part.length} (${((100 * part.length) / whole.length).toFixed(1)} %)`
}

function vocabulary() {
  const tell = count(src, /^(tells?|told|tellings?|tellers?)$/i)
  const held = count(src, /^(held|holds?|holding)$/i)
  const elsewhere = held.filter(([path]) => !LOOP_BUDGET.test(path))
  print('tell, told, telling, teller', `${total(tell)} in src, identifiers included`)
  if (args.includes('--words')) list(tell.map(([path, times]) => `${times} ${path}`))
  const wire = elsewhere.reduce((sum, [path]) => sum + (textOf(path).match(/'held'|\bheld\??:/g)?.length ?? 0), 0)
  print(
    'held, hold, holding',
    `${total(held)} in src, outside the loop budget ${total(elsewhere)}, ${wire} of them the wire's word`,
  )
  if (args.includes('--words')) list(elsewhere.map(([path, times]) => `${times} ${path}`))
}

function textOf(path) {
  return src.find((source) => source.path === path).text
}

function list(lines) {
  for (const line of lines) console.log(`    ${line}`)
}

function message() {
  const walk = walkOf(root)
  for (const { side, files } of walk) print(`a message, ${side}`, `${files.length} modules: ${files.join(' → ')}`)
  if (walk.length === 0) print('a message', 'no walk is declared in ARCHITECTURE.md')
}

shape('src', src)
shape('test', tests)
const circles = circlesOf(src)
print(
  'import circles in src',
  `${circles.length}, of ${circles.map(({ length }) => length).join(' and ') || 'no'} files`,
)
list(circles.map((group) => group.map((path) => posix.relative('src', path)).join(' ')))
message()
print('words', `README.md ${wordsOf('README.md')}, ARCHITECTURE.md ${wordsOf('ARCHITECTURE.md')}`)
headless()
vocabulary()
