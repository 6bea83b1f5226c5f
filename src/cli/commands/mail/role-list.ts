/** `mesh role list`. */
import type { Context } from '../../context.ts'
import { printGroups } from './members.ts'

export async function run({ out, sidecar }: Context): Promise<undefined> {
  await printGroups(await sidecar().call('role_list', {}), 'no roles in this project', out)
}
