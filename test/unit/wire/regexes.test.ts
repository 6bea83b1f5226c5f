/** RELIABILITY.md §4: every regular expression is linear, 50 ms at 1 MB. A ceiling far above ends what would take hours. */
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { runInNewContext } from 'node:vm'
import { expect, test } from 'vitest'
import { renderHandover, visible } from '../../../src/core/render.ts'
import { decodeEnvelope } from '../../../src/wire/codec.ts'
import { wireKinds } from '../../../src/wire/kinds.ts'
import { isMessageId, isName, isToken, patterns, quote, slugOf, toName } from '../../../src/wire/names.ts'
import { isProject, parseMessageSubject, parseReceiptSubject } from '../../../src/wire/subjects.ts'
import { keyOf, project } from '../../support/samples.ts'

const MB = 1_000_000
const LIMIT_MS = 10_000
const src = fileURLToPath(new URL('../../../src/', import.meta.url))
/** A slash that can begin an expression, then its body, then flags. Takes too much rather than too little. */
const LITERAL =
  /(?<=[(=:,[!&|?;{}]\s*|return |^\s+)\/((?![*/])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+)\/([dgimsuv]*)/gm

const literals = readdirSync(src, { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.ts'))
  .flatMap((path) =>
    [...readFileSync(src + path, 'utf8').matchAll(LITERAL)].map(([, source, flags]) => ({
      path,
      source: source!,
      flags: flags!,
    })),
  )

const built = Object.entries(patterns).map(([path, { source, flags }]) => ({ path, source, flags }))

test('expressions are found in the source', () => {
  expect(literals.length).toBeGreaterThan(10)
})

test('every expression is linear', () => {
  for (const { path, source, flags } of [...literals, ...built]) {
    const spent = timeOf(source, flags)
    expect(spent, `${path}: /${source}/${flags}`).toBeLessThan(LIMIT_MS)
  }
})

/** Milliseconds for 1 MB of `a`; Infinity when it had to be stopped. */
function timeOf(source: string, flags: string): number {
  const text = 'a'.repeat(MB)
  const started = performance.now()
  try {
    runInNewContext('new RegExp(source, flags).test(text)', { source, flags, text }, { timeout: LIMIT_MS })
  } catch (error) {
    if ((error as Error).name === 'SyntaxError') return 0
    return Number.POSITIVE_INFINITY
  }
  return performance.now() - started
}

const long = ['a', '-', '_', ' ', '.', '<', '[m_', '\r', '\n', '\u202e', '\ud800', '0', 'é'].map((c) =>
  c.repeat(MB / c.length),
)

test.each([
  ['isName', isName],
  ['isToken', isToken],
  ['isMessageId', isMessageId],
  ['isProject', isProject],
  ['toName', toName],
  ['slugOf', (text: string) => slugOf(text, 64)],
  ['quote', quote],
  ['visible', visible],
  ['parseMessageSubject', (text: string) => parseMessageSubject(project, text)],
  ['parseReceiptSubject', (text: string) => parseReceiptSubject(project, text)],
  ['renderHandover', (text: string) => renderHandover([{ ...shown, text }], 'n', 0)],
  ['decodeEnvelope', (text: string) => decodeEnvelope(project, text, Buffer.from(text), keyOf)],
  [
    'schemas',
    (text: string) => wireKinds.presence.safeParse({ v: 1, kind: 'presence', name: text, lastActivityAt: text }),
  ],
] as const)('%s is linear for long runs of anything', (_name, run) => {
  for (const text of long) {
    const started = performance.now()
    run(text)
    expect(performance.now() - started, JSON.stringify(text.slice(0, 3))).toBeLessThan(LIMIT_MS)
  }
})

const shown = { id: 'm_1', from: 'a', to: 'b', sentAt: '', verified: true, repeat: false }
