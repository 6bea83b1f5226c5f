/** Reads and shows values of coordination state. */
import type { ShownState } from '../../../api/state-ops.schema.ts'
import { visible } from '../../../core/render.ts'
import { MeshError } from '../../../errors.ts'
import { limits } from '../../../wire/limits.ts'
import { patterns, quote } from '../../../wire/names.ts'
import type { Context, Values } from '../../command.ts'
import { joinWords, readInput } from '../../input/text.ts'
import { columns, oneLine } from '../../show/columns.ts'
import { ago } from '../../show/time.ts'
import type { View } from '../../show/view.ts'
import { fit } from '../../show/width.ts'

const VALUE_CHARS = 60

/** Throws `bad_request` unless `text` can be a key. */
export function checkKey(text: string): string {
  if (patterns.stateKey.test(text)) return text
  throw new MeshError('bad_request', `${quote(text)} is not a key`, {
    hint: `a key is 1 to ${limits.stateKey} visible characters without spaces`,
  })
}

/** The document that `--shared` names. Throws `bad_name`. */
export function documentOf({ shared }: Values<'shared'>): { shared?: string } {
  if (shared === undefined) return {}
  if (patterns.token.test(shared)) return { shared }
  throw new MeshError('bad_name', `--shared ${quote(shared)} is not a name`, {
    hint: 'a name is 1 to 64 of a-z 0-9 _ -, begins with a letter or digit',
  })
}

/**
 * The text that a command keeps: its last argument, the words after `--`, or standard input with `-`, of which the last
 * line end is not part of the text. Throws `bad_request`, `too_large`.
 */
export async function readKept(context: Context, argument: string | undefined): Promise<string> {
  const { words, stdin, command } = context
  const given = [argument !== undefined, words !== null, stdin].filter(Boolean).length
  if (given !== 1) {
    const what = given === 0 ? 'there is nothing to keep' : 'the text is given twice'
    throw new MeshError('bad_request', `mesh ${command.name}: ${what}`, { hint: `see: mesh ${command.name} --help` })
  }
  const text = stdin ? (await readInput(process.stdin)).replace(/\r?\n$/, '') : joinWords(words ?? [argument!])
  if (Buffer.byteLength(text) <= limits.stateBytes) return text
  throw new MeshError('too_large', `the text is ${Buffer.byteLength(text)} bytes, the limit is ${limits.stateBytes}`, {
    hint: 'keep it in a file and set its path',
  })
}

/** Reads a text that is JSON, if nothing is lost by that; else returns the text itself. */
export function valueAsJson(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null) return value
    return typeof value !== 'string' && JSON.stringify(value) === text ? value : text
  } catch {
    return text
  }
}

/** Returns a text as it is, but at a terminal without what would change its display. */
export function printable(text: string): string {
  return process.stdout.isTTY ? visible(text) : text
}

/** Returns the table of what is kept. */
export function entryLines(entries: ShownState['entries'], { now, width }: View): string[] {
  if (entries.length === 0) return ['nothing is kept']
  const rows = entries.map(({ key, value, rev, at, by }) => [
    oneLine(key),
    String(rev),
    oneLine(by),
    `${ago(at, now)} ago`,
    beginning(value),
  ])
  return columns([['KEY', 'REV', 'BY', 'SET', 'VALUE'], ...rows], width)
}

function beginning(value: string): string {
  const line = oneLine(value.slice(0, VALUE_CHARS * 2))
  return line.length > VALUE_CHARS || value.length > VALUE_CHARS * 2 ? `${line.slice(0, VALUE_CHARS - 1)}…` : line
}

export function noteLines(notes: ShownState['notes'], { now, lineWidth }: View): string[] {
  return notes.map(({ at, by, text }) => fit(`${ago(at, now)} ago, ${oneLine(by)}: ${oneLine(text)}`, lineWidth))
}
