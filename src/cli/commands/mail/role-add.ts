/** `mesh role add`. */
import { checkToken } from '../../../wire/names.ts'
import type { Context } from '../../context.ts'
import { printMembers } from './members.ts'

export async function run({ args, out, sidecar }: Context): Promise<undefined> {
  const role = checkToken(args[0]!, 'role')
  await printMembers(await sidecar().call('role_add', { role }), out)
}
