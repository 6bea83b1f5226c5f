/** `mesh engine run`: the engine in the foreground, for a service manager. */
import { runEngineForeground } from '../../../engine/engine.ts'
import type { Context } from '../../context.ts'

export async function run({ env, home, out }: Context): Promise<number> {
  return runEngineForeground(home, env, out.note)
}
