/** `mesh task add`. */
import { newOperation } from '../../../wire/names.ts'
import type { Context } from '../../context.ts'
import { checkAssignee, checkTitle, readTaskFlags } from './fields.ts'
import { printTask } from './lines.ts'

export async function run(context: Context): Promise<undefined> {
  const { args, flags, out, sidecar } = context
  const whom = flags.for === undefined ? {} : { for: checkAssignee(flags.for) }
  const request = { op: newOperation(), ...(await readTaskFlags(context)), ...whom, title: checkTitle(args[0]!) }
  await printTask(await sidecar().call('task_add', request), out)
}
