/** `mesh rename`: another name for this session. */
import { checkName } from '../../wire/names.ts'
import type { Context } from '../context.ts'
import { oneLine } from '../units.ts'

export async function run({ args, out, sidecar }: Context): Promise<undefined> {
  const name = checkName(args[0]!)
  const renamed = await sidecar().call('rename', { name })
  if (out.json) await out.value(renamed)
  else await out.line(oneLine(`${renamed.previous} is now ${renamed.name}`))
}
