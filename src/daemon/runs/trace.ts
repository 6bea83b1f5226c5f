/** Traces a run from its cause to its owner's reading: each step with its evidence. */
import type { Response } from '../../api/ops.schema.ts'
import { wakes } from '../../core/runs/news.ts'
import { isTerminal } from '../../core/runs/run.ts'
import { MeshError } from '../../errors.ts'
import { runDir } from '../../host/home.ts'
import { readSteps } from '../../run/dir.ts'
import { decodeEvent } from '../../wire/codec.ts'
import type { RunEvent, RunRecord } from '../../wire/run.schema.ts'
import type { RunsSession } from './runs.ts'

type Steps = Response<'run_trace'>['steps']

/** Returns the trace of a run. Throws `not_found` when neither the engine nor this machine knows it. */
export async function traceRun(session: RunsSession, record: RunRecord): Promise<Response<'run_trace'>> {
  const steps: Steps = []
  const started = readSteps(runDir(session.home, record.id)).find((step) => step.t === 'started')
  if (started) {
    const evidence = `process ${started.child.pid}, on disk before it began; supervised by process ${started.supervisor.pid}`
    steps.push({ state: 'started', at: started.at, by: record.name, evidence })
  }
  for (const { event, verified, position, storedAt } of await line(session, record.id)) {
    steps.push({ state: stateOf(event), at: event.at, by: event.from.name, evidence: wordsOf(event, verified) })
    const evidence = `event ${event.seq}, position ${position} of the stream; for ${event.owner}`
    steps.push({ state: 'stored', at: storedAt, by: 'engine', evidence })
    steps.push(...(await mailSteps(session, event)))
  }
  for (const former of record.formerOwners ?? [])
    steps.push({ state: 'adopted', at: null, by: record.owner, evidence: `its owner was ${former}` })
  if (steps.length === 0) throw new MeshError('not_found', `nothing is known of ${record.id}`)
  return { id: record.id, name: record.name, owner: record.owner, state: record.state, steps }
}

async function line(session: RunsSession, run: string) {
  const { project } = session.place
  const stored = await session.link.store.runs.line(run)
  return stored.flatMap(({ subject, data, seq, at }) => {
    const read = decodeEvent(project, subject, data, (member) => session.ring.keyOf(member))
    if (!('event' in read)) return []
    return [{ ...read, position: seq, storedAt: new Date(at).toISOString() }]
  })
}

function stateOf({ type }: RunEvent): string {
  return type.slice('run_'.length)
}

function wordsOf(event: RunEvent, verified: boolean): string {
  const { type, lineage, owner, host, pid, text, percent, reason, suspect, evidence, attended } = event
  const parent = lineage.at(-1)
  const words = [
    type === 'run_spawned' && (parent ? `by ${owner}, in run ${parent}` : `by ${owner}`),
    pid !== undefined && `process ${pid}${host ? ` on ${host}` : ''}`,
    percent !== undefined && `${percent} %`,
    text,
    reason,
    suspect && `suspect: ${suspect}`,
    evidence,
    attended && 'its starter waits for it: no session is woken',
    !verified && 'its signature could not be verified',
  ]
  return words.filter(Boolean).join('; ')
}

/** Returns the steps of the mail that was made of an event. */
async function mailSteps(session: RunsSession, event: RunEvent): Promise<Steps> {
  if (!wakes(event)) return []
  const receipts = await session.link.store.receiptsOf(session.runs.mail.mailId(event))
  const steps = receipts.map(({ state, at, by, evidence }) => ({ state, at, by: by.name, evidence }))
  if (steps.length > 0 || !isTerminal(event.type)) return steps
  const evidence = 'its sidecar has not reported that it read the event: it is away, or this was more than a day ago'
  return [{ state: 'not read yet', at: null, by: event.owner, evidence }]
}
