/**
 * Coordination state: a document of keys with values, and notes, and what each change makes of it. Keys and values are
 * words of their setter and nothing else: they are compared, never looked up as properties or paths. Pure.
 */
import { MeshError } from '../../errors.ts'
import { checkText } from '../../wire/codec.ts'
import { limits } from '../../wire/limits.ts'
import { patterns, quote } from '../../wire/names.ts'
import type { StateDocument, StateEntry, StatePointer } from '../../wire/state.schema.ts'

/** `ifRev`: only if the key was set last in this revision of the document; 0: only if it is not there. */
export type StateChange =
  | { do: 'set'; key: string; value: string; ifRev?: number }
  | { do: 'rm'; key: string; ifRev?: number }
  | { do: 'note'; text: string }
  /** A document that another session handed over: its keys beside one's own, under its name where both have one. */
  | { do: 'merge'; from: string; given: Pick<StateDocument, 'entries' | 'notes'> }
  /** It was handed over, if that was its last revision. */
  | { do: 'clear'; ifDocumentRev: number }

/** Room in a document that takes another in, for the note about it. */
const ROOM_BYTES = 1024

export const emptyDocument: StateDocument = { v: 1, kind: 'state_document', entries: [], notes: [] }

export const emptyPointer: StatePointer = { v: 1, kind: 'state', epoch: 0, rev: 0, size: 0, recent: [] }

/** Throws `bad_request` unless `key` can be one: 1 to 128 visible characters without white space. */
export function checkKey(key: string): string {
  if (patterns.stateKey.test(key)) return key
  throw new MeshError('bad_request', `${quote(key)} is not a key`, {
    hint: `a key is 1 to ${limits.stateKey} visible characters without spaces`,
  })
}

export function entryOf(document: StateDocument, key: string): StateEntry | undefined {
  return document.entries.find((entry) => entry.key === key)
}

/** The revision that the operation made; undefined if it is not among the last ones. */
export function appliedRev(pointer: StatePointer, op: string): number | undefined {
  return pointer.recent.find((one) => one.op === op)?.rev
}

/**
 * The document after a change that makes revision `rev`. Throws `bad_request`, `not_found` (rm of what is not there),
 * `conflict` (`ifRev` does not match), `too_large`.
 */
export function applyChange(
  document: StateDocument,
  change: StateChange,
  { rev, at, by }: { rev: number; at: string; by: string },
): StateDocument {
  if (change.do === 'clear') return cleared(change.ifDocumentRev, rev)
  if (change.do === 'merge') return merged(document, change, { rev, at, by })
  if (change.do === 'note') return withNote(document, { at, by, text: checkNote(change.text) })
  const key = checkKey(change.key)
  const before = entryOf(document, key)
  checkRev(key, before, change.ifRev)
  const others = document.entries.filter((entry) => entry !== before)
  if (change.do === 'rm') {
    if (!before)
      throw new MeshError('not_found', `there is no key ${quote(key)}`, { hint: 'mesh state list shows them' })
    return { ...document, entries: others }
  }
  checkText(change.value)
  return checkSize({ ...document, entries: [...others, { key, value: change.value, rev, at, by }] })
}

function cleared(expected: number, rev: number): StateDocument {
  if (expected === rev - 1) return emptyDocument
  throw new MeshError('conflict', `the document is at revision ${rev - 1}, not at ${expected}`)
}

/** Takes in as much as there is room for, and notes how much was left. */
function merged(
  document: StateDocument,
  { from, given }: StateChange & { do: 'merge' },
  { rev, at, by }: { rev: number; at: string; by: string },
): StateDocument {
  let next = document
  let left = 0
  for (const entry of given.entries) {
    const own = entryOf(document, entry.key)
    if (own?.value === entry.value) continue
    const key = own ? `${from}/${entry.key}`.slice(0, limits.stateKey) : entry.key
    const others = next.entries.filter((one) => one.key !== key)
    const more = { ...next, entries: [...others, { ...entry, key, rev }] }
    if (more.entries.length < limits.stateKeys && sizeOf(more) <= limits.stateBytes - ROOM_BYTES) next = more
    else left++
  }
  const notes = [...given.notes, ...next.notes].sort((a, b) => (a.at < b.at ? -1 : 1)).slice(-limits.stateNotes + 1)
  const all = { ...next, notes }
  const fitting = sizeOf(all) <= limits.stateBytes - ROOM_BYTES ? all : next
  const lost = { at, by, text: `${left} keys of ${from} did not fit: mesh state history there has them` }
  return left === 0 ? fitting : { ...fitting, notes: [...fitting.notes, lost].slice(-limits.stateNotes) }
}

