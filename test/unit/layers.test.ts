/** Enforces the import table of ARCHITECTURE.md, and which words and packages occur where. */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, relative, resolve, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const src = fileURLToPath(new URL('../../src', import.meta.url))

interface Rule {
  /** Folders, or files without their extension, that may be imported besides one's own folder. */
  values: string[]
  /** The same, for `import type` only. */
  types?: string[]
}

/** ARCHITECTURE.md, "Imports point one way". */
const table: Record<string, Rule> = {
  errors: { values: [] },
  wire: { values: ['errors'] },
  api: { values: ['wire'] },
  core: { values: ['errors', 'wire'], types: ['api'] },
  host: { values: ['errors', 'wire'] },
  engine: { values: ['errors', 'wire', 'host'] },
  nats: { values: ['errors', 'wire'] },
  harness: { values: ['errors', 'wire', 'host', 'core'] },
  link: { values: ['errors', 'wire', 'host', 'engine', 'nats'] },
  run: { values: ['errors', 'wire', 'api', 'core', 'host', 'nats', 'link'] },
  supervisor: { values: ['errors', 'wire', 'api', 'core', 'host', 'engine', 'nats', 'harness', 'link', 'run'] },
  daemon: { values: ['errors', 'wire', 'api', 'core', 'host', 'engine', 'nats', 'harness', 'link', 'run'] },
  client: { values: ['errors', 'host', 'api/version'], types: ['api'] },
  cli: {
    values: [
      'errors',
      'client',
      'host',
      'engine',
      'wire',
      'core/render',
      'harness/claude-code/install/install',
      'harness/claude-code/spawn/launch',
      'harness/claude-code/install/uninstall',
      'mcp/server',
      'doctor',
    ],
    types: ['api'],
  },
  doctor: {
    values: [
      'errors',
      'client',
      'host',
      'engine',
      'wire',
      'harness/claude-code/install/install',
      'harness/claude-code/install/inspect',
      'harness/claude-code/install/other-home',
    ],
    types: ['api'],
  },
  mcp: {
    values: ['errors', 'client', 'host', 'wire', 'api', 'core/render', 'harness/claude-code/mcp-parent'],
  },
}

