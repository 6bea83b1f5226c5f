/** `mesh task comment`. */
import type { Context } from '../../context.ts'
import { changeTask } from './fields.ts'

export async function run(context: Context): Promise<undefined> {
  return changeTask(context, 'comment', { text: await context.text() })
}
