/** Processes of this mesh home that serve no session, as findings. Those of homes that are gone are `mesh orphans`' alone. */
import { MeshError } from '../../errors.ts'
import { type Finding, fault, good } from '../finding.ts'
import { endOrphan, findOrphans, type Orphan } from '../look/orphan.ts'
import type { Setup } from '../setup.ts'

export async function lookAtOrphans({ home }: Setup): Promise<Finding[]> {
  const orphans = (await findOrphans(home)).filter((orphan) => orphan.home === home.root)
  if (orphans.length === 0) return [good('orphans', 'no process of mesh is without a session')]
  const found = orphans.map(({ pid, kind, evidence }) => `${pid} (${kind}: ${evidence})`)
  const cause = `processes of mesh that serve no session: ${found.join('; ')}`
  return [fault('orphans', cause, 'mesh orphans --end', () => end(home, orphans))]
}

async function end(home: Setup['home'], orphans: Orphan[]): Promise<string> {
  const ended = await Promise.all(orphans.map((orphan) => endOrphan(home, orphan)))
  const left = orphans.filter((_, i) => !ended[i]).map(({ pid }) => pid)
  if (left.length > 0) throw new MeshError('conflict', `these do not end: ${left.join(', ')}`)
  return `ended ${orphans.map(({ pid, kind }) => `process ${pid} (${kind})`).join(', ')}`
}
