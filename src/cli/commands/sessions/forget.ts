/** `mesh forget`: remove a name that is gone. */
import { checkName } from '../../../wire/names.ts'
import type { Context } from '../../context.ts'

export async function run({ args, out, sidecar }: Context): Promise<undefined> {
  const name = checkName(args[0]!)
  const forgotten = await sidecar().call('forget', { name })
  if (out.json) await out.value(forgotten)
  else
    await out.line(
      `${forgotten.name} is forgotten${forgotten.unread > 0 ? `, with ${forgotten.unread} unread messages` : ''}`,
    )
}
