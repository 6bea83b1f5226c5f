/** `mesh topic list`. */
import type { Context } from '../../context.ts'
import { printGroups } from './members.ts'

export async function run({ out, sidecar }: Context): Promise<undefined> {
  await printGroups(await sidecar().call('topic_list', {}), 'no topics in this project', out)
}
