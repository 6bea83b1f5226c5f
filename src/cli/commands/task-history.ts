/** `mesh task history`. */
import type { Context } from '../context.ts'
import { checkTaskId } from '../tasks.ts'
import { columns, oneLine } from '../units.ts'

export async function run({ args, out, sidecar }: Context): Promise<undefined> {
  const { history } = await sidecar().call('task_show', { id: checkTaskId(args[0]!) })
  if (out.json) {
    await out.value(history)
    return
  }
  const rows = history.map(({ at, by, what, text }) => [at, by, what, text ?? ''].map(oneLine))
  await out.line(columns(rows).join('\n'))
}
