/**
 * Watches one process to its end and publishes its events, each on disk first. It belongs to no session, so that it
 * outlives the one that started it, its sidecar and the engine.
 */

import { setTimeout as sleep } from 'node:timers/promises'
import type { EndedRun, FromSupervisor, RunAnswer, RunRequest, RunSpec } from '../api/supervisor.schema.ts'
import { deferred } from '../core/deferred.ts'
import { type ExitEvidence, type Judged, judgeExit } from '../core/runs/process-end.ts'
import { advance, isOver, type Run } from '../core/runs/run.ts'
import { isStopped } from '../engine/record.ts'
import { MeshError } from '../errors.ts'
import type { Env, Home } from '../host/home.ts'
import { runDir } from '../host/home.ts'
import { Journal } from '../host/journal.ts'
import type { Logger } from '../host/log.ts'
import { oomKills } from '../host/process/memory.ts'
import { identifyProcess } from '../host/process/process.ts'
import { watchProcess } from '../host/process/watch.ts'
import { memberKey } from '../link/keys.ts'
import { Link } from '../link/link.ts'
import { RunStore } from '../nats/run-store.ts'
import { Announcer } from '../run/announcer.ts'
import { files, loggedTail, type RunStep, readStop, writeStop } from '../run/dir.ts'
import { endedOf, eventOf, recordOf, spawnedBy } from '../run/record.ts'
import type { Exit, RunSubject } from '../run/subject.ts'
import { limits, times } from '../wire/limits.ts'
import { runEnv } from '../wire/lineage.ts'
import type { RunEvent } from '../wire/run.schema.ts'
import type { AgentRun } from './agent.ts'
import { AttachedProcess } from './attached.ts'
import { RunChild } from './child.ts'
import { PostFollower } from './follower.ts'
import { RunOutput } from './output.ts'

/** An end that the engine does not take for this long is left to the sidecars of this machine. */
const LINGER_MS = 60_000
const LOOK_MS = 500
/** A witness that is busy does not keep a command from beginning. */
const FOLLOW_MS = 100
/** The process is looked at this often to see whether it is stopped: Node has no signal for that. */
const STOPPED_LOOK_MS = 500
/** A session that said that it is done may go on for this long. */
const DONE_MS = 60_000
/** Processes left in the group of an ended run are asked to end, and killed after this long. */
const LEFT_MS = 2000
const LEFT_LOOK_MS = 20

interface SupervisorOptions {
  spec: RunSpec
  /** The command's file. */
  path: string
  /** A session's reports, word and result; null for any other run. */
  agent: AgentRun | null
  /** A process that runs already. */
  subject?: RunSubject | undefined
  home: Home
  env: Env
  log: Logger
  /** Sends a word to the run's starter, which may be gone. */
  send(word: FromSupervisor): void
  /** True while the run's starter waits for it. */
  isAttended(): boolean
}

/** A process that is on record and has not begun. */
interface Begun {
  child: RunSubject
  journal: Journal<RunStep>
  output: RunOutput | null
  started: RunStep & { t: 'started' }
}

export class Supervisor {
  readonly #options: SupervisorOptions
  readonly #dir: string
  readonly #journal: Journal<RunStep>
  readonly #output: RunOutput | null
  readonly #child: RunSubject
  readonly #announcer: Announcer
  readonly #follower: PostFollower
  readonly #link: Link<RunStore>
  readonly #oomKills = oomKills()
  readonly #ended = deferred<EndedRun>()
  /** Everything is published. */
  readonly #published = deferred<void>()
  /** A session that lives on in the background ended its work. */
  readonly #finished = deferred<Exit>()
  #run: Run
  #startedAt = 0
  #timer: NodeJS.Timeout | null = null
  #unwatch = () => {}
  #timedOut = false
  #forwarded: ExitEvidence['forwarded'] = null

