/** The face of an agent client towards the sidecar. What is known of one client lives in its own folder beside this. */

import type { Offer } from '../core/mail/inbox.ts'
import type { AgentEvidence } from '../core/runs/agent-end.ts'
import type { Env, Home } from '../host/home.ts'
import type { ProcessIdentity, SessionStatus } from '../wire/envelope.schema.ts'
import type { SessionEnd } from '../wire/session-end.ts'

/** What a session is opened with. */
export interface SessionOptions {
  /** The environment that the sidecar got from what started it: a hook, an MCP server or a command. */
  env: Env
  home: Home
  /** `<mesh home>/run/<key>` */
  sessionDir: string
  /** The sidecar's working directory, for a client that does not tell the session's. */
  cwd: string
  log: (level: 'debug' | 'info' | 'warn', message: string, fields?: object) => void
}

export type StartSource = 'startup' | 'resume' | 'clear' | 'compact' | 'fork'

export interface Conversation {
  /** The client's id of the conversation. */
  sessionId: string
  /** How it began; null before the client has told. */
  source: StartSource | null
  cwd: string
  /** When the client moved a session here, giving it another id and process (ISO 8601); that one ended right after. */
  movedAt?: string
}

/**
 * How far a hand-over got: the client has read it off the door (`received`), keeps it back for its user to decide
 * (`held`), will not take it (`refused`), has it (`handed`), gave it to the model (`surfaced`), and the model went on
 * from there (`answered`), or it is out of the conversation before that (`forgotten`).
 */
export type EvidenceState = 'received' | 'held' | 'refused' | 'handed' | 'surfaced' | 'answered' | 'forgotten'

export interface TurnEnd {
  /** Null: the client told none. */
  text: string | null
  error: { kind: string; message: string } | null
}

export interface Subagent {
  /** The client's id of it within the session. */
  id: string
  /** What it was called when it was started. */
  title: string
  /** The subagent that started it; null: the session itself. */
  parent: string | null
  /** Its own record, a file. */
  transcript: string
}

/** What the client shows of a subagent's end. */
export type SubagentEnd = Pick<AgentEvidence, 'end' | 'clientSays' | 'error' | 'finalText' | 'record'>

/** What the client tells its sidecar, in the order in which it happened. */
export interface HarnessEvents {
  /** `waitingFor`: with `waiting`, what for, in the client's words. */
  status(status: SessionStatus, waitingFor?: string): void
  /** A turn of the session's own ended: with the model's last words, or an error instead. */
  turnEnded(turn: TurnEnd): void
  /** A conversation began, also in the same process (`clear`, `resume`). Resolves to the text for the model's start. */
  conversation(conversation: Conversation): Promise<string>
  /** What is seen of a hand-over. `token` is the one given to `Door.offer`. */
  evidence(token: string, state: EvidenceState, evidence: string): void
  /** A person stopped the turn: what they say next goes first. Withdrawn if it was no interruption after all. */
  interrupted(is: boolean): void
  /** A person said something to the model. */
  prompted(): void
  /**
   * A subagent began, or goes on after it was idle or had ended. `again`: an earlier sidecar may have seen it begin.
   * False: it is not to be followed.
   */
  subagentStarted?(agent: Subagent, again: boolean): boolean
  /** Its turn ended; it goes on by itself once its own background work is done. */
  subagentIdle?(id: string): void
  /** Also told when the session is over, before that. */
  subagentEnded?(id: string, end: SubagentEnd): void
  /** The model, or a subagent, edited the file at this absolute path. */
  edited(path: string): void
  /** The text that `conversation` gave came too late for the client. */
  startMissed?(): void
  /** The session is over. Told once. */
  ended(end: SessionEnd): void
}

export interface Recalled {
  /** `open`: the client may read it yet. `lost`: nothing shows that it was read, and nothing will. */
  state: 'open' | 'held' | 'handed' | 'surfaced' | 'lost'
  evidence: string
}

/** A way into a session's context. One hand-over is in flight at a time, whatever the door. */
export interface Door {
  readonly name: 'hook' | 'inbox-socket' | 'file-watch'
  /** The statuses in which the door leads to the model soon. */
  readonly reaches: readonly SessionStatus[]
  /** Whether this session has the door at all, now. */
  available(): boolean
  /**
   * Hands `text` over; `token` occurs in it and identifies it in later evidence. Resolves once the text left mesh,
   * which is not yet evidence. Throws when the door is shut: nothing was handed over.
   */
  offer(text: string, token: string): Promise<void>
  /** Whether an earlier offer lies there untaken: it can be withdrawn yet. */
  lies(token: string): boolean
  /** Takes an offer back. True: nobody had taken it and nobody will. False: too late, or the door cannot. */
  withdraw(): Promise<boolean>
}

export interface Harness {
  readonly kind: string
  /** The process that is the session: what witnesses look at. */
  readonly process: ProcessIdentity
  /** The conversation as known when the sidecar started. */
  readonly conversation: Conversation
  /** The client's own record of the conversation, a file; null or absent if there is none. */
  readonly transcript?: string | null
  /** Best first. */
  readonly doors: readonly Door[]
  start(events: HarnessEvents): Promise<void>
  /**
   * What became of hand-overs that nobody has settled, in the same order. Those still `open` are followed from here.
   * Not there: nothing is known of any.
   */
  recall?(offers: readonly Offer[]): Recalled[]
  /** A text with this token goes to the model at a start: from here on evidence of it is told. */
  follow?(token: string): void
  /** Whether the client's own record shows that the model was given it. */
  wasRead?(token: string): boolean
  /**
   * Leaves a text of mesh's own, which the model reads with whatever starts its next turn. Null takes it back. `instead`:
   * only in place of one that lies there yet.
   */
  leave?(text: string | null, instead?: boolean): void
  stop(): Promise<void>
}

/** What a client tells of a session that mesh started, besides what its process shows. */
export interface SpawnedSession {
  /** Takes what it wrote to standard output; returns what of it people read. */
  read(chunk: Buffer): string
  /** What people read of what is left. */
  end(): string
  /** What is known of its end. `transcript`: the client's own record of it, where its sidecar named it. */
  evidence(transcript: string | null): Pick<AgentEvidence, 'clientSays' | 'error' | 'finalText' | 'record'>
}
