/** Combines registry, hooks and transcript, and gives the sidecar the session's status and its cause when they change. */
import { isDeepStrictEqual } from 'node:util'
import type { Cause, SessionStatus } from '../../../wire/envelope.schema.ts'
import type { SessionOptions, TurnEnd } from '../../types.ts'
import type { RegistryEntry } from '../hooks/event.schema.ts'
import type { Spooled } from '../hooks/spool.ts'
import type { SidecarEvents } from '../sidecar-events.ts'
import type { EvidenceReader } from '../transcript/evidence.ts'
import { readInterrupt } from '../transcript/line-evidence.ts'
import { CauseTracker } from './cause-tracker.ts'
import {
  decideStatus,
  isInterrupted,
  promptedTurn,
  registeredTurn,
  reportedTurn,
  type StatusEvidence,
  stoppedTurn,
  type Turn,
} from './decide.ts'

/** Waits for the transcript's lines, which come up to 0.3 s late. */
const STOP_LINE_MS = 500

export class StatusTracker {
  readonly #seen: EvidenceReader
  readonly #sidecar: SidecarEvents
  #evidence: Omit<StatusEvidence, 'now'>
  #isOver = false
  #timer: NodeJS.Timeout | null = null
  #status: SessionStatus | null = null
  readonly #causes: CauseTracker
  #cause: Cause | null = null
  #interrupted = false
  /** The turn that a person stopped just now. `unseen`: the transcript does not show it yet. */
  #stopped: { turn: Turn; unseen: boolean; timer: NodeJS.Timeout } | null = null

  /** `seen` reads the transcript, and forgets what went with a prompt that a person took back. */
  constructor(
    attended: boolean,
    seen: EvidenceReader,
    sidecar: SidecarEvents,
    options: Pick<SessionOptions, 'env' | 'log'>,
  ) {
    this.#evidence = { registry: null, turn: null, paused: false, attended }
    this.#seen = seen
    this.#sidecar = sidecar
    this.#causes = new CauseTracker(options)
  }

  /** Gives the status as it is, also when nothing was seen yet. */
  begin(): void {
    this.#decide()
  }

  stop(): void {
    this.#isOver = true
    if (this.#timer) clearTimeout(this.#timer)
    clearTimeout(this.#stopped?.timer)
  }

  /** The status that the sidecar was given last. */
  get status(): SessionStatus | null {
    return this.#status
  }

  get evidence(): Omit<StatusEvidence, 'now'> {
    return this.#evidence
  }

  /** Words of the client's about its state that this release does not know. */
  get unknownWords(): readonly string[] {
    return this.#causes.unknownWords
  }

  /** Takes a hook that shows a cause; returns false for any other. */
  onHook(spooled: Spooled): boolean {
    const isOne = this.#causes.onHook(spooled)
    if (isOne) this.#decide()
    return isOne
  }

  /** Takes a line of the transcript. */
  onLine(line: string): void {
    if (this.#causes.onLine(line)) this.#decide()
    const interruptedAt = readInterrupt(line)
    if (interruptedAt !== null) this.turnStopped(interruptedAt)
  }

  /** A conversation begins, or goes on after a compaction. */
  begins(): void {
    this.#causes.turnBegins()
    this.#decide()
  }

  /** A prompt's hook ran, at this time of a file. */
  prompted(at: number): void {
    // One that is queued begins no turn yet.
    if (!this.#evidence.turn?.running) this.#causes.turnBegins()
    this.#know({ turn: promptedTurn(this.#evidence.turn, momentOf(at)) })
  }

  /** The hook at a turn's end ran. `background`: something of the turn goes on. */
  turnEnded(at: number, background: boolean, error: TurnEnd['error']): void {
    this.#causes.turnEnded(at, error)
    const queued = this.#evidence.turn?.queued
    this.#know({ turn: { running: false, at: momentOf(at), background, queued } })
  }

  /** The transcript shows that a person stopped the turn. */
  turnStopped(at: number): void {
    const moment = momentOf(at)
    const { turn } = this.#evidence
    if (turn && turn.at < moment) this.#know({ turn: stoppedTurn(turn, moment) })
  }

  /** Another conversation began in this process: what happened to the last turn of the one before is over with it. */
  begunAnew(): void {
    this.settleStop()
    this.#know({ turn: null })
  }

  registered(entry: RegistryEntry): void {
    const { status, statusUpdatedAt } = entry
    this.#causes.registered(entry)
    this.#know({ registry: status ? { status, at: momentOf(statusUpdatedAt ?? Date.now()) } : null })
  }

  paused(is: boolean): void {
    if (is !== this.#evidence.paused) this.#know({ paused: is })
  }

  /**
   * Settles a stopped turn before the next prompt counts: it leaves a line in the transcript, unless its prompt was
   * taken back.
   */
  settleStop(): void {
    if (!this.#stopped) return
    const { turn, unseen, timer } = this.#stopped
    clearTimeout(timer)
    this.#stopped = null
    this.#seen.read()
    if (unseen && this.#evidence.turn === turn) this.#seen.onPromptTakenBack()
  }

  #know(news: Partial<StatusEvidence>): void {
    this.#evidence = { ...this.#evidence, ...news }
    this.#evidence.turn = registeredTurn(this.#evidence)
    this.#decide()
  }

  #decide(): void {
    if (this.#isOver) return
    const { status, againMs } = decideStatus({ ...this.#evidence, now: performance.now() })
    const { cause, againMs: causeAgainMs } = this.#causes.decide(status, this.#evidence.turn?.running === true)
    if (this.#timer) clearTimeout(this.#timer)
    const again = Math.min(againMs ?? Number.POSITIVE_INFINITY, causeAgainMs ?? Number.POSITIVE_INFINITY)
    this.#timer = Number.isFinite(again) ? setTimeout(() => this.#decide(), again) : null
    const interrupted = isInterrupted(this.#evidence, status)
    const isOver = this.#interrupted && !interrupted
    this.#interrupted = interrupted
    // Nothing may go through a door between the two.
    if (interrupted) this.#reportStop()
    if (status !== this.#status || !isDeepStrictEqual(cause, this.#cause)) {
      this.#status = status
      this.#cause = cause
      this.#sidecar.open?.status(status, cause)
    }
    if (isOver) this.#sidecar.open?.interrupted(false)
  }

  /** Reports that a person stopped the turn, once. */
  #reportStop(): void {
    const { turn } = this.#evidence
    if (!turn || turn.reported) return
    this.#sidecar.open?.interrupted(true)
    const reported = reportedTurn(turn)
    this.#evidence.turn = reported
    const timer = setTimeout(() => this.settleStop(), STOP_LINE_MS)
    this.#stopped = { turn: reported, unseen: turn.running, timer }
  }
}

/**
 * Returns a time of the client's or a file's clock as one of `performance.now()`, which is never set back while it is
 * compared. A time in the future counts as now.
 */
function momentOf(time: number): number {
  return performance.now() - Math.max(0, Date.now() - time)
}
