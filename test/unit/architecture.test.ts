/** Enforces ARCHITECTURE.md: its import tables and invariants are read from the page, so that the page is the rule. */
import { existsSync } from 'node:fs'
import { posix } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { walkOf } from '../../scripts/message-walk.js'
import {
  circlesOf,
  folderSizes,
  parseSource,
  readSources,
  type Source,
  type SourceImport,
  targetOf,
} from '../../scripts/source-tree.js'
import { type Entry, invariantsOf, type Rule, readPage, rulesOf } from '../support/architecture-page.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const page = readPage(root)
const layers = rulesOf(page, 'Imports')
const rooms = rulesOf(page, 'Rooms of the daemon')
const sources = readSources(root, 'src')
const tests = readSources(root, 'test')

const limits = { file: 300, folder: 15, function: 60 }

/** Modules of Node that the pure folders may use: none that reads, writes, waits or knows the time. */
const pureNode = ['node:crypto', 'node:buffer', 'node:util', 'node:assert']

/** A path below src, without its extension. */
function below(path: string): string {
  return posix.relative('src', path).replace(/\.ts$/, '')
}

function isWithin(path: string, folder: string): boolean {
  return path === folder || path.startsWith(`${folder}/`)
}

/** The most specific row for a path: `harness/claude-code` has one of its own beside `harness`. */
function ruleFor(path: string): Rule | undefined {
  const matching = layers.filter(({ folder }) => isWithin(path, folder.replace(/\.ts$/, '')))
  return matching.sort((a, b) => b.folder.length - a.folder.length)[0]
}

/** Whether an entry lets `file` import `path`. A folder with a row of its own is not meant by its parent's name. */
function covers(entry: Entry, folder: string, file: string, path: string): boolean {
  if (entry.only && !isWithin(`${file}.ts`, posix.join(folder, entry.only))) return false
  const name = entry.name.replace(/\.ts$/, '')
  return isWithin(path, name) && (ruleFor(path)?.folder.length ?? 0) <= Math.max(name.length, entry.name.length)
}

/** Why an import is against the rules; null when it is not. */
function faultOf(path: string, { from, isType }: SourceImport): string | null {
  const file = below(path)
  const rule = ruleFor(file)
  if (!rule) return `is in ${posix.dirname(path)}, a folder that ARCHITECTURE.md does not know`
  if (from.startsWith('node:')) return isPure(file) && !isType && !pureNode.includes(from) ? 'is not pure' : null
  const target = targetOf(path, from)
  if (target === null) return packageFault(rule, file, from, isType)
  if (!target.startsWith('src/')) return 'leads out of src'
  const to = below(target)
  if (ruleFor(to) === rule) return null
  const allows = (entries: Entry[]) => entries.some((entry) => covers(entry, rule.folder, file, to))
  if (allows(rule.values) || (isType && allows(rule.types))) return null
  return allows(rule.types) ? 'may be imported as a type only' : 'is of a layer that may not be imported'
}

function packageFault(rule: Rule, file: string, from: string, isType: boolean): string | null {
  const named = ({ packages }: Rule) => packages.filter(({ name }) => isWithin(from, name))
  if (!layers.some((each) => named(each).length > 0)) return 'is a package that nobody may import'
  const own = named(rule).some(({ only }) => !only || isWithin(`${file}.ts`, posix.join(rule.folder, only)))
  const isHeavy = !isType && from === 'zod/mini' && isPure(file) && !isSchema(file)
  return own && !isHeavy ? null : 'is a package of other files'
}

function isPure(file: string): boolean {
  return ['errors', 'wire', 'api', 'core'].some((folder) => isWithin(file, folder))
}

/** Every command loads the pure folders, and zod costs it 20 ms: so it is loaded by these alone. */
function isSchema(file: string): boolean {
  return file.endsWith('.schema') || file === 'wire/json-schema'
}

function roomOf(path: string): string | null {
  const file = below(path)
  return isWithin(file, 'daemon') ? file.split('/')[1]! : null
}

/** The arrows between rooms of the daemon that its table does not have. */
function wrongArrows(): string[] {
  const found = new Set<string>()
  for (const { path, imports } of sources) {
    const [from, rule] = [roomOf(path), rooms.find(({ folder }) => folder.replace(/\.ts$/, '') === roomOf(path))]
    for (const each of imports) {
      const to = roomOf(targetOf(path, each.from) ?? 'none')
      if (from === null || to === null || from === to) continue
      if (!rule?.values.some(({ name }) => name.replace(/\.ts$/, '') === to)) found.add(`${from} → ${to}`)
    }
  }
  return [...found].sort()
}

/** Names what is over the limit. */
function excess(sizes: [string, number][], limit: number): string[] {
  return sizes.filter(([, size]) => size > limit).map(([name, size]) => `${name}: ${size}`)
}

test('imports - every import is one that ARCHITECTURE.md allows', () => {
  const faults = sources.flatMap(({ path, imports }) =>
    imports.flatMap((each) => {
      const why = faultOf(path, each)
      return why ? [`${path}: ${each.from} ${why}`] : []
    }),
  )
  expect(faults).toEqual([])
})

test('imports - the table names no folder, file or test that does not exist', () => {
  const names = [...layers, ...rooms.map(({ folder }) => ({ folder: `daemon/${folder}` }))].map(({ folder }) => folder)
  expect(names.filter((name) => !existsSync(`${root}/src/${name}`))).toEqual([])
})

