/** `mesh task edit`. */
import type { Context } from '../../context.ts'
import { changeTask, checkAssignee, readTaskFlags } from './fields.ts'

const ANYBODY = 'anybody'

export async function run(context: Context): Promise<undefined> {
  const { for: whom } = context.flags
  const target = whom === undefined ? {} : { for: whom === ANYBODY ? null : checkAssignee(whom) }
  return changeTask(context, 'edit', { ...(await readTaskFlags(context)), ...target })
}
