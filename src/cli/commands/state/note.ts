/** `mesh state note`. */
import { newOperation } from '../../../wire/names.ts'
import type { Context } from '../../context.ts'
import { documentOf, readKept } from './values.ts'

export async function run(context: Context): Promise<undefined> {
  const { args, out, sidecar } = context
  const text = await readKept(context, args[0])
  const changed = await sidecar().call('state_change', {
    op: newOperation(),
    do: 'note',
    text,
    ...documentOf(context),
  })
  if (out.json) await out.value(changed)
  else await out.line(`noted, revision ${changed.rev}`)
}
