/** `mesh progress`: from inside a run, how far it is. Goes to the run's supervisor, which keeps its order. */
import { askRun } from '../../../client/runs.ts'
import { MeshError } from '../../../errors.ts'
import { limits } from '../../../wire/limits.ts'
import { isRunId } from '../../../wire/names.ts'
import type { Context, Values } from '../../command.ts'
import { parseCount } from '../../input/units.ts'

export async function run({ args, flags, env, home, out }: Context<Values<'percent'>>): Promise<undefined> {
  const id = env.MESH_RUN_ID
  if (!id || !isRunId(id))
    throw new MeshError('bad_request', 'this is not inside a run', { hint: 'start one with: mesh run -- COMMAND' })
  const text = args[0]!
  if (text === '' || text.length > limits.progressChars || !text.isWellFormed())
    throw new MeshError('too_large', `the text has to have 1 to ${limits.progressChars} characters`, {
      hint: 'say the rest with: mesh send',
    })
  const percent = flags.percent === undefined ? {} : { percent: parseCount(flags.percent, '--percent', 0, 100) }
  const kept = await askRun(home, id, { op: 'progress', text, ...percent })
  if (out.json) await out.value({ runId: id, ...kept })
}
