/**
 * Reports this session's own run. A supervised run is reported by its supervisor, from what this sidecar sees. This
 * sidecar reports any other run, and the witness of the machine does when both are gone.
 */
import type { RunAnswer, RunRequest, RunSpec, SessionReport } from '../../api/supervisor.schema.ts'
import { ownerIn } from '../../core/runs/adoption.ts'
import { agentEndOf, judgeAgentEnd, noEvidence, type ReadRecord } from '../../core/runs/agent-end.ts'
import { MeshError } from '../../errors.ts'
import type { Harness, TurnEnd } from '../../harness/types.ts'
import { writeAtomic } from '../../host/files.ts'
import { type Home, runDir } from '../../host/home.ts'
import type { Logger } from '../../host/log.ts'
import type { Entry } from '../../nats/bucket.ts'
import type { ProjectStore } from '../../nats/project-store.ts'
import { files, readSpec, readStop } from '../../run/dir.ts'
import { SupervisorLine } from '../../run/line.ts'
import { RunReporter } from '../../run/reporter.ts'
import { serveRun } from '../../run/socket.ts'
import { askedWords, failedWords, saysWhat } from '../../wire/cause.ts'
import type { Cause, NameRecord, SessionStatus } from '../../wire/envelope.schema.ts'
import { limits } from '../../wire/limits.ts'
import type { RunState } from '../../wire/run.schema.ts'
import type { SessionEnd } from '../../wire/session-end.ts'
import type { OwnRun } from '../session.ts'

type Seen = 'running' | 'waiting' | 'idle'

const SEEN: Readonly<Partial<Record<SessionStatus, Seen>>> = { busy: 'running', waiting: 'waiting', idle: 'idle' }
const STEPS = { running: 'run_progress', waiting: 'run_waiting', idle: 'run_idle' } as const
/** Delays durable writes until the client's SessionStart hook, for which it waits, is done. */
const BEGIN_MS = 100
/** Time between tries for the run's lock, which a witness may have for a moment. */
const AGAIN_MS = 500
/** Time in which it is found what a session waits for. */
const DETAIL_MS = 300

interface SessionRunOptions {
  home: Home
  project: string
  run: OwnRun
  harness: Harness
  log: Logger
  /** Returns the session's current name. */
  name(): string
  /** Returns the names records of the project. */
  names(): Promise<Entry<NameRecord>[]>
  readRecord: ReadRecord
  /** Time when this sidecar started, ISO 8601. A session's first sidecar starts before its first turn. */
  startedAt: string
}

export class SessionRun {
  readonly #options: SessionRunOptions
  readonly #line: SupervisorLine | null
  #reporter: RunReporter | null = null
  #store: ProjectStore | null = null
  #timer: NodeJS.Timeout | null = null
  #transcript: string | null = null
  /** The last state seen; null before the first turn. */
  #seen: Seen | null = null
  #cause: Cause | null = null
  #detail: NodeJS.Timeout | null = null
  #turn: TurnEnd | null = null
  /** True once the last state seen is reported. */
  #isReported = true
  #ended = false
  #close = () => {}

  constructor(options: SessionRunOptions) {
    this.#options = options
    const { home, run, log } = options
    this.#line = run.isSupervised ? new SupervisorLine(home, run.id, log) : null
  }

