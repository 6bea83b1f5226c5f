/** Processes of ours that serve nobody, as findings. */
import { MeshError } from '../errors.ts'
import { fault, type Finding, good } from './finding.ts'
import { endOrphan, findOrphans, type Orphan } from './orphan.ts'
import type { Setup } from './setup.ts'

export async function lookAtOrphans({ home }: Setup): Promise<Finding[]> {
  const orphans = await findOrphans(home)
  if (orphans.length === 0) return [good('orphans', 'no process of mesh is without a session')]
  return orphans.map((orphan) => {
    const cause = `process ${orphan.pid} (${orphan.kind}) serves nobody: ${orphan.evidence}`
    return fault('orphans', cause, 'mesh orphans --end', () => end(home, orphan))
  })
}

async function end(home: Setup['home'], orphan: Orphan): Promise<string> {
  if (await endOrphan(home, orphan)) return `ended process ${orphan.pid} (${orphan.kind})`
  throw new MeshError('conflict', `process ${orphan.pid} does not end`)
}
