/** Removes a name that is gone, with its mail and its state. */
import type { Response } from '../../api/ops.schema.ts'
import { startPosition, wasRead } from '../../core/mail/inbox.ts'
import { MeshError } from '../../errors.ts'
import { quote } from '../../wire/names.ts'
import { clearName } from '../mail/drain.ts'
import { durableOf } from '../names/registry.ts'
import type { Session } from '../session.ts'
import { keyOf } from './documents.ts'

/** Throws `not_found`; `conflict` when the name has an owner, or has just got one. */
export async function forget({ link, home, log }: Session, name: string): Promise<Response<'forget'>> {
  const { store } = link
  const entry = await store.names.get(name)
  if (!entry) throw new MeshError('not_found', `there is no session ${quote(name)}`)
  if (entry.value.state === 'held')
    throw new MeshError('conflict', `${name} is not gone`, { hint: 'end that session first' })
  const surfaced = (await store.surfaced.get(name))?.value ?? null
  const positions = await store.mailFrom(name, startPosition(surfaced, entry.value.since))
  await clearName(home, store, name, log)
  // First of all: a session that claims the name meanwhile keeps it.
  if (!(await store.names.delete(name, entry.revision))) throw new MeshError('conflict', `${name} has just returned`)
  await store.purgeMail(name, durableOf(entry.value))
  await Promise.all([
    store.surfaced.delete(name),
    store.presence.delete(name),
    store.state.delete(keyOf({ own: name, epoch: 0 })),
  ])
  return { name, unread: positions.filter((seq) => !wasRead(surfaced, seq)).length }
}
