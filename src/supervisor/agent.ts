/** A session under a supervisor, besides its process: its sidecar's reports, its own word, its result. */
import type { RunRequest, RunSpec, SessionReport } from '../api/supervisor.schema.ts'
import { type AgentEnd, type AgentEvidence, agentEndOf, judgeAgentEnd, noEvidence } from '../core/runs/agent-end.ts'
import type { Judged } from '../core/runs/process-end.ts'
import type { Run } from '../core/runs/run.ts'
import { MeshError } from '../errors.ts'
import type { SpawnedSession } from '../harness/types.ts'
import { writeAtomic } from '../host/files.ts'
import { files, readDone, writeDone } from '../run/dir.ts'
import { failedWords } from '../wire/cause.ts'
import { parseJson } from '../wire/codec.ts'
import type { RunEvent } from '../wire/run.schema.ts'
import { readSessionEnd } from '../wire/session-end.ts'
import { misfits } from './schema.ts'

type Seen = Pick<AgentEvidence, 'exit' | 'stop' | 'timedOutMs' | 'outOfMemory' | 'durationMs'>
type Step = Pick<RunEvent, 'type'> & Partial<Pick<RunEvent, 'text' | 'result' | 'reason' | 'reasonCode'>>

export class AgentRun {
  readonly client: SpawnedSession
  readonly #spec: RunSpec
  readonly #dir: string
  #last: SessionReport | null = null

  constructor(spec: RunSpec, dir: string, client: SpawnedSession) {
    this.client = client
    this.#spec = spec
    this.#dir = dir
  }

  /** True once the session said that its work is over, and has ended its turn since: nothing more is to come. */
  get isDone(): boolean {
    const isOver = this.#last?.state === 'idle' || this.#last?.state === 'ended'
    return isOver && this.saidDone
  }

  get saidDone(): boolean {
    return readDone(this.#dir) !== null
  }

  /** Takes the report of the session's sidecar. Returns the event to publish, if anything changed. */
  report(report: SessionReport, state: Run['state']): Step | null {
    const { transcript } = report
    // A witness finds it there.
    if (transcript && transcript !== this.#last?.transcript) writeAtomic(files.transcript(this.#dir), transcript)
    this.#last = { ...this.#last, ...report }
    if (report.state === 'waiting') return { type: 'run_waiting', ...(report.text ? { text: report.text } : {}) }
    if (report.state === 'running' && (state === 'waiting' || state === 'idle')) return { type: 'run_progress' }
    // One that was started for a single prompt is over with its turn.
    if (report.state === 'idle' && this.#spec.background && state !== 'idle' && !this.saidDone)
      return { type: 'run_idle', ...(report.result ? { result: report.result } : {}), ...failureOf(report) }
    return null
  }

  /** Takes the session's own word that it is done. Returns what of the result does not fit: then nothing was taken. */
  done({ failed, result }: RunRequest & { op: 'done' }): string[] {
    const wrong = failed ? [] : this.#misfits(result)
    if (wrong.length === 0) writeDone(this.#dir, { failed, result: result ?? null, at: new Date().toISOString() })
    return wrong
  }

  #misfits(result: string | undefined): string[] {
    const { schema } = this.#spec
    if (result === undefined) return schema === undefined ? [] : ['a result is asked for: --result JSON']
    const value = parseJson(Buffer.from(result))
    if (value === undefined) throw new MeshError('bad_request', 'the result is not JSON')
    return schema === undefined ? [] : misfits(schema as object, value)
  }

  /** `stderrTail`: what the client itself last complained of. */
  judge(seen: Seen, stderrTail: string): Judged {
    const done = readDone(this.#dir)
    const client = this.client.evidence(this.#last?.transcript ?? null)
    const { result: finalText = null, error = null, usage } = this.#last ?? {}
    const record = client.record && usage ? { ...client.record, usage: client.record.usage ?? usage } : client.record
    const judged = judgeAgentEnd({
      ...noEvidence,
      runKind: 'session',
      end: this.#end(),
      ...seen,
      ...client,
      done,
      record,
      error: client.error ?? (client.finalText === null ? error : null),
      finalText: client.finalText ?? finalText,
    })
    if (judged.type !== 'run_completed' && stderrTail !== '') judged.stderrTail = stderrTail
    return done === null && this.#spec.schema !== undefined ? withoutResult(judged, this.#spec.schema) : judged
  }

  /** A child's exit shows how it ended; one in the background may report it to its sidecar. */
  #end(): AgentEnd {
    if (!this.#spec.background) return 'own'
    return this.#last?.state === 'ended' ? agentEndOf(readSessionEnd(this.#last)) : 'killed'
  }
}

function failureOf({ error }: SessionReport): Pick<RunEvent, 'reason' | 'reasonCode'> {
  return error ? { reason: failedWords(error), reasonCode: 'api_error' } : {}
}

/** A session that a result was asked of is completed only with one; also when its last message is nothing else. */
function withoutResult(judged: Judged, schema: unknown): Judged {
  if (judged.type !== 'run_completed') return judged
  const value = judged.result === undefined ? undefined : parseJson(Buffer.from(judged.result))
  if (value !== undefined && misfits(schema as object, value).length === 0) return judged
  const { suspect: _, ...rest } = judged
  const evidence = `it ended without mesh done, and its last message does not fit the schema; ${judged.evidence}`
  return { ...rest, type: 'run_failed', reasonCode: 'no_result', reason: 'no result that fits its schema', evidence }
}
