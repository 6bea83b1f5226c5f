/** `mesh task show`. */
import type { Context } from '../../context.ts'
import { checkTaskId } from './fields.ts'
import { taskLines } from './lines.ts'

export async function run({ args, out, sidecar }: Context): Promise<undefined> {
  const task = await sidecar().call('task_show', { id: checkTaskId(args[0]!) })
  if (out.json) await out.value(task)
  else await out.line(taskLines(task, Date.now()))
}
