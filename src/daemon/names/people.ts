/** Sends messages of the sidecar's own, to the people or to its session. */
import { createHash } from 'node:crypto'
import { isShell } from '../../core/names/kinds.ts'
import { limits } from '../../wire/limits.ts'
import { formatRecipient, newId, type Recipient } from '../../wire/names.ts'
import type { Session } from '../session.ts'

/**
 * Writes to every person at a shell now. Without any, writes to their role, whose next owner reads it. `event` names what
 * happened: about the same event each is written to once.
 */
export async function notifyPeople(session: Session, text: string, event?: string): Promise<void> {
  for (const to of await people(session)) await notify(session, to, text, event)
}

async function people(session: Session): Promise<Recipient[]> {
  const sessions = await session.sessions()
  const there = sessions.filter(({ harness, status }) => isShell(harness) && !['lost', 'gone'].includes(status))
  if (there.length === 0) return [{ kind: 'role', name: 'operator' }]
  return there.slice(0, limits.recipients).map(({ name }) => ({ kind: 'session', name }))
}

/** Writes to this session that it lost the name `before` and has another. */
export async function notifyRenamed(session: Session, before: string): Promise<void> {
  const { name } = session.record
  const text = `You are "${name}" on mesh now, no longer "${before}": mail sent to that name does not reach you any more.`
  await notify(session, { kind: 'session', name }, text)
}

async function notify(session: Session, to: Recipient, text: string, event?: string): Promise<void> {
  const id = event === undefined ? newId('m') : idOf(event, to)
  const { stored } = await session.send({ id, to, text, author: 'mesh', hops: 0 })
  await stored
}

function idOf(event: string, to: Recipient): string {
  const hash = createHash('sha256')
    .update(`${event} ${formatRecipient(to)}`)
    .digest('hex')
  return `m_${hash.slice(0, 32)}`
}
