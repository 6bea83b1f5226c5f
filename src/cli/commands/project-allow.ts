/** `mesh project allow`: let this worktree join a project that another repository may stand for. */
import { allowProject, resolvePlace } from '../../host/project.ts'
import type { Context } from '../context.ts'

export async function run({ env, cwd, home, out }: Context): Promise<undefined> {
  out.note('TODO')
  void allowProject
  await out.value(resolvePlace(env, cwd, home))
}
