/** Tells those whom a change of the board concerns, by ordinary messages. */
import { createHash } from 'node:crypto'
import { newsOf } from '../core/task-news.ts'
import { MeshError } from '../errors.ts'
import { parseRecipient } from '../wire/names.ts'
import type { Task } from '../wire/task.schema.ts'
import { post } from './post.ts'
import type { Call } from './server.ts'
import type { Sidecar } from './sidecar.ts'

/** Nobody waits for what becomes of these messages. */
const nobody: Call = { signal: new AbortController().signal, onAnswered: () => {} }

/** The change is made, whether or not anybody can be told: a name that is not there any more is passed over. */
export async function tellConcerned(sidecar: Sidecar, before: Task | null, after: Task): Promise<void> {
  const all = [...sidecar.board.tasks].map(({ task }) => task)
  for (const { to, text } of newsOf(before, after, all, sidecar.board.find)) {
    // The same operation again sends the same message.
    const hash = createHash('sha256')
      .update(JSON.stringify([after.change.op, to, text]))
      .digest('hex')
    const letter = { id: `m_${hash.slice(0, 32)}`, to: parseRecipient(to), text, intent: 'task', hops: 0 }
    await post(sidecar, letter, {}, nobody).catch((error) => {
      sidecar.options.log.debug({ to, error: MeshError.from(error).toBody() }, 'not told of a task')
    })
  }
}
