/** `mesh task show` and `mesh task history`. */
import type { Context } from '../../command.ts'
import { type ViewFlags, viewOf } from '../../show/view.ts'
import { checkTaskId } from './fields.ts'
import { historyLines, taskLines } from './lines.ts'

export async function show({ args, flags, out, sidecar }: Context<ViewFlags>): Promise<undefined> {
  const task = await sidecar().call('task_show', { id: checkTaskId(args[0]!) })
  if (out.json) await out.value(task)
  else await out.line(taskLines(task, viewOf(flags, Date.now())))
}

export async function history({ args, flags, out, sidecar }: Context<ViewFlags>): Promise<undefined> {
  const { history } = await sidecar().call('task_show', { id: checkTaskId(args[0]!) })
  if (out.json) await out.value(history)
  else await out.line(historyLines(history, viewOf(flags, Date.now())).join('\n'))
}
