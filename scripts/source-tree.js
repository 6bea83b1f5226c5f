// Reads the sources of a checkout with a real parser: lines, functions, imports, doc comments. Used by
// `scripts/figures.js` and by `test/unit/architecture.test.ts`.
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, posix, sep } from 'node:path'
import { parseSync } from 'vite'

/**
 * @typedef {{ name: string, line: number, lines: number }} SourceFunction
 * @typedef {{ from: string, isType: boolean, isLate: boolean }} SourceImport `isLate`: an `import()` at run time
 * @typedef {{ path: string, text: string, lines: number, functions: SourceFunction[], imports: SourceImport[], docs: string[] }} Source
 */

/**
 * Returns every source file (.ts, .js) below `folder` of `root`, parsed, sorted by path.
 * @param {string} root
 * @param {string} folder
 * @returns {Source[]}
 */
export function readSources(root, folder) {
  const names = readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
  const paths = names.filter((name) => /\.[tj]s$/.test(name) && !name.includes('node_modules'))
  return paths
    .map((name) => posix.join(folder, name.split(sep).join('/')))
    .sort()
    .map((path) => parseSource(path, readFileSync(join(root, path), 'utf8')))
}

/**
 * Parses one source. Throws where it is not valid TypeScript.
 * @param {string} path
 * @param {string} text
 * @returns {Source}
 */
export function parseSource(path, text) {
  const { program, comments, errors } = parseSync(path, text)
  if (errors.length > 0) throw new Error(`${path}: ${errors[0].message}`)
  const source = { path, text, lines: text.split('\n').length - 1, functions: [], imports: [], docs: docsOf(comments) }
  const lineAt = lineFinder(text)
  walk(program, null, (node, parent) => {
    const imported = importOf(node)
    if (imported) source.imports.push(imported)
    if (isFunction(node)) source.functions.push(describe(node, parent, lineAt))
  })
  return source
}

/**
 * Resolves a relative import to a path below the checkout; null for packages and for `node:` modules.
 * @param {string} path
 * @param {string} from
 */
export function targetOf(path, from) {
  return from.startsWith('.') ? posix.normalize(posix.join(dirname(path), from)) : null
}

/**
 * Returns the groups of files that import each other in a circle, largest first. Type imports count; `import()` at run
 * time does not, since a table of late imports points back by design.
 * @param {Source[]} sources
 * @returns {string[][]}
 */
export function circlesOf(sources) {
  const early = ({ path, imports }) => imports.filter(({ isLate }) => !isLate).map(({ from }) => targetOf(path, from))
  const arrows = new Map(sources.map((source) => [source.path, early(source)]))
  return components(arrows)
    .filter((group) => group.length > 1)
    .sort((a, b) => b.length - a.length)
}

/**
 * Returns how many source files are directly in each folder.
 * @param {Source[]} sources
 * @returns {Record<string, number>}
 */
export function folderSizes(sources) {
  /** @type {Record<string, number>} */
  const sizes = {}
  for (const { path } of sources) sizes[posix.dirname(path)] = (sizes[posix.dirname(path)] ?? 0) + 1
  return sizes
}

function docsOf(comments) {
  const docs = comments.filter(({ type, value }) => type === 'Block' && value.startsWith('*'))
  return docs.map(({ value }) => value.replace(/^\s*\*+ ?/gm, '').trim())
}

function lineFinder(text) {
  const starts = [0]
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) starts.push(at + 1)
  return (offset) => {
    let low = 0
    let high = starts.length
    while (high - low > 1) {
      const middle = (low + high) >> 1
      if (starts[middle] <= offset) low = middle
      else high = middle
    }
    return low + 1
  }
}

function walk(node, parent, visit) {
  if (Array.isArray(node)) for (const each of node) walk(each, parent, visit)
  else if (node && typeof node.type === 'string') {
    visit(node, parent)
    for (const key of Object.keys(node)) {
      const child = node[key]
      if (child && typeof child === 'object') walk(child, node, visit)
    }
  }
}

/** The import that a node makes: static, re-exported, dynamic, `require`, or of a type. */
function importOf(node) {
  const of = (literal, isType, isLate = false) =>
    typeof literal?.value === 'string' ? { from: literal.value, isType, isLate } : null
  switch (node.type) {
    case 'ImportDeclaration':
      return of(node.source, node.importKind === 'type')
    case 'ExportNamedDeclaration':
    case 'ExportAllDeclaration':
      return of(node.source, node.exportKind === 'type')
    case 'ImportExpression':
      return of(node.source, false, true)
    case 'TSImportType':
      return of(node.source ?? node.argument?.literal ?? node.argument, true)
    case 'CallExpression':
      return node.callee.name === 'require' ? of(node.arguments[0], false) : null
    default:
      return null
  }
}

function isFunction(node) {
  return ['FunctionDeclaration', 'FunctionExpression', 'ArrowFunctionExpression'].includes(node.type) && node.body
}

function describe(node, parent, lineAt) {
  const line = lineAt(node.start)
  const named = node.id ?? (parent && (parent.id ?? parent.key))
  return { name: named?.name ?? named?.value ?? 'a function', line, lines: lineAt(node.end - 1) - line + 1 }
}

/** Tarjan's strongly connected components, without recursion limits that matter here. */
function components(arrows) {
  const index = new Map()
  const low = new Map()
  const stack = []
  const groups = []
  const visit = (path) => {
    index.set(path, index.size)
    low.set(path, index.get(path))
    stack.push(path)
    for (const to of arrows.get(path)) {
      if (!arrows.has(to)) continue
      if (!index.has(to)) visit(to)
      if (stack.includes(to)) low.set(path, Math.min(low.get(path), low.get(to)))
    }
    if (low.get(path) === index.get(path)) groups.push(stack.splice(stack.indexOf(path)).sort())
  }
  for (const path of arrows.keys()) if (!index.has(path)) visit(path)
  return groups
}
