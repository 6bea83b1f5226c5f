/**
 * Watches one process to its end and tells it: what is told is on disk first. It belongs to no session, so that it
 * outlives the one that started it, its sidecar and the engine.
 */
import type { EndedRun, FromSupervisor, RunAnswer, RunRequest, RunSpec } from '../api/supervisor.schema.ts'
import { type ExitEvidence, type Judged, judgeExit } from '../core/runs/process-end.ts'
import { advance, isOver, type Run } from '../core/runs/run.ts'
import { isStopped } from '../engine/engine.ts'
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
import { files, type RunStep, readStop, writeStop } from '../run/dir.ts'
import { endedOf, eventOf, recordOf, spawnedBy } from '../run/record.ts'
import type { Exit, RunSubject } from '../run/subject.ts'
import { limits, times } from '../wire/limits.ts'
import { runEnv } from '../wire/lineage.ts'
import type { RunEvent } from '../wire/run.schema.ts'
import type { AgentRun } from './agent.ts'
import { AttachedProcess } from './attached.ts'
import { RunChild } from './child.ts'
import { PostFollower } from './follower.ts'
import { RunLog } from './output.ts'

/** An end that the engine does not take for this long is left to the sidecars of this machine. */
const LINGER_MS = 60_000
const LOOK_MS = 500
/** A witness that is busy does not keep a command from beginning. */
const FOLLOW_MS = 100
/** How often it is looked whether the process is stopped: there is no signal for that in Node. */
const STOPPED_LOOK_MS = 500
/** What a session goes on doing after it said that it is done. */
const DONE_MS = 60_000
/** What is left in the group of an ended run is told to end, and killed after this long. */
const LEFT_MS = 2000

interface SupervisorOptions {
  spec: RunSpec
  /** The command's file. */
  path: string
  /** What is known of a session besides its process; null for any other run. */
  agent: AgentRun | null
  /** A process that runs already. */
  subject?: RunSubject | undefined
  home: Home
  env: Env
  log: Logger
  /** Tells whoever started the run, who may be gone. */
  tell(word: FromSupervisor): void
  /** Whoever started the run still waits for it. */
  isAttended(): boolean
}

export class Supervisor {
  readonly #options: SupervisorOptions
  readonly #dir: string
  readonly #journal: Journal<RunStep>
  readonly #logs: { stdout: RunLog; stderr: RunLog } | null
  readonly #follower: PostFollower
  readonly #link: Link<RunStore>
  readonly #oomKills = oomKills()
  readonly #ended: Promise<EndedRun>
  #resolveEnded!: (ended: EndedRun) => void
  #child!: RunSubject
  #announcer!: Announcer
  #run: Run | null = null
  #startedAt = 0
  #timer: NodeJS.Timeout | null = null
  #unwatch = () => {}
  #timedOut = false
  #forwarded: ExitEvidence['forwarded'] = null
  #noteDone!: () => void
  readonly #done: Promise<void>
  #finish!: () => void
  /** A session that lives on in the background ended its work. */
  readonly #finished: Promise<Exit>

