/** Groups a sidecar's work with runs: its session's own, its subagents', and those that it owns or may adopt. */
import { join } from 'node:path'
import type { RunSpec } from '../../api/supervisor.schema.ts'
import type { ReadRecord } from '../../core/runs/agent-end.ts'
import type { HarnessEvents } from '../../harness/types.ts'
import { nameDir } from '../../host/home.ts'
import type { ProjectStore } from '../../nats/project-store.ts'
import type { SessionEnd } from '../../wire/session-end.ts'
import type { MailSession } from '../mail/session.ts'
import type { Session } from '../session.ts'
import { Adoption } from './adoption.ts'
import { RunMail } from './inbox.ts'
import { SessionRun } from './session.ts'
import { SubagentRuns } from './subagents.ts'

interface RunsOptions {
  /** Time when the sidecar started, ISO 8601. */
  startedAt: string
  readRecord: ReadRecord
  /** Ends a background session for good. `said` is its client's output at the start. Throws if that did not end it. */
  stopBackground?(spec: RunSpec, pid: number, said: string): Promise<void>
}

export interface RunsSession extends Session {
  readonly runs: Runs
}

export class Runs {
  readonly stopBackground: RunsOptions['stopBackground']
  readonly mail: RunMail
  /** Null for a person at a shell. */
  readonly session: SessionRun | null
  readonly #subagents: SubagentRuns | null
  readonly #adoption: Adoption

  constructor(session: MailSession, { startedAt, readRecord, stopBackground }: RunsOptions) {
    this.stopBackground = stopBackground
    const { run, ring, key, home, place, harness, log } = session
    const me = () => session.record.name
    const called = () => session.called
    const { project } = place
    const names = () => session.names()
    const about = { home, project, run, harness, log }
    this.session = run && new SessionRun({ ...about, run, name: me, names, readRecord, startedAt })
    this.#subagents = run && new SubagentRuns({ ...about, run, name: called })
    this.mail = new RunMail({
      ring,
      key,
      log,
      me,
      mailbox: () => session.mailbox,
      cursorPath: () => join(nameDir(home, project, me()), 'events.json'),
      onArrived: () => session.poke(),
      note: (mail, state, evidence) => session.steps.note(mail, state, evidence),
      onEnd: (event) => this.#adoption.ended(event),
    })
    this.#adoption = new Adoption({
      session,
      onAdopted: ({ id }) => this.mail.adopt(id),
      onTaken: (record) => this.mail.notifyAdopted(record),
    })
  }

  /** Handlers for the client's subagent events. */
  get subagentEvents(): Pick<HarnessEvents, 'subagentStarted' | 'subagentIdle' | 'subagentEnded'> {
    return {
      subagentStarted: (agent, again) => this.#subagents?.started(agent, again) ?? false,
      subagentIdle: (id) => this.#subagents?.idle(id),
      subagentEnded: (id, end) => this.#subagents?.ended(id, end),
    }
  }

  /** Starts following runs over a new connection. `isNew`: the session did not have this name before. */
  attach(store: ProjectStore, isNew: boolean): void {
    this.mail.attach(store.runs)
    this.session?.attach(store)
    this.#adoption.attach(store, isNew)
    this.#subagents?.attach(store.runs)
  }

  /** Stops following runs while the engine is away. */
  detach(): void {
    this.leave()
    this.session?.detach()
    this.#subagents?.detach()
  }

  /** Stops following runs as the session gives up its name: their events go to the next owner. */
  leave(): void {
    this.mail.detach()
    this.#adoption.detach()
  }

  /** Ends the session's run and its subagents'. Publishes the ends within `ms`; a witness publishes what is left. */
  async end(end: SessionEnd, ms: number): Promise<void> {
    await Promise.all([this.session?.end(end, ms), this.#subagents?.end(ms)])
  }
}
