/** `mesh tree`: the runs of the project, each below its parent. */
import type { Context } from '../../command.ts'
import { type ViewFlags, viewOf } from '../../show/view.ts'
import { runTree } from './lines.ts'

export async function run({ flags, out, sidecar }: Context<ViewFlags>): Promise<undefined> {
  const runs = await sidecar().call('runs', {})
  if (out.json) await out.value(runs)
  else await out.line(runTree(runs, viewOf(flags, Date.now())).join('\n'))
}
