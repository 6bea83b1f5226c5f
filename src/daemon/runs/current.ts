/** The runs of a project that go on, and those that ended so lately that it is news. */
import { join } from 'node:path'
import { isOver } from '../../core/runs/run.ts'
import type { Home } from '../../host/home.ts'
import { Replica } from '../../link/replica.ts'
import type { Entry } from '../../nats/bucket.ts'
import { times } from '../../wire/limits.ts'
import type { RunRecord } from '../../wire/run.schema.ts'

/** What ended longer ago is no news. */
export const NEWS_MS = 86_400_000

export type CurrentRuns = Replica<RunRecord>

export function openCurrentRuns(home: Home, project: string, version: string): CurrentRuns {
  return new Replica({ version, path: join(home.projects, project, 'runs.json'), keeps: isCurrent })
}

function isCurrent({ value, writtenAt }: Entry<RunRecord>): boolean {
  // The engine removes it then, and says so to nobody.
  if (Date.now() - writtenAt > times.eventAge) return false
  return !isOver(value.state) || Date.now() - Date.parse(value.endedAt ?? '') < NEWS_MS
}
