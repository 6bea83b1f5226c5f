/**
 * The interface between the sidecar and the client of its session. To add a client, implement `Harness` in a folder of
 * its own and name it in `sessions.ts`; where mesh starts or sets up the client, in `launch.ts`, `spawned.ts` and
 * `setup.ts` as well. A client that has no counterpart of an optional member leaves it out.
 */

import type { Offer } from '../core/mail/inbox.ts'
import type { AgentEvidence } from '../core/runs/agent-end.ts'
import type { Env, Home } from '../host/home.ts'
import type { Cause, ProcessIdentity, SessionStatus } from '../wire/envelope.schema.ts'
import type { SessionEnd } from '../wire/session-end.ts'

/** The arguments that a session is opened with. */
export interface SessionOptions {
  /** The environment that the sidecar got from the hook, MCP server or command that started it. */
  env: Env
  home: Home
  /** `<mesh home>/run/<key>` */
  sessionDir: string
  /** The sidecar's working directory, for a client that does not show the session's. */
  cwd: string
  log: (level: 'debug' | 'info' | 'warn', message: string, fields?: object) => void
}

export type StartSource = 'startup' | 'resume' | 'clear' | 'compact' | 'fork'

export interface Conversation {
  /** The client's id of the conversation. */
  sessionId: string
  /** Null until the client has shown how the conversation began. */
  source: StartSource | null
  cwd: string
  /** The time at which the client moved a session here, under another id and process (ISO 8601); the former one ended right after. */
  movedAt?: string
}

/**
 * The progress of a hand-over, as the client shows it:
 * `received`: the client has read it off the door. `held`: the client screens it, its user decides. `refused`: the client
 * will not take it. `handed`: the client has it. `surfaced`: the model was given it. `answered`: the model went on from
 * there. `forgotten`: it left the conversation before an answer. `dropped`: the client gave it back unread.
 */
export type EvidenceState =
  | 'received'
  | 'held'
  | 'refused'
  | 'handed'
  | 'surfaced'
  | 'answered'
  | 'forgotten'
  | 'dropped'

export interface TurnEnd {
  /** The model's last words; null if the client gave none. */
  text: string | null
  error: { kind: string; message: string } | null
}

export interface Subagent {
  /** The client's id of it within the session. */
  id: string
  /** Its description from when it was started. */
  title: string
  /** The subagent that started it; null for the session itself. */
  parent: string | null
  /** The file of its own record. */
  transcript: string
}

/** The client's evidence of a subagent's end. */
export type SubagentEnd = Pick<AgentEvidence, 'end' | 'clientSays' | 'error' | 'finalText' | 'record'>

/** Events of a session for its sidecar, in the order in which they happened. Nothing follows `ended`. */
export interface HarnessEvents {
  /** The status, or its cause, changed. A client that shows no causes leaves it out. */
  status(status: SessionStatus, cause?: Cause | null): void
  /** A turn of the session's own ended, with the model's last words or an error. */
  turnEnded(turn: TurnEnd): void
  /** A conversation began, also in the same process (`clear`, `resume`). Resolves to the text for the model's start. */
  conversation(conversation: Conversation): Promise<string>
  /** There is evidence of a hand-over. `token` is the one given to `Door.offer`. */
  evidence(token: string, state: EvidenceState, evidence: string): void
  /** A person stopped the turn: their next words go first. Called with false if it was no interruption after all. */
  interrupted(is: boolean): void
  /** A person said something to the model. */
  prompted(): void
  /**
   * A subagent began, or goes on after it was idle or had ended. `again`: an earlier sidecar may have seen it begin.
   * Returns false if it is not to be followed.
   */
  subagentStarted?(agent: Subagent, again: boolean): boolean
  /** The subagent's turn ended; it goes on by itself once its own background work is done. */
  subagentIdle?(id: string): void
  /** The subagent ended. When the session ends, this comes before `ended`. */
  subagentEnded?(id: string, end: SubagentEnd): void
  /** The model, or a subagent, edited the file at this absolute path. */
  edited(path: string): void
  /** A door opened or closed. */
  doorsChanged?(): void
  /** The text that `conversation` gave came too late for the client. */
  startMissed?(): void
  /** The session is over. Called once. */
  ended(end: SessionEnd): void
}

/** The fate of a hand-over that an earlier sidecar made. */
export interface Recalled {
  /** `open`: the client may read it yet. `lost`: there is no evidence that it was read, and none will come. */
  state: 'open' | 'held' | 'handed' | 'surfaced' | 'lost'
  evidence: string
}

/** A way into a session's context. One hand-over is in flight at a time, whatever the door. */
export interface Door {
  readonly name: 'mod' | 'hook' | 'inbox-socket' | 'file-watch'
  /** The statuses in which the door leads to the model soon. */
  readonly reaches: readonly SessionStatus[]
  /** Returns whether this session has the door at all, now. */
  available(): boolean
  /**
   * Hands `text` over; `token` occurs in it and identifies it in later evidence. Resolves once the text left mesh,
   * which is not yet evidence. Throws when the door is shut: then nothing was handed over.
   */
  offer(text: string, token: string): Promise<void>
  /** Returns whether an earlier offer lies there untaken, so that it can be withdrawn. */
  lies(token: string): boolean
  /** Takes the offer back. Resolves to true if nothing took it or will; to false if it is too late, or the door cannot. */
  withdraw(): Promise<boolean>
}

/** How the model can speak: by commands in its shell, by an MCP server's tools alone, or not at all. */
export type Voice = 'shell' | 'tools' | 'none'

/** A live session of a client. */
export interface Harness {
  /** The client, as the names record has it. */
  readonly kind: string
  /** The process that is the session; witnesses watch it. */
  readonly process: ProcessIdentity
  /** The present conversation; before `start`, as known when the sidecar started. */
  readonly conversation: Conversation
  /** The file of the client's own record of the conversation; null or absent if there is none. */
  readonly transcript?: string | null
  /** Words of the client's about its own state that this release does not know. */
  readonly unknownWords?: readonly string[]
  /** The ways in, best first. Empty: mail is read by the calls that the session makes. */
  readonly doors: readonly Door[]
  /** Returns the title that a person gave the session in the client; null without one. */
  title?(): string | null
  /** Returns how the model can speak now. Absent: by commands. */
  voice?(): Voice
  /** Begins to observe the session. The first status and conversation may come before it resolves. */
  start(events: HarnessEvents): Promise<void>
  /**
   * Returns the fate of hand-overs that are not settled, in the same order. The `open` ones are followed from here on.
   * Without it, nothing is known of any.
   */
  recall?(offers: readonly Offer[]): Recalled[]
  /** Follows a text with this token, which goes to the model at a start: evidence of it is reported from here on. */
  follow?(token: string): void
  /** Returns whether the client's own record shows that the model was given the text with this token. */
  wasRead?(token: string): boolean
  /**
   * Leaves a text of mesh's own, which the model reads with whatever starts its next turn. Null takes it back. `instead`:
   * only in place of one that still lies there.
   */
  leave?(text: string | null, instead?: boolean): void
  /** Stops observing. The session itself goes on. */
  stop(): Promise<void>
}

/** A client's evidence of a session that mesh started, besides its process. */
export interface SpawnedSession {
  /** Takes a piece of its standard output and returns the part that people read. */
  read(chunk: Buffer): string
  /** Returns the part of the rest that people read, at the end of the output. */
  end(): string
  /** Returns the evidence of its end. `transcript`: the client's own record, where its sidecar named it. */
  evidence(transcript: string | null): Pick<AgentEvidence, 'clientSays' | 'error' | 'finalText' | 'record'>
}
