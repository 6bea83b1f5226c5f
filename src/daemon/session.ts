/**
 * The session as every room of the sidecar may know it. Rooms that need more extend this type with what is theirs:
 * `MailSession`, `RunsSession`, `TasksSession`, `StateSession`.
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
import type { NameRecord } from '../wire/envelope.schema.ts'
import type { Recipient } from '../wire/names.ts'
import type { RunRecord } from '../wire/run.schema.ts'
import type { Sender as Address } from '../wire/subjects.ts'

/** A message to be sent, once recipient and origin are known. */
export interface Letter {
  id: string
  to: Recipient
  text: string
  thread?: string
  replyTo?: string
  intent?: string
  hops: number
  /** The sender of the message that this one answers: it gets a receipt. */
  answers?: Address
}

/** A message in the outbox: it will go, whatever happens to this process. */
export interface Entered {
  to: Recipient
  note: { note?: string }
  /** It was not sent before. */
  isNew: boolean
  /** Resolves once the engine has it, or has not answered for a moment; rejects with `store_full` if it was refused. */
  stored: Promise<unknown>
}

/** The run that a session is. */
export interface OwnRun {
  id: string
  /** The runs above it, the root first, its parent last. */
  lineage: string[]
  /** Its supervisor reports it, and gets what is seen of the session. Otherwise the session's sidecar reports it. */
  isSupervised: boolean
  /** The name that it was spawned under: nothing else passes it on to a session in the background. */
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
  /** Resolves when calls can be answered: joined and connected, or clearly not for now. */
  ready(): Promise<void>
  /** Resolves when no rename is under way: until then the session has no mailbox. */
  settled(): Promise<unknown>
  /** The names records of the project. Throws `mesh_down`, `timeout`. */
  names(): Promise<Entry<NameRecord>[]>
  /** The records of runs that go on, or whose end may yet be news. Throws `mesh_down`, `timeout`. */
  currentRuns(): Promise<Entry<RunRecord>[]>
  /** Every session of the project, this one among them, as judged now. */
  sessions(): Promise<Peer[]>
  /** Puts a message into the outbox; the same id again is the same message. Throws `not_found`, `too_large`, `store_full`. */
  send(letter: Letter): Promise<Entered>
  /** Something is new in the mailbox: the heartbeat says so, and the courier looks at it. */
  poke(): void
}