function checkRev(key: string, before: StateEntry | undefined, ifRev: number | undefined): void {
  const rev = before?.rev ?? 0
  if (ifRev === undefined || ifRev === rev) return
  const now = before ? `is at revision ${rev}, set by ${before.by} at ${before.at}` : 'is not there'
  throw new MeshError('conflict', `${quote(key)} ${now}, not at ${ifRev}`, {
    hint: 'mesh state list shows revisions; then try again',
  })
}

function checkNote(text: string): string {
  checkText(text)
  if (text.trim() === '') throw new MeshError('bad_request', 'a note needs a text')
  if (text.length <= limits.stateNoteChars) return text
  throw new MeshError('too_large', `a note has at most ${limits.stateNoteChars} characters`, {
    hint: 'mesh state set keeps longer texts',
  })
}

/** The oldest notes make room for the newest. */
function withNote(document: StateDocument, note: StateDocument['notes'][number]): StateDocument {
  return checkSize({ ...document, notes: [...document.notes, note].slice(-limits.stateNotes) })
}

function checkSize(document: StateDocument): StateDocument {
  if (document.entries.length > limits.stateKeys)
    throw new MeshError('too_large', `a document has at most ${limits.stateKeys} keys`, { hint: 'mesh state rm KEY' })
  const bytes = sizeOf(document)
  if (bytes <= limits.stateBytes) return document
  throw new MeshError('too_large', `the document would be ${bytes} bytes, the limit is ${limits.stateBytes}`, {
    hint: 'keep large things in files, and their paths here; mesh state rm KEY makes room',
  })
}

/** Returns a document that goes on from revision `from`, because the one that `pointer` names is lost. */
export function withLoss(document: StateDocument, { rev, change }: StatePointer, from: number): StateDocument {
  if (!change) return document
  const { at, by, what, key } = change
  const done = key === undefined ? what : `${what} ${key}`
  const text = `revision ${rev} (${done}) is lost: the store is damaged; this goes on from revision ${from}`
  return { ...document, notes: [...document.notes, { at, by: by.name, text }].slice(-limits.stateNotes) }
}

/** UTF-8 bytes of all values and notes. */
export function sizeOf({ entries, notes }: StateDocument): number {
  const texts = [...entries.map(({ value }) => value), ...notes.map(({ text }) => text)]
  return texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0)
}

/** The pointer to the document after `change`, stored as `object`. */
export function nextPointer(
  pointer: StatePointer,
  stored: { object: string; size: number; epoch: number },
  change: NonNullable<StatePointer['change']>,
): StatePointer {
  const rev = pointer.rev + 1
  const recent = [...pointer.recent, { op: change.op, rev }].slice(-limits.stateRecent)
  return { ...pointer, ...stored, rev, change, recent }
}

/**
 * Returns the objects that have to stay: those that a kept revision names, of each document the newest ones up to
 * `limits.stateHistoryBytes`, and the current one always. `histories`: the kept pointers of each document, oldest first.
 */
export function keptObjects(histories: Iterable<readonly StatePointer[]>): Set<string> {
  const kept = new Set<string>()
  for (const history of histories) {
    const objects = new Set<string>()
    let bytes = 0
    for (const { object, size } of history.toReversed()) {
      if (object === undefined || objects.has(object)) continue
      bytes += size
      if (objects.size > 0 && bytes > limits.stateHistoryBytes) break
      objects.add(object)
    }
    for (const object of objects) kept.add(object)
  }
  return kept
}
