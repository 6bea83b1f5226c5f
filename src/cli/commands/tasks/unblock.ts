/** `mesh task unblock`. */
import type { Context } from '../../context.ts'
import { changeTask } from './fields.ts'

export function run(context: Context): Promise<undefined> {
  const { on } = context.flags
  return changeTask(context, 'unblock', on === undefined ? {} : { on })
}
