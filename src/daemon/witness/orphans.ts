/**
 * Notifies the people of runs that ended without a session to notify, because their owner and all ancestors had ended
 * before.
 */
import { existsSync } from 'node:fs'
import type { RunSpec } from '../../api/supervisor.schema.ts'
import { isOwned, isShell } from '../../core/names/kinds.ts'
import { isOrphan } from '../../core/runs/adoption.ts'
import { newsText, wakes } from '../../core/runs/news.ts'
import { writeAtomic } from '../../host/files.ts'
import type { ProjectStore } from '../../nats/project-store.ts'
import { files, readSteps } from '../../run/dir.ts'
import { phaseOf } from '../../wire/codec.ts'
import type { RunEvent } from '../../wire/run.schema.ts'

/** Age from which an end is no news. */
const NEWS_MS = 86_400_000

/** Notifies the people, once, of a run of this machine that ended, if no session is notified. `store` is its project's. */
export async function notifyOfOrphan(
  spec: RunSpec,
  dir: string,
  store: ProjectStore,
  notifyPeople: (text: string) => Promise<void>,
): Promise<void> {
  const end = endIn(dir)
  const isNews = end !== null && wakes(end) && Date.now() - Date.parse(end.at) < NEWS_MS
  if (!isNews || existsSync(files.people(dir))) return
  const record = (await store.runs.records.get(spec.run))?.value
  const owner = record && (await store.names.get(record.owner))?.value
  // A person at a shell comes back. A session that ended after the run has its mail.
  if (!owner || isOwned(owner) || isShell(owner.harness) || end.at < (owner.endedAt ?? '')) return
  const above = await Promise.all(record.lineage.map((id) => store.runs.records.get(id)))
  const runs = new Map(above.flatMap((entry) => (entry ? [[entry.value.id, entry.value]] : [])))
  const names = (await store.names.all()).map(({ value }) => value)
  if (!isOrphan(record, { names, runs, now: Date.now() })) return
  await notifyPeople(`A run of ${record.owner}, which has ended, ended in project ${spec.project}: ${newsText(end)}`)
  writeAtomic(files.people(dir), new Date().toISOString())
}

function endIn(dir: string): RunEvent | null {
  const events = readSteps(dir).flatMap((step) => (step.t === 'event' ? [step.event] : []))
  return events.find(({ type }) => phaseOf(type) === 'end') ?? null
}
