/** Removes a name without an owner, with all that is kept under it. */
import type { Response } from '../../api/ops.schema.ts'
import { startPosition, wasRead } from '../../core/mail/surfaced.ts'
import { isOwned } from '../../core/names/kinds.ts'
import { MeshError } from '../../errors.ts'
import type { Entry } from '../../nats/bucket.ts'
import type { ProjectStore } from '../../nats/project-store.ts'
import type { NameRecord } from '../../wire/envelope.schema.ts'
import { quote } from '../../wire/names.ts'
import { drainOutbox, lockNameFiles } from '../mail/drain.ts'
import { durableOf } from '../names/registry.ts'
import type { Session } from '../session.ts'
import { keyOf } from './documents.ts'

/**
 * Forgets a name. Throws `not_found`, and `conflict` with nothing removed for a name whose session lives or has just
 * returned.
 */
export async function forget(session: Session, name: string): Promise<Response<'forget'>> {
  const { store } = session.link
  const entry = await store.names.get(name)
  if (!entry) throw new MeshError('not_found', `there is no session ${quote(name)}`)
  if (isOwned(entry.value))
    throw new MeshError('conflict', `${name} is not gone`, {
      hint: `mesh leave ${name} ends the session of a person’s shells, mesh stop ${name} an agent’s`,
    })
  const [unread, { lastSeq }] = await Promise.all([unreadMail(store, entry.value), store.messagesState()])
  if (!(await removeName(session, entry))) throw new MeshError('conflict', `${name} has just returned`)
  await store.purgeMail(name, durableOf(entry.value), lastSeq)
  return { name, unread: unread.length }
}

/** Returns the positions of mail to the name, and to `topics`, that its owner has not read. */
export async function unreadMail(
  store: ProjectStore,
  { name, since }: NameRecord,
  topics: readonly string[] = [],
): Promise<number[]> {
  const surfaced = (await store.surfaced.get(name))?.value ?? null
  const positions = await store.mailFrom(name, startPosition(surfaced, since), topics)
  return positions.filter((seq) => !wasRead(surfaced, seq))
}

/**
 * Removes the name if its record is still `entry`, and then all that belonged to it except its mail. Returns false,
 * with nothing removed, when the name has an owner again or another record.
 */
export async function removeName({ home, log, link }: Session, entry: Entry<NameRecord>): Promise<boolean> {
  const { store } = link
  const { name } = entry.value
  // Its last sidecar had promised to send this.
  await drainOutbox(home, store, name, log)
  const document = keyOf({ own: name, epoch: 0 })
  const left = await Promise.all([store.surfaced.look(name), store.presence.look(name), store.state.look(document)])
  const [read, beat, pointer] = left
  // A session that claims the name from here on waits for the lock, and finds no files of the former owner.
  const files = lockNameFiles(home, store.project, name)
  try {
    if (!(await store.names.delete(name, entry.revision))) return false
    files?.remove()
  } finally {
    files?.release()
  }
  // Deletes at the earlier revisions: what a new owner has written since stays.
  if (read.isThere) await store.surfaced.delete(name, read.revision)
  if (beat.isThere) await store.presence.delete(name, beat.revision)
  if (pointer.isThere) await store.state.delete(document, pointer.revision)
  await store.deleteDurable(durableOf(entry.value))
  return true
}
