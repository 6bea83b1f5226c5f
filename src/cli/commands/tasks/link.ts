/** `mesh task link`. */
import type { Context } from '../../context.ts'
import { changeTask } from './fields.ts'

export function run(context: Context): Promise<undefined> {
  return changeTask(context, 'link', { to: context.args[1]! })
}
