/**
 * Witnesses this machine's runs: publishes the journals that dead supervisors left, and reports runs whose end was not
 * seen as lost. Belongs to the sidecar that is the witness.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { RunSpec } from '../../api/supervisor.schema.ts'
import { type AgentRecord, judgeAgentEnd, noEvidence, type ReadRecord } from '../../core/runs/agent-end.ts'
import { type Judged, judgeLost, withHost } from '../../core/runs/process-end.ts'
import { isTerminal } from '../../core/runs/run.ts'
import { MeshError } from '../../errors.ts'
import { readText } from '../../host/files.ts'
import { type Home, runDir } from '../../host/home.ts'
import { Journal } from '../../host/journal.ts'
import { lockOwner, tryLock } from '../../host/lock.ts'
import type { Logger } from '../../host/log.ts'
import { bootId, isOfOtherSpace, type ProcessIdentity, processState } from '../../host/process/process.ts'
import { memberKey } from '../../link/keys.ts'
import type { ProjectStore } from '../../nats/project-store.ts'
import type { RunStore } from '../../nats/run-store.ts'
import { Announcer } from '../../run/announcer.ts'
import {
  changedAt,
  files,
  isBySidecar,
  isPublished,
  loggedTail,
  type RunStep,
  readSpec,
  readSteps,
  readStop,
  removeRun,
  runIds,
} from '../../run/dir.ts'
import { eventOf, recordOf, spawnedBy } from '../../run/record.ts'
import { times } from '../../wire/limits.ts'
import { judgeLostSession } from './lost-session.ts'
import { notifyOfOrphan } from './orphans.ts'

/** Time between looks at a run without a supervisor while its command lives or the engine is away. */
const LOOK_MS = 250
const SCAN_MS = 3000
const PATH_BYTES = 16_384
/** Limits the publishing of a run's events, which takes a moment each. It is then tried again. */
const PUBLISH_MS = 5000

interface RunWitnessOptions {
  home: Home
  log: Logger
  name(): string
  store(): ProjectStore | null
  readRecord: ReadRecord
  notifyPeople(text: string): Promise<void>
  /** Returns whether the run's supervisor is connected to this process, which will notice its end. */
  isFollowed(id: string): boolean
}

export class RunWitness {
  readonly #options: RunWitnessOptions
  readonly #watched = new Set<string>()
  /** Ids of runs that are published whole, and not examined again until they are old. */
  readonly #settled = new Set<string>()
  /** Runs of other process spaces without a supervisor, and since when (monotonic). */
  readonly #unseen = new Map<string, number>()
  #timer: NodeJS.Timeout | null = null
  #stopped = false

  constructor(options: RunWitnessOptions) {
    this.#options = options
  }

  /** Examines every run of this machine, now and from time to time: a supervisor may die before it is connected. */
  start(): void {
    this.scan()
    this.#timer = setInterval(() => this.scan(), SCAN_MS).unref()
  }

