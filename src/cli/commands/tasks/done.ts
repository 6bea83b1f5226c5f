/** `mesh task done`. */
import type { Context } from '../../context.ts'
import { changeTask, readResult } from './fields.ts'

export async function run(context: Context): Promise<undefined> {
  return changeTask(context, 'done', await readResult(context))
}
