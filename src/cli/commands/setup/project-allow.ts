/** `mesh project allow`: let this repository join a project that another repository may stand for. */
import { join } from 'node:path'
import { MeshError } from '../../../errors.ts'
import { readJson } from '../../../host/files.ts'
import { allowProject, resolvePlace } from '../../../host/repository/project.ts'
import type { Context } from '../../command.ts'

const PROJECT_FILE_BYTES = 64 * 1024

export async function run({ args, env, cwd, home, out }: Context): Promise<undefined> {
  // With a project given, the place is found without asking whether its .mesh.json may be trusted.
  const { worktree } = resolvePlace({ ...env, MESH_PROJECT: 'any' }, cwd, home)
  const project = args[0] ?? committedProject(worktree)
  allowProject(home, worktree, project)
  if (out.json) await out.value({ project, worktree })
  else await out.line(`${worktree} may join ${project}`)
}

function committedProject(worktree: string): string {
  const path = join(worktree, '.mesh.json')
  const named = (readJson(path, PROJECT_FILE_BYTES) as { project?: unknown } | null | undefined)?.project
  if (typeof named === 'string') return named
  throw new MeshError('not_found', `${path} names no project`, { hint: 'name it: mesh project allow PROJECT' })
}
