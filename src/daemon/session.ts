/**
 * Describes the session as every room of the sidecar knows it. Rooms that need more extend this type: `MailSession`,
 * `RunsSession`, `TasksSession`, `StateSession`.
 */
import type { KeyObject } from 'node:crypto'
import type { Session as Peer } from '../api/ops.schema.ts'
import type { Harness } from '../harness/types.ts'
import type { Home } from '../host/home.ts'
import type { Logger } from '../host/log.ts'
import type { Place } from '../host/repository/project.ts'
import type { Settings } from '../host/settings.ts'
import type { KeyRing } from '../link/keys.ts'
import type { Link } from '../link/link.ts'
import type { Entry } from '../nats/bucket.ts'
import type { ProjectStore } from '../nats/project-store.ts'
import type { Envelope, NameRecord } from '../wire/envelope.schema.ts'
import type { Recipient } from '../wire/names.ts'
import type { RunRecord } from '../wire/run.schema.ts'

/** A message to be sent, once recipient and origin are known. */
export interface Letter {
  id: string
  to: Recipient
  text: string
  thread?: string
  replyTo?: string
  intent?: string
  /** News of mesh: nobody said it, and no loop budget counts it. */
  author?: 'mesh'
  hops: number
  /** Sender of the message that this one answers; it gets a receipt. */
  answers?: Envelope['from']
}

/** A message in the outbox, which will be sent even if this process dies. */
export interface Entered {
  to: Recipient
  note: { note?: string }
  /** False if the same id was sent before. */
  isNew: boolean
  /** Resolves once the engine has it or has not answered for a moment. Rejects with `store_full` if it was refused. */
  stored: Promise<unknown>
}

/** The session's own run. */
export interface OwnRun {
  id: string
  /** Ids of the runs above it, from the root to its parent. */
  lineage: string[]
  /** True if a supervisor reports it from what the session shows; otherwise the session's sidecar reports it. */
  isSupervised: boolean
  /** Name that it was spawned under, which a background session gets in no other way. */
  name?: string
  /** The session that spawned it. */
  startedBy?: string
}

export interface Session {
  readonly home: Home
  readonly log: Logger
  readonly settings: Settings
  readonly place: Place
  readonly harness: Harness
  readonly link: Link<ProjectStore>
  /** The member's key, which signs what is sent. */
  readonly key: KeyObject
  /** The keys of members, as first seen. */
  readonly ring: KeyRing
  /** Null for a person at a shell. */
  readonly run: OwnRun | null
  /** The names record; throws `mesh_down` before the session has a name. */
  readonly record: NameRecord
  readonly isNamed: boolean
  /** The name, or the one that the session will ask for. */
  readonly called: string
  /** Resolves when calls can be answered: once the session has joined, or it is clear that it cannot for now. */
  ready(): Promise<void>
  /** Resolves when no rename is under way; the session has no mailbox until then. */
  settled(): Promise<unknown>
  /** Returns the names records of the project. Throws `mesh_down`, `timeout`. */
  names(): Promise<Entry<NameRecord>[]>
  /** Returns the records of runs that go on, or whose end may still be news. Throws `mesh_down`, `timeout`. */
  currentRuns(): Promise<Entry<RunRecord>[]>
  /** Returns every session of the project, this one included, as judged now. */
  sessions(): Promise<Peer[]>
  /**
   * Puts a message into the outbox. The same id again is the same message. Throws `not_found`, `too_large`,
   * `store_full`.
   */
  send(letter: Letter): Promise<Entered>
  /** Makes the heartbeat and the courier look at new mail. */
  poke(): void
}
