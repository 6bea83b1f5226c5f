/** `mesh task history`. */
import type { Context } from '../context.ts'
import { historyLines } from '../task-view.ts'
import { checkTaskId } from '../tasks.ts'

export async function run({ args, out, sidecar }: Context): Promise<undefined> {
  const { history } = await sidecar().call('task_show', { id: checkTaskId(args[0]!) })
  if (out.json) await out.value(history)
  else await out.line(historyLines(history, Date.now()).join('\n'))
}
