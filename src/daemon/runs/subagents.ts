/**
 * Reports this session's subagents as runs; the witness of the machine does when the sidecar is gone. The client itself
 * reports their ends to the session, so their owner is woken only if that report was wrong or missing.
 */
import type { RunSpec } from '../../api/supervisor.schema.ts'
import { judgeAgentEnd, needsWord, noEvidence } from '../../core/runs/agent-end.ts'
import { MeshError } from '../../errors.ts'
import type { Harness, Subagent, SubagentEnd } from '../../harness/types.ts'
import { writeAtomic } from '../../host/files.ts'
import { type Home, runDir } from '../../host/home.ts'
import type { Logger } from '../../host/log.ts'
import type { RunStore } from '../../nats/run-store.ts'
import { files, isOverHere, readSpec } from '../../run/dir.ts'
import { RunReporter } from '../../run/reporter.ts'
import { bounded, subagentRunId } from '../../wire/lineage.ts'
import { toName } from '../../wire/names.ts'
import type { OwnRun } from '../session.ts'

/** Limits publishing; the witness publishes later events from the journal. */
const PUBLISH_MS = 10_000
/** Limits the lives of one subagent: each resumption after an end is another run. */
const LIVES = 1000

interface SubagentRunsOptions {
  home: Home
  /** The session's own run. */
  run: OwnRun
  project: string
  harness: Harness
  log: Logger
  /** Returns the session's current name. */
  name(): string
}

export class SubagentRuns {
  readonly #options: SubagentRunsOptions
  readonly #running = new Map<string, RunReporter>()
  /** Ended runs that are not published yet. */
  readonly #ended = new Set<RunReporter>()
  #store: RunStore | null = null

  constructor(options: SubagentRunsOptions) {
    this.#options = options
  }

  attach(store: RunStore): void {
    this.#store = store
    for (const reporter of this.#running.values()) reporter.attach(store)
    for (const reporter of this.#ended) void this.#settle(reporter, PUBLISH_MS)
  }

  detach(): void {
    this.#store = null
    for (const reporter of this.#running.values()) reporter.detach()
  }

  /** Handles `HarnessEvents.subagentStarted`. */
  started(agent: Subagent, again: boolean): boolean {
    const known = this.#running.get(agent.id)
    if (known) {
      known.step('run_progress', { attended: true })
      return true
    }
    try {
      const reporter = this.#open(agent, again)
      if (!reporter) return false
      this.#running.set(agent.id, reporter)
      if (this.#store) reporter.attach(this.#store)
      return true
    } catch (error) {
      this.#options.log.warn({ error: MeshError.from(error).toBody() }, 'the run of a subagent not begun')
      return false
    }
  }

  idle(id: string): void {
    this.#running.get(id)?.step('run_idle', { attended: true })
  }

  ended(id: string, end: SubagentEnd): void {
    const reporter = this.#running.get(id)
    if (!reporter) return
    const durationMs = Math.max(0, Date.now() - Date.parse(reporter.startedAt))
    const seen = { ...noEvidence, ...end, runKind: 'subagent', durationMs } as const
    const judged = judgeAgentEnd(seen)
    // The client of a session that died reports what had not ended when it is resumed.
    const isKnown = end.end === 'parent' || !needsWord(seen, judged)
    reporter.end({ ...judged, ...(isKnown ? { attended: true } : {}) })
    this.#running.delete(id)
    this.#ended.add(reporter)
    if (this.#store) void this.#settle(reporter, PUBLISH_MS)
  }

  /** Publishes what waits at the end of the session, within `ms`. */
  async end(ms: number): Promise<void> {
    await Promise.all([...this.#ended].map((reporter) => this.#settle(reporter, ms)))
    this.close()
  }

  /** Closes the runs as this sidecar ends. */
  close(): void {
    for (const reporter of [...this.#running.values(), ...this.#ended]) reporter.close()
    this.#running.clear()
    this.#ended.clear()
  }

  async #settle(reporter: RunReporter, ms: number): Promise<void> {
    if (!this.#store || !(await reporter.settle(this.#store, ms))) return
    this.#ended.delete(reporter)
    reporter.close()
  }

  /** Opens a subagent's run. `again`: only one that an earlier sidecar began and that has not ended. */
  #open(agent: Subagent, again: boolean): RunReporter | null {
    const { home, run, harness, log, name } = this.#options
    for (let life = 1; life <= LIVES; life++) {
      const id = subagentRunId(run.id, life === 1 ? agent.id : `${agent.id}.${life}`)
      const dir = runDir(home, id)
      const isKnown = readSpec(dir) !== null
      if (isKnown && isOverHere(dir)) continue
      if (again && !isKnown) return null
      const spec = this.#spec(agent, id)
      const startedAt = new Date().toISOString()
      const reporter = RunReporter.open({ home, spec, process: harness.process, startedAt, log, from: name })
      if (reporter) writeAtomic(files.transcript(dir), agent.transcript)
      return reporter
    }
    return null
  }

  #spec({ title, parent }: Subagent, id: string): RunSpec {
    const { run, project, harness, name } = this.#options
    const above = parent === null ? undefined : this.#running.get(parent)?.spec
    const lineage = above ? [...above.lineage, above.run] : [...run.lineage, run.id]
    return {
      v: 1,
      run: id,
      name: toName(title),
      owner: name(),
      project,
      lineage: bounded(lineage),
      command: [harness.kind],
      cwd: harness.conversation.cwd,
      detach: true,
      timeoutMs: null,
      runKind: 'subagent',
      teller: 'sidecar',
    }
  }
}
