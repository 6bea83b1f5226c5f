/** `mesh task history`. */
import type { Context } from '../../context.ts'
import { checkTaskId } from './fields.ts'
import { historyLines } from './lines.ts'

export async function run({ args, out, sidecar }: Context): Promise<undefined> {
  const { history } = await sidecar().call('task_show', { id: checkTaskId(args[0]!) })
  if (out.json) await out.value(history)
  else await out.line(historyLines(history, Date.now()).join('\n'))
}
