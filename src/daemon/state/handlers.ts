/** Handles the operations on coordination state. */
import type { Parsed } from '../../api/ops.schema.ts'
import { checkKey, entryOf, type StateChange } from '../../core/state/state.ts'
import { MeshError } from '../../errors.ts'
import { checkName, checkToken, quote } from '../../wire/names.ts'
import type { StateDocument } from '../../wire/state.schema.ts'
import { actorOf } from '../names/actor.ts'
import type { HandlersOf } from '../socket/call.ts'
import {
  changeDocument,
  type DocumentRef,
  documentAt,
  documentHistory,
  type KeptDocument,
  readDocument,
} from './documents.ts'
import { forget } from './forget.ts'
import { handOff, type StateSession } from './handoff.ts'

export const stateHandlers = {
  async state_change(session, { op, shared, ...given }) {
    const { store } = session.link
    const change = changeOf(given)
    const { rev } =
      shared === undefined
        ? await session.state.change(store, session.record, change, op)
        : await changeDocument(store, refOf(session, shared), change, {
            op,
            at: new Date().toISOString(),
            by: actorOf(session.record),
          })
    return { rev, key: 'key' in change ? change.key : null, shared: shared ?? null }
  },

  async state_read(session, { key, shared, rev }) {
    if (key !== undefined) checkKey(key)
    const { document, pointer } = await readAt(session, refOf(session, shared), rev)
    if (key === undefined) return { rev: pointer.rev, ...shown(document) }
    const entry = entryOf(document, key)
    if (entry) return { rev: pointer.rev, entries: [entry], notes: [] }
    throw new MeshError('not_found', `there is no key ${quote(key)}`, { hint: 'mesh state list shows them' })
  },

  async state_history(session, { shared }) {
    const history = await documentHistory(session.link.store, refOf(session, shared))
    return history.flatMap(({ rev, change }) => {
      return change ? [{ rev, at: change.at, by: change.by.name, what: change.what, key: change.key ?? null }] : []
    })
  },

  async handoff(session, request) {
    return handOff(session, request)
  },

  async state_show(session) {
    const [{ document }] = await Promise.all([
      readDocument(session.link.store, refOf(session)),
      session.obligations.read(),
    ])
    return { ...shown(document), obligations: session.obligations.list() }
  },

  async forget(session, { name }) {
    return forget(session, checkName(name))
  },
} satisfies HandlersOf<StateSession>

function refOf({ record }: StateSession, shared?: string): DocumentRef {
  if (shared === undefined) return { own: record.name, epoch: record.epoch }
  try {
    return { shared: checkToken(shared, 'topic') }
  } catch {
    throw new MeshError('bad_name', `${quote(shared)} is not a name of a shared document`, {
      hint: 'a name is 1 to 64 of a-z 0-9 _ -, begins with a letter or digit',
    })
  }
}

function changeOf({ do: word, key, value, text, ifRev }: Omit<Parsed<'state_change'>, 'op' | 'shared'>): StateChange {
  const need = (what: string | undefined, name: string): string => {
    if (what !== undefined) return what
    throw new MeshError('bad_request', `${word} needs a ${name}`)
  }
  if (word === 'note') return { do: word, text: need(text, 'text') }
  const named = { key: checkKey(need(key, 'key')), ...(ifRev === undefined ? {} : { ifRev }) }
  return word === 'rm' ? { do: word, ...named } : { do: word, ...named, value: need(value, 'value') }
}

async function readAt(session: StateSession, ref: DocumentRef, rev?: number): Promise<Omit<KeptDocument, 'revision'>> {
  const { store } = session.link
  if (rev === undefined) return readDocument(store, ref)
  const pointer = (await documentHistory(store, ref)).find((one) => one.rev === rev)
  if (pointer) return { pointer, document: await documentAt(store, pointer) }
  throw new MeshError('not_found', `revision ${rev} is not kept`, { hint: 'mesh state history lists those that are' })
}

/** Returns the entries and notes of a document as callers see them, newest last. */
function shown({ entries, notes }: StateDocument) {
  return { entries, notes }
}
