/**
 * Reads state documents in the engine, changes them by compare-and-set on their pointer, and removes objects that no
 * kept revision names. An object is stored before a pointer names it.
 */
import {
  appliedRev,
  applyChange,
  emptyDocument,
  emptyPointer,
  keptObjects,
  nextPointer,
  type StateChange,
  withLoss,
} from '../../core/state/state.ts'
import { MeshError } from '../../errors.ts'
import { untilWritten } from '../../link/until.ts'
import type { ProjectStore } from '../../nats/project-store.ts'
import { decodeRecord, encodeRecord, isOfLaterVersion } from '../../wire/codec.ts'
import { times } from '../../wire/limits.ts'
import { type StateDocument, type StatePointer, stateDocument } from '../../wire/state.schema.ts'
import type { Actor } from '../../wire/task.schema.ts'

/** Number of changes of a document after which its writer looks for objects to remove. */
const COLLECT_EVERY = 16

/** Key of a document: a session's own, under the epoch of its name, or one that the project shares. */
export type DocumentRef = { own: string; epoch: number } | { shared: string }

export interface KeptDocument {
  pointer: StatePointer
  /** Revision of the pointer in its bucket; 0 if there is none. */
  revision: number
  document: StateDocument
}

export interface Changed {
  kept: KeptDocument
  /** Revision of the document that the operation made. */
  rev: number
}

export function keyOf(ref: DocumentRef): string {
  return 'own' in ref ? `own.${ref.own}` : `shared.${ref.shared}`
}

export async function readDocument(store: ProjectStore, ref: DocumentRef): Promise<KeptDocument> {
  const key = keyOf(ref)
  const { pointer, revision } = await readPointer(store, key)
  return { pointer, revision, document: await newestReadable(store, key, pointer) }
}

/** Reads a pointer and its revision together: between two reads another session may write a first revision. */
async function readPointer(store: ProjectStore, key: string): Promise<{ pointer: StatePointer; revision: number }> {
  const { value, revision, isThere, isLater } = await store.state.look(key)
  if (value || !isThere) return { pointer: value ?? emptyPointer, revision }
  if (isLater) throw new MeshError('version_skew', 'this document was written by a later version of mesh')
  // Garbage gives way to the last pointer that can be read.
  store.reportDamage(`the pointer of the state document ${key}`)
  return { pointer: (await store.state.all(key)).at(-1)?.value ?? emptyPointer, revision }
}

/**
 * Returns the document that a pointer names. If that is lost, returns the newest one before it that can be read, with a note
 * of what was lost; the next change keeps that note.
 */
export async function newestReadable(store: ProjectStore, key: string, pointer: StatePointer): Promise<StateDocument> {
  const document = await documentAt(store, pointer).catch(nullIfDamaged)
  if (document) return document
  store.reportDamage(`revision ${pointer.rev} of the state document ${key}`)
  for (const { value } of (await store.state.all(key)).toReversed()) {
    const older = value.rev < pointer.rev ? await documentAt(store, value).catch(nullIfDamaged) : null
    if (older) return withLoss(older, pointer, value.rev)
  }
  return withLoss(emptyDocument, pointer, 0)
}

function nullIfDamaged(error: unknown): null {
  if (MeshError.from(error).code !== 'not_found') throw error
  return null
}

/** Returns the document that a pointer names. Throws `not_found` when it is no longer kept, or not readable. */
export async function documentAt(store: ProjectStore, { object }: StatePointer): Promise<StateDocument> {
  if (object === undefined) return emptyDocument
  // An object that is stored again during a read changes its chunks under the reader.
  const read = () => store.documents.get(object)
  const bytes = await read().catch(read)
  const document = decodeRecord(stateDocument, bytes)
  if (document) return document
  if (isOfLaterVersion(bytes))
    throw new MeshError('version_skew', 'this revision of the document was written by a later version of mesh')
  throw new MeshError('not_found', 'this revision of the document is damaged in the store')
}

/** Returns the kept pointers of a document, oldest first. */
export async function documentHistory(store: ProjectStore, ref: DocumentRef): Promise<StatePointer[]> {
  const entries = await store.state.all(keyOf(ref))
  // Written again by a new holder of the name, a revision is there twice.
  return entries.map(({ value }) => value).filter(({ rev }, i, all) => rev > 0 && all[i + 1]?.rev !== rev)
}

/**
 * Makes a change. The same operation again is the same change, and concurrent writers each get their change in. `known`
 * is the document as last seen. Throws what the rules refuse, and `conflict` when the name has a later owner. After
 * `mesh_down` and `timeout` the change may have been made: the same operation again shows it.
 */
