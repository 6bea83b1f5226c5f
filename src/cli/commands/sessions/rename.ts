/** `mesh rename`: another name for this session. */
import { checkName } from '../../../wire/names.ts'
import type { Context } from '../../context.ts'
import { oneLine } from '../../input/units.ts'

export async function run(context: Context): Promise<undefined> {
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
