/** `mesh task block`. */
import type { Context } from '../../context.ts'
import { misuse } from '../../parse.ts'
import { changeTask } from './fields.ts'

export function run(context: Context): Promise<undefined> {
  const { on } = context.flags
  if (on === undefined) throw misuse(context.command, '--on says what it waits for')
  return changeTask(context, 'block', { on })
}
