/** Helps the commands that start a supervisor. */
import { MeshError } from '../../../errors.ts'
import type { Env } from '../../../host/home.ts'
import { limits } from '../../../wire/limits.ts'
import { lineageIn } from '../../../wire/lineage.ts'
import type { Context, Values } from '../../command.ts'
import { parseChoice } from '../../input/units.ts'

/** Prints the run that was started. */
export async function printStarted({ out }: Context, runId: string, pid: number): Promise<number> {
  if (out.json) await out.value({ runId, pid })
  else await out.line(`${runId} pid ${pid}`)
  return 0
}

/** Without a word to any sidecar: the run must not depend on one. */
export function ownerOf(context: Context): { owner: string; project: string } {
  const { target } = context.sidecar()
  if (target.operator) return { owner: target.operator.name, project: target.operator.project }
  return { owner: target.name!, project: target.project! }
}

/** The runs above this one. Deeper than events can say, something starts itself. */
export function lineageOf(env: Env): string[] {
  const runs = lineageIn(env)
  if (runs.length < limits.lineage) return runs
  throw new MeshError('conflict', `runs are nested ${runs.length} deep here`, {
    hint: 'does a run start itself again?',
  })
}

/** Reads what wakes the owner besides the run's end. */
export function notifyIn({ notify }: Values<'notify'>): { notify?: 'progress' } {
  return notify === undefined ? {} : { notify: parseChoice(notify, '--notify', ['progress'] as const) }
}
