/** `mesh task add`, and the ten commands that change a task: the word of the change, and where its fields come from. */
import type { Request } from '../../../api/ops.schema.ts'
import { newOperation } from '../../../wire/names.ts'
import { type Context, misuse, type Run, type Values } from '../../command.ts'
import { checkAssignee, checkTaskId, checkTitle, readResult, readTaskFlags, type TaskFlags } from './fields.ts'
import { printTask } from './lines.ts'

type Change = Request<'task_change'>
type Fields = Partial<Change>

const ANYBODY = 'anybody'

export async function add(context: Context<Omit<TaskFlags, 'title'> & Values<'for'>>): Promise<undefined> {
  const { args, flags, out, sidecar } = context
  const whom = flags.for === undefined ? {} : { for: checkAssignee(flags.for) }
  const request = { op: newOperation(), ...(await readTaskFlags(flags)), ...whom, title: checkTitle(args[0]!) }
  await printTask(await sidecar().call('task_add', request), out)
}

export const done = change('done', readResult)
export const fail = change('fail', readResult)
export const release = change('release')
export const cancel = change('cancel')
export const link = change('link', ({ args }) => ({ to: args[1]! }))
export const comment = change('comment', async ({ text }) => ({ text: await text() }))

export const block = change('block', ({ command, flags: { on } }: Context<Values<'on'>>) => {
  if (on === undefined) throw misuse(command, '--on says what it waits for')
  return { on }
})

export const unblock = change('unblock', ({ flags: { on } }: Context<Values<'on'>>) => (on === undefined ? {} : { on }))

export const edit = change('edit', async ({ flags }: Context<TaskFlags & Values<'for'>>) => {
  const { for: whom } = flags
  const target = whom === undefined ? {} : { for: whom === ANYBODY ? null : checkAssignee(whom) }
  const title = flags.title === undefined ? {} : { title: checkTitle(flags.title) }
  return { ...title, ...(await readTaskFlags(flags)), ...target }
})

/** Makes the command that changes the task of its first argument, and prints the task. */
function change<F>(word: Change['do'], read: (context: Context<F>) => Fields | Promise<Fields> = () => ({})): Run<F> {
  return async (context) => {
    const { args, out, sidecar } = context
    const id = checkTaskId(args[0]!)
    const request = { op: newOperation(), id, do: word, ...(await read(context)) }
    return printTask(await sidecar().call('task_change', request), out)
  }
}
