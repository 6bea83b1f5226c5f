/** Ends a session: takes its reason and a last look for evidence, and reports the end once. */
import { type SessionEnd as Ending, sessionEnd } from '../../../wire/session-end.ts'
import type { SidecarEvents } from '../sidecar-events.ts'
import type { EvidenceReader } from '../transcript/evidence.ts'
import type { StatusEvidence } from './decide.ts'
import type { Subagents } from './subagents.ts'

const LAST_EVIDENCE_MS = 120
/** Limits the last look after a signal, when `-p` waits for this process to end, up to 1.5 s. */
const SIGNAL_EVIDENCE_MS = 90
const LOOK_MS = 10

export class SessionEnd {
  readonly #evidence: EvidenceReader
  readonly #subagents: Subagents
  readonly #sidecar: SidecarEvents
  /** Set once the session has begun to end. */
  #ending: Ending | null = null
  /** When the last look for evidence ends. */
  #lookUntil = Number.POSITIVE_INFINITY
  /** Nothing is reported any more. */
  isOver = false

  constructor(evidence: EvidenceReader, subagents: Subagents, sidecar: SidecarEvents) {
    this.#evidence = evidence
    this.#subagents = subagents
    this.#sidecar = sidecar
  }

  get hasBegun(): boolean {
    return this.#ending !== null
  }

  begin(ending: Ending): void {
    if (this.#ending !== null) return
    this.#ending = ending
    this.#lastLook(LAST_EVIDENCE_MS)
  }

  /** Ends the session on a signal: there is little time left. */
  hurry(ending: Ending): void {
    this.#ending ??= ending
    this.#lastLook(SIGNAL_EVIDENCE_MS)
  }

  /** Ends the session of a dead client. The reason of SessionEnd comes before the one that is only witnessed. */
  onDeath(ending = sessionEnd('killed')): void {
    if (this.#ending !== null) this.#over()
    else this.begin(ending)
  }

  /** Reads what the client read just before its end: it writes its transcript every 0.1 s. */
  #lastLook(ms: number): void {
    this.#lookUntil = Math.min(this.#lookUntil, performance.now() + ms)
    this.#evidence.read()
    if (this.#evidence.pending === 0 || performance.now() >= this.#lookUntil) this.#over()
    else setTimeout(() => this.#lastLook(ms), LOOK_MS)
  }

  #over(): void {
    if (this.isOver) return
    this.isOver = true
    this.#subagents.over()
    this.#sidecar.end(this.#ending!)
  }
}

/**
 * Returns the end that SessionEnd's reason means. It is `other` for a signal and for the end of `-p` alike (2.1.329). In a
 * background session each signal is taken for its daemon's: the job's `state.json` may say another cause only after the end.
 */
export function endReason(
  reason: string,
  { attended, turn }: Pick<StatusEvidence, 'attended' | 'turn'>,
  isInDaemon = false,
): Ending {
  if (reason === 'prompt_input_exit') return sessionEnd('left')
  if (reason !== 'other') return reason === '' ? sessionEnd('ended') : sessionEnd('left', reason.slice(0, 64))
  if (!attended && turn && !turn.running) return sessionEnd('finished')
  return sessionEnd(isInDaemon ? 'daemon' : 'signalled')
}
