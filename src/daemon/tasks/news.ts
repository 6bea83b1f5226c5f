/** Notifies the sessions that a change of the board concerns, by ordinary messages. */
import { createHash } from 'node:crypto'
import { newsOf } from '../../core/tasks/news.ts'
import { MeshError } from '../../errors.ts'
import { parseRecipient } from '../../wire/names.ts'
import type { Task } from '../../wire/task.schema.ts'
import type { Session } from '../session.ts'
import type { Board } from './board.ts'

/**
 * Notifies the sessions that a change concerns; the change is made either way. Resolves to a note for its author about
 * sessions that cannot be notified now, if any.
 */
export async function notifyConcerned(
  session: Session & { board: Board },
  before: Task | null,
  after: Task,
): Promise<string | undefined> {
  const all = [...session.board.tasks].map(({ task }) => task)
  const notes: string[] = []
  for (const { to, text } of newsOf(before, after, all, session.board.find)) {
    // The same operation again sends the same message.
    const hash = createHash('sha256')
      .update(JSON.stringify([after.change.op, to, text]))
      .digest('hex')
    const id = `m_${hash.slice(0, 32)}`
    const letter = { id, to: parseRecipient(to), text, intent: 'task', ...authorOf(after), hops: 0 }
    const failed = (error: unknown) => {
      const { code, message } = MeshError.from(error)
      if (code === 'not_found') notes.push(`there is no session ${to} yet: it was not notified`)
      session.log.debug({ to, code, message }, 'not notified of a task')
    }
    try {
      // Once it is in the outbox it will be sent: no call waits for that.
      const { note, stored } = await session.send(letter)
      if (note.note) notes.push(note.note)
      stored.catch(failed)
    } catch (error) {
      failed(error)
    }
  }
  return notes.length > 0 ? notes.join('; ') : undefined
}

/** A comment is what its author says; all other news is the board's. */
function authorOf({ change }: Task): { author?: 'mesh' } {
  return change.what === 'commented' ? {} : { author: 'mesh' }
}

/** Returns the change `op` of a task as it was made earlier; null if it is no longer known. */
export async function earlierChange(
  session: Session,
  id: string,
  op: string,
): Promise<{ before: Task | null; after: Task } | null> {
  const revisions = (await session.link.store.tasks.all(id)).map(({ value }) => value)
  const at = revisions.findIndex(({ change }) => change.op === op)
  return at < 0 ? null : { before: revisions[at - 1] ?? null, after: revisions[at]! }
}
