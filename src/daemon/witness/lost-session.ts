/** Judges the end of a spawned session whose supervisor died before it, from what both left on disk. */
import type { RunSpec } from '../../api/supervisor.schema.ts'
import { type AgentRecord, judgeAgentEnd, noEvidence } from '../../core/runs/agent-end.ts'
import { type Judged, judgeLost } from '../../core/runs/process-end.ts'
import { loggedTail, readDone, readStop } from '../../run/dir.ts'
import { limits } from '../../wire/limits.ts'

/**
 * Judges the end of a session. Its own `mesh done` comes first. Otherwise a record that ends with a final message says
 * that it finished, unless more was asked of it.
 */
export function judgeLostSession(spec: RunSpec, dir: string, record: AgentRecord | null, evidence: string): Judged {
  const [done, stop] = [readDone(dir), readStop(dir)]
  const isWhole = record?.last === 'text' && record.stopReason === 'end_turn'
  const isFinished = isWhole && !spec.background && spec.schema === undefined && !stop
  if (!done && !isFinished) return judgeLost(stop, evidence, loggedTail(dir))
  const judged = judgeAgentEnd({ ...noEvidence, runKind: 'session', end: 'own', done, record })
  return { ...judged, evidence: `${judged.evidence}; ${evidence}`.slice(0, limits.evidence) }
}