export async function changeDocument(
  store: ProjectStore,
  ref: DocumentRef,
  change: StateChange,
  made: { op: string; at: string; by: Actor },
  known?: KeptDocument,
): Promise<Changed> {
  let now = known ?? (await readDocument(store, ref))
  return untilWritten('the document', async () => {
    const done = appliedRev(now.pointer, made.op)
    if (done !== undefined) return { kept: now, rev: done }
    checkEpoch(ref, now.pointer)
    const next = await tried(store, ref, now, change, made)
    const revision = next instanceof MeshError ? null : await written(store, keyOf(ref), next.pointer, now.revision)
    if (!(next instanceof MeshError) && revision !== null) {
      const kept = { ...next, revision }
      await checkStored(store, next)
      if (kept.pointer.rev % COLLECT_EVERY === 0) await collect(store).catch(() => {})
      return { kept, rev: kept.pointer.rev }
    }
    // Refused by the known document, or another session was faster: the current one decides.
    const latest = await readDocument(store, ref)
    if (next instanceof MeshError && latest.revision === now.revision) throw next
    now = latest
    return null
  })
}

interface Tried {
  pointer: StatePointer
  document: StateDocument
  bytes: Uint8Array
  putAt: number
}

/** Returns the next revision, with its object stored, or the refusal of the rules. */
async function tried(
  store: ProjectStore,
  ref: DocumentRef,
  { pointer, document }: KeptDocument,
  change: StateChange,
  { op, at, by }: { op: string; at: string; by: Actor },
): Promise<Tried | MeshError> {
  const next = MeshError.orValue(() => applyChange(document, change, { rev: pointer.rev + 1, at, by: by.name }))
  if (next instanceof MeshError) return next
  const bytes = encodeRecord(next)
  const putAt = performance.now()
  const object = await store.documents.put(bytes)
  const epoch = 'own' in ref ? ref.epoch : 0
  const key = 'key' in change ? { key: change.key } : {}
  const stored = { object, size: bytes.length, epoch }
  return {
    pointer: nextPointer(pointer, stored, { op, at, by, what: change.do, ...key }),
    document: next,
    bytes,
    putAt,
  }
}

/** Checks that an object is still there: it may be collected while its writer sleeps before naming it. */
async function checkStored(store: ProjectStore, { bytes, putAt }: Tried): Promise<void> {
  if (performance.now() - putAt > times.stateGrace / 2) await store.documents.put(bytes)
}

function checkEpoch(ref: DocumentRef, { epoch }: StatePointer): void {
  if ('own' in ref && epoch > ref.epoch)
    throw new MeshError('conflict', `the name ${ref.own} has another holder now`, { hint: 'mesh whoami' })
}

/** Writes a pointer. Returns null if another writer was faster or the answer was lost; reading again shows which. */
async function written(store: ProjectStore, key: string, pointer: StatePointer, revision: number) {
  try {
    return await store.state.update(key, pointer, revision)
  } catch (error) {
    if (MeshError.from(error).code !== 'timeout') throw error
    return null
  }
}

/** Reads a name's document and makes it this owner's, which fences off a former owner. */
export async function takeOwn(store: ProjectStore, ref: { own: string; epoch: number }): Promise<KeptDocument> {
  const key = keyOf(ref)
  return untilWritten('the document', async () => {
    const { pointer, revision } = await readPointer(store, key)
    // A first owner's name had none before it.
    const isMine = Math.max(pointer.epoch, 1) >= ref.epoch
    const mine = { ...pointer, epoch: ref.epoch }
    const fenced = isMine ? revision : await store.state.update(key, mine, revision)
    if (fenced === null) return null
    return { pointer: isMine ? pointer : mine, revision: fenced, document: await newestReadable(store, key, pointer) }
  })
}

/** Removes objects that no kept revision names, by the engine's clock, unless a writer may be about to name them. */
export async function collect(store: ProjectStore): Promise<number> {
  // The objects first: one that is stored later is in no danger.
  const objects = await store.documents.all()
  const entries = await store.state.all()
  const histories = new Map<string, StatePointer[]>()
  for (const { key, value } of entries) histories.set(key, [...(histories.get(key) ?? []), value])
  const kept = keptObjects([...histories.values()])
  const latest = entries.at(-1)?.writtenAt ?? 0
  const gone = objects.filter(({ name, storedAt }) => !kept.has(name) && storedAt < latest - times.stateGrace)
  for (const object of gone) await store.documents.remove(object)
  return gone.length
}
