/** `mesh rename` and `mesh forget`. */
import { checkName } from '../../../wire/names.ts'
import type { Context } from '../../command.ts'
import { oneLine } from '../../show/columns.ts'

export async function rename(context: Context): Promise<undefined> {
  const { args, out } = context
  const name = checkName(args[0]!)
  const sidecar = context.sidecar()
  const renamed = await sidecar.call('rename', { name })
  // It is renamed, whether or not its next command finds it there already.
  await sidecar.follow(renamed.name).catch(() => {})
  if (out.json) return void (await out.value(renamed))
  await out.line(oneLine(`${renamed.previous} is now ${renamed.name}`))
  if (sidecar.target.operator) out.note(`to go on under it: --as ${renamed.name}, or export MESH_NAME=${renamed.name}`)
}

export async function forget({ args, out, sidecar }: Context): Promise<undefined> {
  const forgotten = await sidecar().call('forget', { name: checkName(args[0]!) })
  if (out.json) return void (await out.value(forgotten))
  const mail = forgotten.unread > 0 ? `, with ${forgotten.unread} unread messages` : ''
  await out.line(`${forgotten.name} is forgotten${mail}`)
}