  /** Begins to publish over a new connection. */
  attach(store: ProjectStore): void {
    this.#store = store
    this.#noteTranscript()
    if (this.#line) this.#hello()
    else if (this.#reporter) this.#reporter.attach(store.runs)
    else this.#timer ??= setTimeout(() => void this.#begin(), BEGIN_MS)
  }

  detach(): void {
    this.#store = null
    this.#reporter?.detach()
  }

  status(status: SessionStatus, cause: Cause | null = null): void {
    const seen = SEEN[status]
    // Before its first turn a session waits for a directive too, but no turn of it ended.
    if (!seen || (seen === 'idle' && this.#seen === null)) return
    this.#cause = cause
    if (seen === this.#seen) {
      if (!this.#isReported && saysWhat(cause)) this.#reportSeen()
      return
    }
    this.#seen = seen
    if (seen === 'running') this.#turn = null
    this.#isReported = false
    if (this.#detail) clearTimeout(this.#detail)
    // What it waits for comes a moment after the fact.
    if (seen === 'waiting' && !saysWhat(cause)) this.#detail = setTimeout(() => this.#reportSeen(), DETAIL_MS)
    else this.#reportSeen()
  }

  turnEnded(turn: TurnEnd): void {
    this.#turn = turn
  }

  /** Notes the transcript of a conversation that began. */
  conversation(): void {
    this.#noteTranscript()
  }

  /** Ends the run: writes the end down at once and publishes it within `ms`; otherwise a witness does. */
  async end(end: SessionEnd, ms: number): Promise<void> {
    if (this.#ended) return
    if (!this.#line && !this.#reporter) await this.#begin()
    this.#ended = true
    for (const timer of [this.#timer, this.#detail]) if (timer) clearTimeout(timer)
    this.#noteTranscript()
    if (this.#line) {
      const reason = end.reason.slice(0, limits.reason)
      this.#line.send({ ...this.#report('ended'), reason, reasonCode: end.code })
      return this.#line.settle(ms)
    }
    const reporter = this.#reporter
    if (!reporter) return
    reporter.end(this.#judge(end, reporter.startedAt))
    this.#close()
    if (this.#store) await reporter.settle(this.#store.runs, ms)
    reporter.close()
  }

  #judge(end: SessionEnd, since: string) {
    const { home, run, readRecord } = this.#options
    const record = this.#transcript === null ? null : readRecord(this.#transcript, { subagent: false, since })
    return judgeAgentEnd({
      ...noEvidence,
      runKind: 'session',
      end: agentEndOf(end),
      stop: readStop(runDir(home, run.id)),
      error: this.#turn?.error ?? null,
      finalText: this.#turn?.text ?? null,
      record,
      durationMs: Math.max(0, Date.now() - Date.parse(since)),
    })
  }

  /** Takes the run's lock and writes down that it began, unless an earlier sidecar did. Works without the engine. */
  async #begin(): Promise<void> {
    const { home, project, run, harness, log, name, startedAt } = this.#options
    try {
      const owner = await this.#owner()
      if (this.#ended || this.#reporter) return
      const { cwd } = harness.conversation
      const spec: RunSpec = {
        v: 1,
        run: run.id,
        name: name(),
        owner: owner ?? name(),
        project,
        lineage: run.lineage,
        command: [harness.kind],
        cwd,
        detach: true,
        timeoutMs: null,
        runKind: 'session',
        teller: 'sidecar',
        ...(owner === null ? { attended: true } : {}),
      }
      const { process } = harness
      this.#reporter = RunReporter.open({ home, spec, process, startedAt, log, from: name })
    } catch (error) {
      log.warn({ error: MeshError.from(error).toBody() }, 'the run of this session not begun yet')
    }
    if (!this.#reporter) {
      if (!this.#ended) this.#timer = setTimeout(() => void this.#begin(), AGAIN_MS)
      return
    }
    this.#noteTranscript()
    this.#serve()
    // An earlier sidecar saw a turn; in a run that has only begun none has been seen yet.
    if (this.#reporter.hasGoneOn) this.#seen ??= seenIn(this.#reporter.state)
    if (this.#store) this.#reporter.attach(this.#store.runs)
    this.#reportSeen()
  }

  /** Serves commands inside the session that speak for its run (`mesh progress`). */
  #serve(): void {
    const { home, run, log } = this.#options
    serveRun(files.socket(runDir(home, run.id)), (request) => this.#answer(request)).then(
      (close) => {
        if (this.#ended) close()
        else this.#close = close
      },
      (error) => log.warn({ error: MeshError.from(error).toBody() }, 'the socket of the run was not opened'),
    )
  }

  #answer(request: RunRequest): RunAnswer {
    if (request.op !== 'progress')
      throw new MeshError('bad_request', 'this session has no supervisor', { hint: 'mesh spawn starts one that is' })
    const { text, percent } = request
    const event = this.#reporter?.step('run_progress', { text, ...(percent === undefined ? {} : { percent }) })
    if (!event) throw new MeshError('not_alive', 'the run is over, or too much of it waits for the engine')
    return { seq: event.seq }
  }

  /**
   * Returns the owner that this machine knows of; adoption corrects it later. Throws `mesh_down` when it knows none.
   */
  #ownerHere(): string {
    const { home, run } = this.#options
    const spec = readSpec(runDir(home, run.lineage.at(-1)!))
    if (!spec) throw new MeshError('mesh_down', 'whose run this session is, is not known without the engine')
    return spec.runKind === 'session' ? spec.name : spec.owner
  }

  /** Returns the session that started this run; null if none did. Throws `mesh_down`. */
  async #owner(): Promise<string | null> {
    const { lineage } = this.#options.run
    if (lineage.length === 0) return null
    const store = this.#store
    if (!store) return this.#ownerHere()
    const [names, records] = await Promise.all([
      this.#options.names(),
      Promise.all(lineage.map((id) => store.runs.records.get(id))),
    ])
    const runs = new Map(records.flatMap((entry) => (entry ? [[entry.value.id, entry.value]] : [])))
    return ownerIn(lineage, { names: names.map(({ value }) => value), runs, now: Date.now() })
  }

  /** Reports only the current state: states that passed before a report was possible are no news. */
  #reportSeen(): void {
    if (this.#isReported || this.#ended || this.#seen === null) return
    if (this.#line) {
      if (!this.#store) return
      this.#line.send(this.#report(this.#seen))
    } else {
      if (!this.#reporter) return
      const { text, result, usage, error } = this.#report(this.#seen)
      const isWatched = !this.#reporter.spec.attended
      const words = {
        ...(text ? { text } : {}),
        ...(result && isWatched ? { result } : {}),
        ...(usage ? { usage } : {}),
        ...(error ? { reason: failedWords(error).slice(0, limits.reason), reasonCode: 'api_error' } : {}),
      }
      this.#reporter.step(STEPS[this.#seen], words)
    }
    this.#isReported = true
  }

  /** Identifies the session to the run's supervisor before anything happens in it. */
  #hello(): void {
    this.#isReported = false
    this.#seen ??= 'running'
    this.#reportSeen()
  }

  #report(state: SessionReport['state']): SessionReport {
    const { name, harness } = this.#options
    const { text = null, error = null } = state === 'idle' || state === 'ended' ? (this.#turn ?? {}) : {}
    const waitingFor = state === 'waiting' && this.#cause ? askedWords(this.#cause) : undefined
    return {
      op: 'session',
      session: harness.conversation.sessionId,
      name: name(),
      state,
      ...(waitingFor ? { text: waitingFor } : {}),
      ...(text ? { result: text.slice(0, limits.resultChars).toWellFormed() } : {}),
      ...(error
        ? { error: { kind: error.kind.slice(0, limits.reason), message: error.message.slice(0, limits.evidence) } }
        : {}),
      ...(this.#transcript ? { transcript: this.#transcript } : {}),
    }
  }

  /** Notes the transcript's path in the run's directory, for a witness. */
  #noteTranscript(): void {
    const { harness, home, run, log } = this.#options
    const { transcript } = harness
    if (!transcript || transcript === this.#transcript) return
    this.#transcript = transcript
    if (!this.#reporter) return
    try {
      writeAtomic(files.transcript(runDir(home, run.id)), transcript)
    } catch (error) {
      log.debug({ error }, 'the place of the transcript not noted')
    }
  }
}

function seenIn(state: RunState): Seen | null {
  return state === 'running' || state === 'waiting' || state === 'idle' ? state : null
}