test('imports - none is hidden from this test', () => {
  for (const { path, text } of sources) {
    expect(text, path).not.toMatch(/\bcreateRequire\b|\bimport\(\s*[^'"`\s]/)
  }
})

test('imports - the rooms of the daemon point one way', () => {
  expect(wrongArrows()).toEqual([])
})

test('imports - no file is in a circle, type imports included', () => {
  expect(circlesOf(sources)).toEqual([])
})

test('limits - no file is longer than 300 lines', () => {
  const sizes = [...sources, ...tests].map(({ path, lines }): [string, number] => [path, lines])
  expect(excess(sizes, limits.file)).toEqual([])
})

test('limits - no folder has more than 15 files', () => {
  const sizes = Object.entries(folderSizes([...sources, ...tests]))
  expect(excess(sizes, limits.folder)).toEqual([])
})

test('limits - no function of src is longer than 60 lines', () => {
  const sizes = sources.flatMap(({ path, functions }: Source) =>
    functions.map(({ name, lines }): [string, number] => [`${path} ${name}`, lines]),
  )
  expect(excess(sizes, limits.function)).toEqual([])
})

test('invariants - each names a test, and the test exists', () => {
  const invariants = invariantsOf(page)
  expect(invariants.length).toBeGreaterThan(7)
  for (const { text, tests } of invariants) {
    expect(tests, text).not.toEqual([])
    expect(
      tests.filter((path) => !existsSync(`${root}/${path}`)),
      text,
    ).toEqual([])
  }
})

test('walk - a message passes at most ten modules on each side, each of which imports the next or is imported by it', () => {
  const arrows = new Set(
    sources.flatMap(({ path, imports }) => imports.map((each) => `${path} ${targetOf(path, each.from)}`)),
  )
  const walks = walkOf(root)
  expect(walks.map(({ side }) => side)).toEqual(['sender', 'recipient'])
  for (const { files, joined } of walks) {
    expect(files.length).toBeLessThanOrEqual(10)
    expect(joined.filter(([from, to]) => !arrows.has(`${from} ${to}`) && !arrows.has(`${to} ${from}`))).toEqual([])
  }
})

test('words - the root of all subjects stands in one file', () => {
  expect(sources.filter(({ text }) => /mesh\.v\d/.test(text)).map(({ path }) => path)).toEqual(['src/wire/subjects.ts'])
})

test('words - core has neither clock, nor randomness, nor timers', () => {
  const impure =
    /\bDate\.now\b|\bnew Date\(\)|\bMath\.random\b|\brandom(?:UUID|Bytes|Int)\b|\bnewId\b|\bperformance\b|\bset(?:Timeout|Interval|Immediate)\b/
  const found = sources.filter(({ path, text }) => path.startsWith('src/core/') && impure.test(text))
  expect(found.map(({ path }) => path)).toEqual([])
})

test.each([
  ['core/x.ts', "import * as z from 'zod/mini'", 'is a package of other files'],
  ['daemon/x.ts', "import { z } from 'zod'", 'is a package that nobody may import'],
  ['wire/x.ts', "import type { A } from '../core/a.ts'", 'is of a layer that may not be imported'],
  ['core/x.ts', "import { ops } from '../api/ops.schema.ts'", 'may be imported as a type only'],
  ['core/x.ts', "import type { Ops } from '../api/ops.schema.ts'", null],
  ['core/x.ts', "import { type Ops } from '../api/ops.schema.ts'", 'may be imported as a type only'],
  ['core/x.ts', "import type { D } from '../harness/types.ts'", 'is of a layer that may not be imported'],
  ['core/x.ts', "import {\n  a,\n  b,\n} from '../daemon/a.ts'", 'is of a layer that may not be imported'],
  ['core/x.ts', "import 'node:fs'", 'is not pure'],
  ['wire/x.ts', "export * from '../core/a.ts'", 'is of a layer that may not be imported'],
  ['cli/x.ts', "const a = await import('../daemon/a.ts')", 'is of a layer that may not be imported'],
  ['cli/x.ts', "import { a } from '../harness/setup.ts'", null],
  ['cli/x.ts', "import { a } from '../harness/claude-code/install/a.ts'", 'is of a layer that may not be imported'],
  ['daemon/mail/x.ts', "import '../../harness/sessions.ts'", 'is of a layer that may not be imported'],
  ['daemon/main.ts', "import '../harness/sessions.ts'", null],
  ['daemon/main.ts', "import '../harness/claude-code/index.ts'", 'is of a layer that may not be imported'],
  ['daemon/x.ts', "import { connect } from '@nats-io/jetstream'", 'is a package of other files'],
  ['daemon/x.ts', "import type { NatsConnection } from 'nats'", 'is a package of other files'],
  ['nats/x.ts', "import { connect } from 'nats'", null],
  ['nats/x.ts', "import leftpad from 'leftpad'", 'is a package that nobody may import'],
  ['strange/x.ts', "import '../wire/a.ts'", 'is in src/strange, a folder that ARCHITECTURE.md does not know'],
  ['wire/x.ts', "import { a } from '../../test/a.ts'", 'leads out of src'],
])('this test judges - %s with %s', (file, text, why) => {
  const { path, imports } = parseSource(`src/${file}`, text)
  expect(imports.map((each) => faultOf(path, each))).toEqual([why])
})
