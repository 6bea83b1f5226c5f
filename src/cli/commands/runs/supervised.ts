/** Helps the commands that start a supervisor. */
import type { Target } from '../../../client/find.ts'
import { MeshError } from '../../../errors.ts'
import type { Env } from '../../../host/home.ts'
import { resolvePlace } from '../../../host/repository/project.ts'
import { limits } from '../../../wire/limits.ts'
import { lineageIn } from '../../../wire/lineage.ts'
import { toName } from '../../../wire/names.ts'
import type { Context, Values } from '../../command.ts'
import { parseChoice } from '../../input/units.ts'

/** Prints the run that was started. */
export async function printStarted({ out }: Context, runId: string, pid: number): Promise<number> {
  if (out.json) await out.value({ runId, pid })
  else await out.line(`${runId} pid ${pid}`)
  return 0
}

/** Without a word to any sidecar: the run must not depend on one, nor on whether its session is on the mesh. */
export function ownerOf(context: Context): { owner: string; project: string } {
  const target = targetOf(context)
  if (target?.operator) return { owner: target.operator.name, project: target.operator.project }
  if (target?.name && target.project) return { owner: target.name, project: target.project }
  const { env, cwd, home } = context
  const { project, defaultName } = resolvePlace(env, cwd, home)
  return { owner: env.MESH_NAME ? toName(env.MESH_NAME) : defaultName, project }
}

/** Null in a session that cannot be found. */
function targetOf({ sidecar }: Context): Target | null {
  try {
    return sidecar().target
  } catch (error) {
    if (['sandboxed', 'sidecar_down'].includes(MeshError.from(error).code)) return null
    throw error
  }
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
