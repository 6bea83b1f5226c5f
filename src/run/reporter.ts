/**
 * Reports an unsupervised run for as long as the sidecar that sees it lives: a session's own run, a subagent's. The
 * process that has the run's lock reports it. Each event is on disk first, so that a successor goes on where this ended.
 */
import type { RunSpec } from '../api/supervisor.schema.ts'
import type { Judged } from '../core/runs/process-end.ts'
import { advance, fold, isOver, type Run, refusal } from '../core/runs/run.ts'
import { ensurePrivateDir } from '../host/files.ts'
import { type Home, runDir } from '../host/home.ts'
import { Journal } from '../host/journal.ts'
import { type Lock, tryLock } from '../host/lock.ts'
import type { Logger } from '../host/log.ts'
import { identifyProcess } from '../host/process/process.ts'
import { memberKey } from '../link/keys.ts'
import type { RunStore } from '../nats/run-store.ts'
import type { ProcessIdentity } from '../wire/envelope.schema.ts'
import { limits } from '../wire/limits.ts'
import type { EventType, RunEvent, RunState } from '../wire/run.schema.ts'
import { Announcer } from './announcer.ts'
import { files, type RunStep, readSpec, writeSpec } from './dir.ts'
import { eventOf, recordOf, spawnedBy } from './record.ts'

/** A session may end thousands of turns: past this size the journal drops what is published already. */
const COMPACT_BYTES = 1024 * 1024

interface ReporterOptions {
  home: Home
  /** The run's spec, if it is not on disk yet. */
  spec: RunSpec
  /** The process that stands for it: when it is dead, so is the run. */
  process: ProcessIdentity
  /** When it began, ISO 8601. */
  startedAt: string
  log: Logger
  /** The name of the session that reports it. */
  from(): string
}

export class RunReporter {
  readonly spec: RunSpec
  readonly #options: ReporterOptions
  readonly #dir: string
  readonly #lock: Lock
  readonly #journal: Journal<RunStep>
  readonly #announcer: Announcer
  readonly #started: RunStep & { t: 'started' }
  #run: Run | null
  #closed = false

  private constructor(options: ReporterOptions, lock: Lock) {
    const { home, process: child, startedAt, log } = options
    this.#options = options
    this.#lock = lock
    this.#dir = runDir(home, options.spec.run)
    const known = readSpec(this.#dir)
    this.spec = known ?? options.spec
    if (!known) writeSpec(this.#dir, this.spec)
    const { journal, steps } = Journal.open<RunStep>(files.journal(this.#dir))
    this.#journal = journal
    const supervisor = identifyProcess(process.pid)!
    const fresh = { t: 'started', child, supervisor, at: startedAt } as const
    const started = steps.find((step) => step.t === 'started')
    this.#started = started ?? fresh
    if (!started) journal.append([fresh], true)
    this.#run = lastOf(steps)
    const record = recordOf(this.spec, this.#started.at, { pid: child.pid, supervisor })
    this.#announcer = new Announcer({ journal, steps, key: memberKey(home), record, log })
  }

  /** Goes on with a run, or begins it. Null: another process reports it, or it is over. Throws errors of the disk. */
  static open(options: ReporterOptions): RunReporter | null {
    const { home, spec } = options
    const dir = runDir(home, spec.run)
    for (const path of [home.runs, dir]) ensurePrivateDir(path)
    const lock = tryLock(files.lock(dir))
    if (!lock) return null
    let reporter: RunReporter
    try {
      reporter = new RunReporter(options, lock)
    } catch (error) {
      lock.release()
      throw error
    }
    if (!reporter.#run) reporter.#push(spawnedBy(reporter.spec, reporter.#started))
    if (!reporter.isOver) return reporter
    reporter.close()
    return null
  }

  get state(): RunState {
    return this.#run!.state
  }

  /** True once something was reported of it after its beginning. */
  get hasGoneOn(): boolean {
    return this.#run!.seq > 1
  }

  get isOver(): boolean {
    return this.#run !== null && isOver(this.#run.state)
  }

  /** When the run began, ISO 8601. */
  get startedAt(): string {
    return this.#started.at
  }

  attach(store: RunStore): void {
    this.#announcer.attach(store)
  }

  detach(): void {
    this.#announcer.detach()
  }

  /** Reports a step of the run. Null: it cannot come now, or too much waits for the engine already. */
  step(type: Exclude<EventType, Judged['type']>, fields: Partial<RunEvent> = {}): RunEvent | null {
    const next = { type, seq: (this.#run?.seq ?? 0) + 1, runKind: this.spec.runKind ?? 'process' }
    const isRefused = this.#closed || refusal(this.#run, next) !== null
    if (isRefused || this.#announcer.waiting >= limits.runBacklog) return null
    const event = this.#push({ ...fields, type, at: new Date().toISOString() })
    this.#compact()
    return event
  }

  /** Writes the end down. The next `settle` publishes it, or the witness of this machine. */
  end(judged: Judged): void {
    if (!this.#closed && !this.isOver) this.#push({ ...judged, at: new Date().toISOString() })
  }

  /** Publishes what waits, at most for `ms`. Resolves to true when everything is published. */
  async settle(store: RunStore, ms: number): Promise<boolean> {
    await this.#announcer.settle(store, ms)
    return this.#announcer.waiting === 0
  }

  /** Leaves the run to a successor. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#announcer.close()
    this.#journal.close()
    this.#lock.release()
  }

  #push(fields: Pick<RunEvent, 'type' | 'at'> & Partial<RunEvent>): RunEvent {
    const event = eventOf(this.spec, (this.#run?.seq ?? 0) + 1, this.#options.from(), fields)
    this.#run = advance(this.#run, event)
    this.#announcer.push(event)
    return event
  }

  #compact(): void {
    const { last, waiting } = this.#announcer
    if (this.#journal.bytes < COMPACT_BYTES || waiting > 0 || !last) return
    this.#journal.rewrite([this.#started, { t: 'event', event: last }, { t: 'told', seq: last.seq }])
  }
}

/** The run as its journal has it, which may begin in the middle. */
function lastOf(steps: readonly RunStep[]): Run | null {
  if (steps.some((step) => step.t === 'superseded')) return { kind: 'session', state: 'terminated', seq: 0 }
  const events = steps.flatMap((step) => (step.t === 'event' ? [step.event] : []))
  const [first] = events
  if (!first) return null
  if (first.seq === 1) return fold(events)
  const begun: Run = { kind: first.runKind, state: 'running', seq: first.seq - 1 }
  return events.reduce((run, event) => (refusal(run, event) ? run : advance(run, event)), begun)
}
