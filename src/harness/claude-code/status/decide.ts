/** Decides a session's status from what the client shows of itself. Pure. */
import type { SessionStatus } from '../../../wire/envelope.schema.ts'

/**
 * Limits how short an `idle` is ignored. An unattended client (`-p`) says `idle` for some milliseconds before its first
 * turn and between its last turn and its end (2.1.329: 6 ms and 10 ms; a `-p` that is done ends its children within 0.1
 * s).
 */
const SETTLE_MS = 250
/** An unknown word of the registry is taken for busy for so long, where no turn is known to be over. */
const UNKNOWN_MS = 10_000
/** A prompt's hook comes up to 20 ms before the registry says `busy`; a refused prompt never gets there. */
const PROMPT_MS = 1000

export interface Turn {
  running: boolean
  at: number
  background?: boolean
  interrupted?: boolean
  /** The interruption was reported: what makes the client busy and idle again without a turn is no other one. */
  reported?: boolean
  /** A prompt came while it ran. It may run as the next turn, and no hook shows when that begins. */
  queued?: boolean
}

/** The words of the registry for a client at its prompt. `shell`: a shell that a turn left in the background runs. */
const AT_PROMPT = new Set(['idle', 'shell'])
const WORDS = new Set([...AT_PROMPT, 'busy', 'waiting'])

export function isAtPrompt(word: string | undefined): boolean {
  return word !== undefined && AT_PROMPT.has(word)
}

/** Returns whether this release knows what the registry's word means. */
export function isKnown(word: string): boolean {
  return WORDS.has(word)
}

/** Returns the turn after a prompt's hook, which for a queued prompt fires when that is queued (2.1.329). */
export function promptedTurn(turn: Turn | null, at: number): Turn {
  return { running: true, at, queued: turn?.running === true }
}

/** Returns the turn, given the registry: busy again after the end of a turn, the queued prompt runs. */
export function registeredTurn({ turn, registry }: Pick<StatusEvidence, 'turn' | 'registry'>): Turn | null {
  const goesOn = turn?.queued && !turn.running && registry?.status === 'busy' && registry.at > turn.at
  return goesOn ? { running: true, at: registry.at } : turn
}

/** Returns the turn once its interruption is reported. */
export function reportedTurn(turn: Turn): Turn {
  return { ...turn, running: false, interrupted: true, reported: true }
}

/** Returns the turn that the transcript shows as stopped at a moment. */
export function stoppedTurn(turn: Turn, at: number): Turn {
  return { running: false, at, interrupted: true, reported: turn.reported === true }
}

/** Observations of one client. All times are of one clock that is never set back. */
export interface StatusEvidence {
  now: number
  /** The status that the client's session registry shows, and since when. */
  registry: { status: string; at: number } | null
  /**
   * The turn by the session's last turn hook, or by an interruption in the transcript. `background`: its subagents or
   * shells go on without it.
   */
  turn: Turn | null
  /** A signal has stopped the process. */
  paused: boolean
  /** A person sits at it. */
  attended: boolean
}

/**
 * Returns true when a person stopped the turn: the client is idle in the middle of a turn and no hook reported its end
 * (Esc fires no hook). Also when it never got to `busy`: Esc before the first word puts the prompt back into the input,
 * and a prompt that another hook refused is typed again. An unattended client says `idle` at other times too.
 */
export function isInterrupted({ turn, attended }: Omit<StatusEvidence, 'now'>, status: SessionStatus): boolean {
  if (!attended || !turn || status !== 'idle') return false
  return turn.running || turn.interrupted === true
}

export interface StatusDecision {
  status: SessionStatus
  /** The time after which to decide again, because time itself changes the answer. */
  againMs: number | null
}

export function decideStatus(evidence: StatusEvidence): StatusDecision {
  if (evidence.paused) return { status: 'paused', againMs: null }
  const idleSince = idleTime(evidence)
  if (idleSince === null) return { status: activeStatus(evidence), againMs: null }
  const { now, turn } = evidence
  if (turn?.running && turn.at > idleSince) {
    const left = turn.at + PROMPT_MS - now
    if (left > 0) return { status: 'busy', againMs: left }
  }
  const left = idleSince + settleTime(evidence) - now
  if (left > 0) return { status: turn ? 'busy' : 'starting', againMs: left }
  return { status: 'idle', againMs: null }
}

function settleTime({ registry, turn, attended }: StatusEvidence): number {
  if (attended && isAtPrompt(registry?.status)) return 0
  const isSure = !registry || isKnown(registry.status) || (turn && !turn.queued)
  return isSure ? SETTLE_MS : UNKNOWN_MS
}

/**
 * Returns the time since which the client has been idle; null if it is not. Without a registry the hooks decide, and
 * where it says a word of a newer client: such a session is to be reached, so it is busy only while a turn is known to
 * run. While a subagent works in the background the registry says `busy`, though the session's own turn is over and a
 * message would start another.
 */
function idleTime({ registry, turn, attended }: StatusEvidence): number | null {
  const stoppedAt = turn && !turn.running ? turn.at : null
  if (!registry) return stoppedAt
  if (isAtPrompt(registry.status)) return registry.at
  if (!isKnown(registry.status)) return turn?.running ? null : Math.max(registry.at, stoppedAt ?? 0)
  const alone = registry.status === 'busy' && attended && turn?.background === true
  return alone && stoppedAt !== null && stoppedAt > registry.at ? stoppedAt : null
}

function activeStatus({ registry, turn }: StatusEvidence): SessionStatus {
  if (registry) return registry.status === 'waiting' ? 'waiting' : 'busy'
  return turn ? 'busy' : 'starting'
}