  private constructor(options: SupervisorOptions, { child, journal, output, started }: Begun) {
    const { spec, home, env, log } = options
    this.#options = options
    this.#dir = runDir(home, spec.run)
    this.#child = child
    this.#journal = journal
    this.#output = output
    const process_ = { pid: child.identity.pid, supervisor: started.supervisor }
    this.#announcer = new Announcer({
      journal,
      steps: [],
      key: memberKey(home),
      record: recordOf(spec, started.at, process_),
      log,
      onDone: this.#published.resolve,
    })
    this.#follower = new PostFollower(home, spec.run)
    this.#link = new Link<RunStore>({
      home,
      env,
      name: `run ${spec.name}`,
      log,
      open: (nc, stalls) => RunStore.open(nc, spec.project, [stalls]),
      onUp: async (store) => this.#announcer.attach(store),
      onDown: () => this.#announcer.detach(),
    })
    const spawned = eventOf(spec, 1, spec.owner, spawnedBy(spec, started))
    this.#run = advance(null, spawned)
    this.#announcer.push(spawned)
  }

  /** Starts the process, which is on disk and waits for `go`. Throws when nothing was run. */
  static async start(options: SupervisorOptions): Promise<Supervisor> {
    const { spec, path, home, subject, agent } = options
    const dir = runDir(home, spec.run)
    const { journal } = Journal.open<RunStep>(files.journal(dir))
    const output = spec.detach && !spec.attach && !subject ? new RunOutput(dir, agent) : null
    const env = { ...options.env, ...runEnv(spec.lineage, spec.run) }
    const child =
      subject ??
      (spec.attach
        ? new AttachedProcess(spec.attach)
        : await RunChild.start({ spec, path, env, output: output?.descriptors ?? null }))
    const supervisor = identifyProcess(process.pid)!
    const started = { t: 'started', child: child.identity, supervisor, at: new Date().toISOString() } as const
    try {
      journal.append([started], true)
    } catch (error) {
      if (!spec.attach) child.signal('SIGKILL')
      throw error
    }
    return new Supervisor(options, { child, journal, output, started })
  }

  /** Lets the process begin, once the witness of this machine's runs knows of it. */
  async go(): Promise<void> {
    const { spec, send } = this.#options
    await Promise.race([this.#follower.start(), sleep(FOLLOW_MS)])
    this.#child.go()
    this.#output?.start()
    this.#startedAt = performance.now()
    send({ started: { runId: spec.run, pid: this.#child.identity.pid } })
    const stopped = (is: boolean) => this.#noteStopped(is)
    this.#unwatch = watchProcess(this.#child.identity, { gone: () => {}, stopped }, STOPPED_LOOK_MS)
    if (spec.timeoutMs !== null) this.#timer = setTimeout(() => this.#timeOut(), spec.timeoutMs)
  }

  /** Resolves when the run is over and published, or left to others to publish. After `go`. */
  async watch(): Promise<void> {
    const { log } = this.#options
    this.#link.join()
    const exit = await Promise.race([this.#child.exit(), this.#finished.promise])
    this.#end(await this.#judge(exit))
    log.info(exit, 'ended')
    await this.#untilPublished()
    this.#follower.stop()
    this.#announcer.close()
    await this.#link.stop()
    this.#journal.close()
  }

  #finish(): void {
    this.#finished.resolve({ code: null, signal: null })
  }

  #timeOut(): void {
    this.#timedOut = true
    void this.#child.end('SIGTERM', times.runGrace)
  }

  /** A process that is stopped (SIGSTOP, or a read from a terminal that is not its own) waits for a person. */
  #noteStopped(is: boolean): void {
    if (this.#child.isOver) return
    const at = new Date().toISOString()
    if (!is) return void this.#push({ type: 'run_progress', at, text: 'goes on' })
    const text = `stopped by a signal; goes on with: kill -CONT ${this.#child.identity.pid}`
    this.#push({ type: 'run_waiting', at, text, ...this.#attended() })
  }

  #attended(): { attended?: true } {
    return this.#options.isAttended() ? { attended: true } : {}
  }

  /** Passes a signal on to the whole group. */
  forward(signal: NodeJS.Signals, from: string): void {
    if (this.#child.isOver) return
    if (signal !== 'SIGWINCH') this.#forwarded = { signal, from }
    this.#child.signal(signal)
  }

  get isOver(): boolean {
    return this.#child.isOver
  }

  /** Answers on the run's socket. */
  async answer(request: RunRequest): Promise<RunAnswer> {
    if (request.op === 'progress') return { seq: this.#progress(request) }
    if (request.op === 'session' || request.op === 'done') return this.#hear(request)
    const { by, signal, graceMs } = request
    if (!this.#child.isOver) {
      // Another user's is refused before anything is noted.
      this.#child.signal(0)
      writeStop(this.#dir, { by, signal, at: new Date().toISOString() })
      void this.#child.end(signal as NodeJS.Signals, graceMs)
    }
    return { ended: await this.#ended.promise }
  }

  #progress({ text, percent }: RunRequest & { op: 'progress' }): number {
    if (this.#child.isOver) throw new MeshError('not_alive', 'the run is over')
    if (this.#announcer.waiting >= limits.runBacklog) {
      throw new MeshError('store_full', `${limits.runBacklog} events of this run wait for the engine already`)
    }
    const words = percent === undefined ? { text } : { text, percent }
    return this.#push({ type: 'run_progress', at: new Date().toISOString(), ...words }).seq
  }

  /** Takes the report of a session's sidecar, or the session's own word. */
  #hear(request: RunRequest & { op: 'session' | 'done' }): RunAnswer {
    const { agent, spec } = this.#options
    if (!agent) throw new MeshError('bad_request', 'this run is a command: its exit code is its result')
    if (isOver(this.#run.state)) throw new MeshError('not_alive', 'the run is over')
    if (request.op === 'session') {
      const step = agent.report(request, this.#run.state)
      if (step) this.#push({ ...step, at: new Date().toISOString() })
    } else {
      const misfits = agent.done(request)
      if (misfits.length > 0) return { misfits }
      setTimeout(() => (spec.background ? this.#finish() : this.#child.end('SIGTERM', times.runGrace)), DONE_MS).unref()
    }
    if (spec.background && agent.isDone) this.#finish()
    return { seq: this.#run.seq }
  }

  async #judge({ code, signal }: Exit): Promise<Judged> {
    if (this.#timer) clearTimeout(this.#timer)
    this.#unwatch()
    const { agent } = this.#options
    const durationMs = this.#options.spec.attach ? null : Math.round(performance.now() - this.#startedAt)
    const leftInGroup = this.#child.hasGroup
    if (leftInGroup) void this.#child.end('SIGTERM', LEFT_MS)
    await this.#child.drain()
    this.#output?.finish()
    const kills = oomKills()
    const grew = kills !== null && this.#oomKills !== null && kills > this.#oomKills
    const seen = {
      timedOutMs: this.#timedOut ? this.#options.spec.timeoutMs : null,
      stop: readStop(this.#dir),
      outOfMemory: grew ? `the kernel killed for want of memory (oom_kill ${this.#oomKills} → ${kills})` : null,
      durationMs,
    }
    const stderrTail = this.#output ? loggedTail(this.#dir) : this.#child.stderrTail
    const judged = agent
      ? agent.judge({ ...seen, exit: { code, signal } }, stderrTail)
      : judgeExit({ ...seen, code, signal, forwarded: this.#forwarded, leftInGroup, stderrTail })
    const lost = this.#child.isOnTerminal ? '; its standard error went to a terminal' : (this.#output?.lost ?? '')
    return { ...judged, evidence: `${judged.evidence}${lost}` }
  }

  #end(judged: ReturnType<typeof judgeExit>): void {
    const event = this.#push({ ...judged, ...this.#attended(), at: new Date().toISOString() })
    const ended = endedOf(event, this.#run)
    this.#options.send({ ended })
    this.#ended.resolve(ended)
  }

  #push(fields: Pick<RunEvent, 'type' | 'at'> & Partial<RunEvent>): RunEvent {
    const { spec } = this.#options
    const event = eventOf(spec, this.#run.seq + 1, spec.owner, fields)
    this.#run = advance(this.#run, event)
    this.#announcer.push(event)
    return event
  }

  /** Stops waiting after `mesh down`: the next sidecar of this machine publishes what is in the journal. */
  async #untilPublished(): Promise<void> {
    const deadline = performance.now() + LINGER_MS
    while (!this.#announcer.done && performance.now() < deadline && !isStopped(this.#options.home)) {
      await Promise.race([this.#published.promise, sleep(LOOK_MS)])
    }
    // Processes that the command left in its group get their time.
    const left = performance.now() + LEFT_MS
    while (this.#child.hasGroup && performance.now() < left) await sleep(LEFT_LOOK_MS)
  }
}
