/** `mesh topic leave`. */
import { checkToken } from '../../../wire/names.ts'
import type { Context } from '../../context.ts'
import { printMembers } from './members.ts'

export async function run({ args, out, sidecar }: Context): Promise<undefined> {
  const topic = checkToken(args[0]!, 'topic')
  await printMembers(await sidecar().call('topic_leave', { topic }), out)
}
