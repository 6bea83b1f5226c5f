/** The end of a session: its reason, a last look for evidence, and then it is told, once. */
import { type SessionEnd as Ending, sessionEnd } from '../../../wire/session-end.ts'
import type { SidecarEvents } from '../sidecar-events.ts'
import type { EvidenceReader } from '../transcript/evidence.ts'
import type { StatusEvidence } from './decide.ts'
import type { Subagents } from './subagents.ts'

const LAST_EVIDENCE_MS = 120
/** After a signal somebody waits for our end: `-p` does, up to 1.5 s. */
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
  /** Nothing is told any more. */
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

  /** A signal asks for it: there is little time left. */
  hurry(ending: Ending): void {
    this.#ending ??= ending
    this.#lastLook(SIGNAL_EVIDENCE_MS)
  }

  /** The client is dead. What SessionEnd said comes before what is only witnessed. */
  onDeath(ending = sessionEnd('killed')): void {
    if (this.#ending !== null) this.#over()
    else this.begin(ending)
  }

  /** The client writes its transcript every 0.1 s: what was read just before the end may be told there yet. */
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

/** SessionEnd says `other` for a signal and for the end of `-p` alike (CLAUDE_CODE 2.1). */
export function endReason(reason: string, { attended, turn }: Pick<StatusEvidence, 'attended' | 'turn'>): Ending {
  if (reason === 'prompt_input_exit') return sessionEnd('left')
  if (reason !== 'other') return reason === '' ? sessionEnd('ended') : sessionEnd('left', reason.slice(0, 64))
  return sessionEnd(!attended && turn && !turn.running ? 'finished' : 'signalled')
}