  constructor(options: SupervisorOptions) {
    const { spec, home, env, log } = options
    this.#options = options
    this.#dir = runDir(home, spec.run)
    this.#journal = Journal.open<RunStep>(files.journal(this.#dir)).journal
    const logOf = (stream: 'stdout' | 'stderr') => new RunLog(files.output(this.#dir, stream))
    this.#logs = spec.detach && !spec.attach ? { stdout: logOf('stdout'), stderr: logOf('stderr') } : null
    this.#follower = new PostFollower(home, spec.run)
    this.#link = new Link<RunStore>({
      home,
      env,
      name: `run ${spec.name}`,
      log,
      open: (nc) => RunStore.open(nc, spec.project),
      onUp: async (store) => this.#announcer.attach(store),
      onDown: () => this.#announcer.detach(),
    })
    this.#ended = new Promise((resolve) => {
      this.#resolveEnded = resolve
    })
    this.#done = new Promise((resolve) => {
      this.#noteDone = resolve
    })
    this.#finished = new Promise((resolve) => {
      this.#finish = () => resolve({ code: null, signal: null })
    })
  }

  /** Resolves when the run is over and told, or left to others to tell. After `start`. */
  async watch(): Promise<void> {
    const { log } = this.#options
    this.#link.join()
    const exit = await Promise.race([this.#child.exit(), this.#finished])
    this.#end(await this.#judge(exit))
    log.info(exit, 'ended')
    await this.#untilTold()
    this.#follower.stop()
    this.#announcer.close()
    await this.#link.stop()
    this.#journal.close()
  }

  /** Starts the process, which is on disk before it begins. Throws when nothing was run. */
  async start(): Promise<void> {
    const { spec, path, home, env, tell, log } = this.#options
    const childEnv = { ...env, ...runEnv(spec.lineage, spec.run) }
    const child =
      this.#options.subject ??
      (spec.attach
        ? new AttachedProcess(spec.attach)
        : await RunChild.start({ spec, path, env: childEnv, logs: this.#sinks() }))
    this.#child = child
    const supervisor = identifyProcess(process.pid)!
    const at = new Date().toISOString()
    const started = { t: 'started', child: child.identity, supervisor, at } as const
    try {
      this.#journal.append([started], true)
    } catch (error) {
      if (!spec.attach) child.signal('SIGKILL')
      throw error
    }
    this.#announcer = new Announcer({
      journal: this.#journal,
      steps: [],
      key: memberKey(home),
      record: recordOf(spec, at, { pid: child.identity.pid, supervisor }),
      log,
      onDone: () => this.#noteDone(),
    })
    this.#push(spawnedBy(spec, started))
    // Whoever witnesses this machine's runs knows of this one before it begins.
    await Promise.race([this.#follower.start(), new Promise((resolve) => setTimeout(resolve, FOLLOW_MS))])
    child.go()
    this.#startedAt = performance.now()
    tell({ started: { runId: spec.run, pid: child.identity.pid } })
    const stopped = (is: boolean) => this.#noteStopped(is)
    this.#unwatch = watchProcess(child.identity, { gone: () => {}, stopped }, STOPPED_LOOK_MS)
    if (spec.timeoutMs !== null) this.#timer = setTimeout(() => this.#timeOut(), spec.timeoutMs)
  }

  /** What a session writes is for its client's eyes; people read what it says. */
  #sinks() {
    const { agent } = this.#options
    if (!this.#logs || !agent) return this.#logs
    const { stdout, stderr } = this.#logs
    return { stdout: { write: (chunk: Buffer) => stdout.write(Buffer.from(agent.client.read(chunk))) }, stderr }
  }

  #timeOut(): void {
    this.#timedOut = true
    void this.#child.end('SIGTERM', times.runGrace)
  }

  /** One that is stopped (SIGSTOP, or it wants to read from a terminal that is not its own) waits for somebody. */
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
    return this.#run !== null && this.#child.isOver
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
    return { ended: await this.#ended }
  }

  #progress({ text, percent }: RunRequest & { op: 'progress' }): number {
    if (this.#child.isOver) throw new MeshError('not_alive', 'the run is over')
    if (this.#announcer.waiting >= limits.runBacklog) {
      throw new MeshError('store_full', `${limits.runBacklog} events of this run wait for the engine already`)
    }
    const words = percent === undefined ? { text } : { text, percent }
    return this.#push({ type: 'run_progress', at: new Date().toISOString(), ...words }).seq
  }

  /** What a session, or its sidecar, says of it. */
  #hear(request: RunRequest & { op: 'session' | 'done' }): RunAnswer {
    const { agent, spec } = this.#options
    if (!agent) throw new MeshError('bad_request', 'this run is a command: its exit code is its result')
    if (!this.#run) throw new MeshError('conflict', 'the run has not begun')
    if (isOver(this.#run.state)) throw new MeshError('not_alive', 'the run is over')
    if (request.op === 'session') {
      const told = agent.report(request, this.#run!.state)
      if (told) this.#push({ ...told, at: new Date().toISOString() })
    } else {
      const misfits = agent.done(request)
      if (misfits.length > 0) return { misfits }
      setTimeout(() => (spec.background ? this.#finish() : this.#child.end('SIGTERM', times.runGrace)), DONE_MS).unref()
    }
    if (spec.background && agent.isDone) this.#finish()
    return { seq: this.#run!.seq }
  }

  async #judge({ code, signal }: Exit): Promise<Judged> {
    if (this.#timer) clearTimeout(this.#timer)
    this.#unwatch()
    const { agent } = this.#options
    const durationMs = this.#options.spec.attach ? null : Math.round(performance.now() - this.#startedAt)
    const leftInGroup = this.#child.hasGroup
    if (leftInGroup) void this.#child.end('SIGTERM', LEFT_MS)
    await this.#child.drain()
    const kills = oomKills()
    const grew = kills !== null && this.#oomKills !== null && kills > this.#oomKills
    const seen = {
      timedOutMs: this.#timedOut ? this.#options.spec.timeoutMs : null,
      stop: readStop(this.#dir),
      outOfMemory: grew ? `the kernel killed for want of memory (oom_kill ${this.#oomKills} → ${kills})` : null,
      durationMs,
    }
    const { stderrTail } = this.#child
    const judged = agent
      ? agent.judge({ ...seen, exit: { code, signal } }, stderrTail)
      : judgeExit({ ...seen, code, signal, forwarded: this.#forwarded, leftInGroup, stderrTail })
    const dropped = (this.#logs?.stdout.dropped ?? 0) + (this.#logs?.stderr.dropped ?? 0)
    if (dropped > 0) judged.evidence = `${judged.evidence}; ${dropped} bytes of its output could not be logged`
    return judged
  }

  #end(judged: ReturnType<typeof judgeExit>): void {
    const event = this.#push({ ...judged, ...this.#attended(), at: new Date().toISOString() })
    const ended = endedOf(event, this.#run!)
    this.#options.tell({ ended })
    this.#resolveEnded(ended)
  }

  #push(fields: Pick<RunEvent, 'type' | 'at'> & Partial<RunEvent>): RunEvent {
    const { spec } = this.#options
    const event = eventOf(spec, (this.#run?.seq ?? 0) + 1, spec.owner, fields)
    this.#run = advance(this.#run, event)
    this.#announcer.push(event)
    return event
  }

  /** After `mesh down` nobody waits: the next sidecar of this machine tells what is in the journal. */
  async #untilTold(): Promise<void> {
    const deadline = performance.now() + LINGER_MS
    while (!this.#announcer.done && performance.now() < deadline && !isStopped(this.#options.home)) {
      const waited = new Promise((resolve) => setTimeout(resolve, LOOK_MS))
      await Promise.race([this.#done, waited])
    }
    // What the command left in its group is given its time.
    const left = performance.now() + LEFT_MS
    while (this.#child.hasGroup && performance.now() < left) await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