  scan(): void {
    for (const id of runIds(this.#options.home)) if (!this.#settled.has(id)) void this.look(id)
  }

  stop(): void {
    this.#stopped = true
    if (this.#timer) clearInterval(this.#timer)
  }

  /** Examines a run until it is published whole or its supervisor is connected. */
  async look(id: string): Promise<void> {
    if (this.#watched.has(id)) return
    this.#watched.add(id)
    try {
      while (!this.#stopped && !(await this.#settle(id))) await sleep(LOOK_MS, undefined, { ref: false })
    } finally {
      this.#watched.delete(id)
    }
  }

  /** Does what a run needs. Returns true when nothing is left to do. */
  async #settle(id: string): Promise<boolean> {
    const { home, log, isFollowed } = this.#options
    const dir = runDir(home, id)
    try {
      const spec = readSpec(dir)
      // Alive, also when it is stopped: a supervisor that sleeps is not lost. A sidecar that ends is looked at by its key.
      if (lockOwner(files.lock(dir))) return isBySidecar(spec) || isFollowed(id)
      if (isPublished(dir)) return await this.#notifyOfOrphan(id, spec)
      const store = this.#options.store()
      // Just being made, or its maker died before it had anything to do.
      if (!spec) return Date.now() - changedAt(home, id) < times.runDirAge || this.#sweep(id)
      if (!store) return false
      const lock = tryLock(files.lock(dir))
      if (!lock) return false
      try {
        const isDone = await this.#publish(spec, await store.runs.sibling(spec.project))
        // The session may be there still, and its sidecar back in a moment.
        return isDone || (isBySidecar(spec) && !isGone(dir))
      } finally {
        lock.release()
      }
    } catch (error) {
      log.warn({ run: id, error: MeshError.from(error).toBody() }, 'run not settled yet')
      return false
    }
  }

  /** Makes sure that the owner of a published run, or the people, are notified. */
  async #notifyOfOrphan(id: string, spec: RunSpec | null): Promise<true> {
    const store = this.#options.store()
    // Looked at again, but not at once.
    if (!store) return true
    if (spec) {
      const dir = runDir(this.#options.home, id)
      await notifyOfOrphan(spec, dir, await store.sibling(spec.project), this.#options.notifyPeople)
    }
    return this.#sweep(id)
  }

  /** Publishes the rest of a run's journal. The caller has the run's lock. */
  async #publish(spec: RunSpec, store: RunStore): Promise<boolean> {
    const { home, log, name } = this.#options
    const dir = runDir(home, spec.run)
    const { journal, steps } = Journal.open<RunStep>(files.journal(dir))
    try {
      const started = steps.find((step) => step.t === 'started')
      // The supervisor died before the command could begin.
      if (!started) return this.#forget(spec.run)
      const record = recordOf(spec, started.at, { pid: started.child.pid, supervisor: started.supervisor })
      const announcer = new Announcer({ journal, steps, key: memberKey(home), record, log })
      if (!announcer.last) announcer.push(eventOf(spec, 1, spec.owner, spawnedBy(spec, started)))
      const last = announcer.last!
      // A command that goes on without a supervisor is published up to its latest event, and its end later.
      const isGone = processState(started.child) === 'dead' || this.#isOutOfSight(spec, started.child)
      if (!isTerminal(last.type) && isGone)
        announcer.push(eventOf(spec, last.seq + 1, name(), this.#lost(spec, started)))
      await announcer.settle(store, PUBLISH_MS)
      return announcer.done
    } finally {
      journal.close()
    }
  }

  /**
   * True of a command in another process space that has had no supervisor for as long as a session is lost after: nobody
   * will see its end.
   */
  #isOutOfSight(spec: RunSpec, child: ProcessIdentity): boolean {
    if (isBySidecar(spec) || !isOfOtherSpace(child)) return false
    const since = this.#unseen.get(spec.run) ?? performance.now()
    this.#unseen.set(spec.run, since)
    return performance.now() - since > times.lost
  }

  #forget(id: string): true {
    removeRun(this.#options.home, id)
    return true
  }

  #lost(spec: RunSpec, started: RunStep & { t: 'started' }): Judged & { at: string } {
    const at = new Date().toISOString()
    const judged = this.#judgeLost(spec, started, at)
    const { boot } = started.child
    if (boot === bootId()) return { ...judged, at }
    return { ...withHost(judged, `the machine was started anew: it ran in boot ${boot}, now it is ${bootId()}`), at }
  }

  #judgeLost(spec: RunSpec, started: RunStep & { t: 'started' }, at: string): Judged {
    const dir = runDir(this.#options.home, spec.run)
    if (isBySidecar(spec)) return this.#lostAgent(spec, started.at)
    const { child, supervisor } = started
    const gone = isOfOtherSpace(child)
      ? 'gone with another process space, and its command out of sight,'
      : `and its command (pid ${child.pid}) gone`
    const evidence = `${this.#options.name()} found its supervisor (pid ${supervisor.pid}) ${gone} at ${at}`
    if (spec.runKind === 'session') return judgeLostSession(spec, dir, this.#record(spec, started.at), evidence)
    return judgeLost(readStop(dir), evidence, loggedTail(dir))
  }

  /** Judges a run whose end was not seen, by its client's own record. */
  #lostAgent(spec: RunSpec, startedAt: string): Judged {
    const { run, runKind } = spec
    const dir = runDir(this.#options.home, run)
    const isSubagent = runKind === 'subagent'
    const judged = judgeAgentEnd({
      ...noEvidence,
      ...(isSubagent ? { runKind, end: 'parent' } : { runKind: 'session', end: 'killed' }),
      stop: readStop(dir),
      record: this.#record(spec, startedAt),
      durationMs: Math.max(0, Date.now() - Date.parse(startedAt)),
    })
    // The client reports it to the session when that is resumed.
    return isSubagent ? { ...judged, attended: true } : judged
  }

  #record({ run, runKind }: RunSpec, since: string): AgentRecord | null {
    const transcript = readText(files.transcript(runDir(this.#options.home, run)), PATH_BYTES)
    if (!transcript) return null
    // A subagent's transcript begins before it is seen; a session's may include earlier processes.
    return this.#options.readRecord(
      transcript,
      runKind === 'subagent' ? { subagent: true } : { subagent: false, since },
    )
  }

  #sweep(id: string): true {
    const { home } = this.#options
    this.#settled.add(id)
    this.#unseen.delete(id)
    const isOld = Date.now() - changedAt(home, id) > times.runDirAge
    if (isOld && !lockOwner(files.lock(runDir(home, id)))) removeRun(home, id)
    return true
  }
}

function isGone(dir: string): boolean {
  const started = readSteps(dir).find((step) => step.t === 'started')
  return !started || processState(started.child) === 'dead'
}
