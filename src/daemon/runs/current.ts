/** Keeps in memory the runs of a project that go on, and those whose end may still be news. */
import { join } from 'node:path'
import { isOver } from '../../core/runs/run.ts'
import type { Home } from '../../host/home.ts'
import { Replica } from '../../link/replica.ts'
import type { Entry } from '../../nats/bucket.ts'
import { times } from '../../wire/limits.ts'
import type { RunRecord } from '../../wire/run.schema.ts'

/** Time for which the end of a run that another session may adopt is news. */
const NEWS_MS = 86_400_000
/** Time for which the end of any run is shown to its owner. */
const SHOWN_MS = 3_600_000

export type CurrentRuns = Replica<RunRecord>

export function openCurrentRuns(home: Home, project: string, version: string): CurrentRuns {
  return new Replica({ version, path: join(home.projects, project, 'runs.json'), keeps: isCurrent })
}

function isCurrent({ value, writtenAt }: Entry<RunRecord>): boolean {
  // The engine removes it then, and does so without an event.
  if (Date.now() - writtenAt > times.eventAge) return false
  if (!isOver(value.state)) return true
  const isAdoptable = value.lineage.length > 0 || value.formerOwners !== undefined
  return Date.now() - Date.parse(value.endedAt ?? '') < (isAdoptable ? NEWS_MS : SHOWN_MS)
}
