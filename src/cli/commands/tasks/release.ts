/** `mesh task release`. */
import type { Context } from '../../context.ts'
import { changeTask } from './fields.ts'

export function run(context: Context): Promise<undefined> {
  return changeTask(context, 'release')
}