/** Packages, and who may import them. A package that is not here is a decision to be made here. */
const packages: { name: RegExp; allowed: RegExp; types?: RegExp }[] = [
  { name: /^(nats|@nats-io\/.*)$/, allowed: /^nats\// },
  {
    name: /^zod\/mini$/,
    allowed: /\.schema\.ts$|^wire\/json-schema\.ts$|^(daemon|run|supervisor|link)\/|^mcp\//,
    types: /./,
  },
  { name: /^pino$/, allowed: /^host\/log\.ts$/ },
  { name: /^cac$/, allowed: /^cli\// },
  { name: /^@modelcontextprotocol\/server/, allowed: /^mcp\// },
  { name: /^@cfworker\/json-schema$/, allowed: /^supervisor\/schema\.ts$/ },
]

/** What the pure folders may import of Node: nothing that reads or writes, waits or tells the time. */
const pure = /^(errors\.ts$|wire\/|api\/|core\/)/
const pureNode = ['node:crypto', 'node:buffer', 'node:util', 'node:assert']

interface Import {
  file: string
  from: string
  isType: boolean
}

function sources(): { file: string; text: string }[] {
  const paths = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.ts'))
  return paths.map((path) => ({ file: path.split(sep).join('/'), text: readFileSync(resolve(src, path), 'utf8') }))
}

/** Every import of a source file. `import { type A }` counts as a value: it still loads the module. */
function importsOf(file: string, text: string): Import[] {
  const statements = text.matchAll(/^(?:import|export)\s(type\s)?(?:[^'"`;()]*?\sfrom\s)?['"]([^'"]+)['"]/gm)
  const calls = text.matchAll(/(typeof\s+)?\b(?:import|require)\(\s*['"`]([^'"`]+)['"`]/g)
  return [...statements, ...calls].map(([, type, from]) => ({ file, from: from!, isType: type !== undefined }))
}

/** A relative import as a path below src without extension; null when it leads out of src. */
function target({ file, from }: Import): string | null {
  const path = relative(src, resolve(src, dirname(file), from))
    .split(sep)
    .join('/')
  return path.startsWith('..') ? null : path.replace(/\.ts$/, '')
}

function isWithin(path: string, allowed: readonly string[]): boolean {
  return allowed.some((entry) => path === entry || path.startsWith(`${entry}/`))
}

function layerOf(file: string): string {
  return file.split('/')[0]!.replace(/\.ts$/, '')
}

/** Why an import is against the rules; null when it is not. */
function fault(found: Import): string | null {
  if (found.from.startsWith('.')) return layerFault(found)
  if (found.from.startsWith('node:')) {
    return pure.test(found.file) && !found.isType && !pureNode.includes(found.from) ? 'is not pure' : null
  }
  const rule = packages.find(({ name }) => name.test(found.from))
  if (!rule) return 'is a package that nobody may import'
  if (rule.allowed.test(found.file)) return null
  return found.isType && rule.types?.test(found.file) ? null : 'is a package of other files'
}

function layerFault(found: Import): string | null {
  const layer = layerOf(found.file)
  const path = target(found)
  if (path === null) return 'leads out of src'
  const rule = table[layer]
  if (!rule) return `is in ${layer}, a folder that ARCHITECTURE.md does not know`
  if (isWithin(path, [layer, ...rule.values])) return null
  if (found.isType && isWithin(path, rule.types ?? [])) return null
  return isWithin(path, rule.types ?? []) ? 'may be imported as a type only' : 'is of a layer that may not be imported'
}

const files = sources()
const imports = files.flatMap(({ file, text }) => importsOf(file, text))

test('every import is one that ARCHITECTURE.md allows', () => {
  expect(imports.length).toBeGreaterThan(20)
  const faults = imports.flatMap((found) => {
    const why = fault(found)
    return why ? [`${found.file}: ${found.from} ${why}`] : []
  })
  expect(faults).toEqual([])
})

test('no import is hidden from this test', () => {
  for (const { file, text } of files) {
    expect(text, file).not.toMatch(/\bcreateRequire\b|\bimport\(\s*[^'"`\s]/)
  }
})

test('of the daemon, only what starts a process knows Claude Code', () => {
  const knowing = imports.filter((found) => target(found)?.startsWith('harness/claude-code/')).map(({ file }) => file)
  const inDaemon = new Set(knowing.filter((file) => ['daemon', 'link', 'run', 'supervisor'].includes(layerOf(file))))
  expect([...inDaemon].sort()).toEqual(['daemon/main.ts', 'supervisor/main.ts'])
})

test('the root of all subjects stands in one file', () => {
  const withRoot = files.filter(({ text }) => /mesh\.v\d/.test(text)).map(({ file }) => file)
  expect(withRoot).toEqual(['wire/subjects.ts'])
})

test('core has neither clock, nor randomness, nor timers', () => {
  const impure =
    /\bDate\.now\b|\bnew Date\(\)|\bMath\.random\b|\brandom(?:UUID|Bytes|Int)\b|\bnewId\b|\bperformance\b|\bset(?:Timeout|Interval|Immediate)\b/
  const found = files.filter(({ file, text }) => file.startsWith('core/') && impure.test(text)).map(({ file }) => file)
  expect(found).toEqual([])
})

test.each([
  ['core/x.ts', "import * as z from 'zod/mini'", 'is a package of other files'],
  ['daemon/x.ts', "import { z } from 'zod'", 'is a package that nobody may import'],
  ['wire/x.ts', "import type { A } from '../core/a.ts'", 'is of a layer that may not be imported'],
  ['core/x.ts', "import { ops } from '../api/ops.schema.ts'", 'may be imported as a type only'],
  ['core/x.ts', "import type { Ops } from '../api/ops.schema.ts'", null],
  ['core/x.ts', "import { type Ops } from '../api/ops.schema.ts'", 'may be imported as a type only'],
  ['core/x.ts', "import type { D } from '../harness/types.ts'", 'is of a layer that may not be imported'],
  ['core/x.ts', "import type { D } from '../harness/claude-code/a.ts'", 'is of a layer that may not be imported'],
  ['core/x.ts', "import {\n  a,\n  b,\n} from '../daemon/a.ts'", 'is of a layer that may not be imported'],
  ['core/x.ts', "import 'node:fs'", 'is not pure'],
  ['wire/x.ts', "export * from '../core/a.ts'", 'is of a layer that may not be imported'],
  ['cli/commands/x.ts', "const a = await import('../../daemon/a.ts')", 'is of a layer that may not be imported'],
  ['cli/commands/x.ts', "import { a } from '../../harness/claude-code/install/install.ts'", null],
  [
    'cli/commands/x.ts',
    "import { a } from '../../harness/claude-code/hooks.ts'",
    'is of a layer that may not be imported',
  ],
  ['daemon/x.ts', "import { connect } from '@nats-io/jetstream'", 'is a package of other files'],
  ['daemon/x.ts', "import type { NatsConnection } from 'nats'", 'is a package of other files'],
  ['nats/x.ts', "import { connect } from 'nats'", null],
  ['nats/x.ts', "import leftpad from 'leftpad'", 'is a package that nobody may import'],
  ['strange/x.ts', "import { a } from '../wire/a.ts'", 'is in strange, a folder that ARCHITECTURE.md does not know'],
  ['wire/x.ts', "import { a } from '../../test/a.ts'", 'leads out of src'],
])('this test judges: %s with %s', (file, text, why) => {
  expect(importsOf(file, text).map(fault)).toEqual([why])
})
