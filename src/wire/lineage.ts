/** Derived ids of runs, and the runs above one as its environment has them. Pure. */
import { createHash } from 'node:crypto'
import type { ProcessIdentity } from './envelope.schema.ts'
import { limits } from './limits.ts'
import { isRunId } from './names.ts'

/** The variables of an environment that name the run it is part of. */
export interface StartedIn {
  MESH_RUN_ID?: string | undefined
  MESH_LINEAGE?: string | undefined
}

/** The variables that a run passes to those that it starts. */
export interface RunEnv {
  /** The run itself. */
  MESH_RUN_ID: string
  /** The runs above it, the root first, then the run itself: ids with commas between. */
  MESH_LINEAGE: string
}

/**
 * Derives the run of an unsupervised session: its sidecar, a later sidecar of it and a witness come to the same id. A
 * resumed conversation is another process, so another run; `/clear` and compaction are not.
 */
export function sessionRunId(project: string, { host, boot, pid, start }: ProcessIdentity): string {
  return derived('session', project, host, boot, pid, start)
}

/** The run of a subagent: `agent` is the client's id of it within the session. */
export function subagentRunId(session: string, agent: string): string {
  return derived('subagent', session, agent)
}

/** Derives the run of a process that was attached: one per project, however often it is attached. */
export function attachedRunId(project: string, { host, boot, pid, start }: ProcessIdentity): string {
  return derived('attach', project, host, boot, pid, start)
}

function derived(...parts: (string | number)[]): string {
  return `r_${createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 32)}`
}

/** The runs above whatever is started in an environment, the root first; none at the top. Anything else in it is passed over. */
export function lineageIn(env: StartedIn): string[] {
  const { MESH_RUN_ID: parent, MESH_LINEAGE: line = '' } = env
  if (!parent || !isRunId(parent)) return []
  const above = line.split(',').filter(isRunId)
  return above.at(-1) === parent ? above : [parent]
}

/** The environment of what run `id` starts. A line that grew too long keeps its root and its nearest. */
export function runEnv(lineage: readonly string[], id: string): RunEnv {
  return { MESH_RUN_ID: id, MESH_LINEAGE: [...bounded(lineage), id].join(',') }
}

/** A line of runs that fits into an event. */
export function bounded(lineage: readonly string[]): string[] {
  const over = lineage.length - limits.lineage
  return over <= 0 ? [...lineage] : [lineage[0]!, ...lineage.slice(over + 1)]
}
