/**
 * Gives a session's model its state and obligations after its context was cut: with the start of the conversation, and
 * again through the hooks if nothing proves that the model read it.
 */
import { randomBytes } from 'node:crypto'
import type { Obligation } from '../../core/state/obligations.ts'
import { renderState } from '../../core/state/render.ts'
import type { EvidenceState, Harness, StartSource } from '../../harness/types.ts'
import type { NameRecord, SessionStatus } from '../../wire/envelope.schema.ts'
import type { StateDocument } from '../../wire/state.schema.ts'
import type { LedgerBook } from '../disk/ledger-book.ts'

/** Tokens of the model's context that the state may cost. */
const STATE_TOKENS = 600
/** Time until a start text is missing: the transcript shows it within 0.3 s of the turn that reads it. */
const SEEN_MS = 3000
/** Time after a turn's end until a sign is missing: the client writes the last of a turn up to 0.3 s later. */
const ENDED_MS = 1000
/** Number of offers through the hooks, each of which may be lost as well. */
const OFFERS = 2
/** Start sources after which the context contains less than the session knew. */
const CUT: ReadonlySet<StartSource> = new Set(['compact', 'resume', 'clear'])

/** A session whose model may have lost its context. */
interface ForgetfulSession {
  readonly record: Pick<NameRecord, 'name'>
  readonly state: { readonly document: StateDocument }
  readonly obligations: { list(): Obligation[] }
  readonly storage: { readonly ledger: LedgerBook } | null
  readonly harness: Pick<Harness, 'follow' | 'wasRead'>
  readonly beginnings: { keptWasRead(): Promise<void> }
  poke(): void
}

export class Context {
  readonly #session: ForgetfulSession
  /** Token of a text that was given and is not proven read. */
  #token: string | null = null
  #timer: NodeJS.Timeout | null = null
  /** True once the turn that should have read the text is over: then only evidence stops the timer. */
  #isLast = false
  #isBusy = false
  /** Number of offers left. */
  #due = 0

  constructor(session: ForgetfulSession) {
    this.#session = session
  }

  /** Returns the text for a conversation that begins with `source`; empty if nothing was lost. */
  begin(source: StartSource | null): string {
    if (source === null || !CUT.has(source)) return ''
    const token = newToken()
    const text = this.#render(token)
    this.#forget()
    if (text === '') return ''
    this.#token = token
    this.#session.storage?.ledger.note({ t: 'told', token, at: Date.now() })
    this.#session.harness.follow?.(token)
    // A compaction by itself comes within a turn.
    if (this.#isBusy) this.#timer = this.#dueIn(SEEN_MS)
    return text
  }

  /** Looks for evidence of a text that an earlier sidecar gave before it ended. */
  resume(): void {
    const given = this.#session.storage?.ledger.ledger.given
    if (!given || this.#token !== null) return
    this.#token = given.token
    if (this.#session.harness.wasRead?.(given.token)) this.#forget()
    else this.#session.harness.follow?.(given.token)
  }

  /** Returns true if the evidence is about what was given here. */
  evidence(token: string, state: EvidenceState): boolean {
    if (token !== this.#token) return false
    if (state === 'surfaced' || state === 'answered') this.#forget()
    return true
  }

  /** A turn that goes on reads what its conversation was given. A client may be busy without one, as while it starts. */
  onStatus(status: SessionStatus): void {
    this.#isBusy = status === 'busy'
    if (this.#token === null || this.#due > 0) return
    if (status === 'busy') this.#timer ??= this.#dueIn(SEEN_MS)
    else if (status !== 'waiting') this.#stopTimer()
  }

  onTurnEnded(): void {
    if (this.#token === null || this.#due > 0) return
    this.#stopTimer()
    this.#timer = this.#dueIn(ENDED_MS)
    this.#isLast = true
  }

  #dueIn(ms: number): NodeJS.Timeout {
    const due = () => {
      this.#stopTimer(true)
      this.#due = OFFERS
      this.#session.poke()
    }
    return setTimeout(due, ms).unref()
  }

  #stopTimer(all = false): void {
    if (this.#isLast && !all) return
    if (this.#timer) clearTimeout(this.#timer)
    this.#timer = null
    this.#isLast = false
  }

  get isDue(): boolean {
    return this.#due > 0
  }

  /** Returns the current text for the hooks, with `token` in it; null when nothing is missing. */
  again(token: string): { text: string; read(): void; lost(): void } | null {
    if (this.#due === 0) return null
    const text = this.#render(token)
    if (text === '') return null
    return {
      text,
      read: () => {
        this.#forget()
        void this.#session.beginnings.keptWasRead()
      },
      lost: () => {
        this.#due = Math.max(0, this.#due - 1)
      },
    }
  }

  #render(token: string): string {
    const { record, state, obligations } = this.#session
    const form = { me: record.name, nonce: token.slice('mesh-'.length), tokens: STATE_TOKENS }
    return renderState(state.document, obligations.list(), form)
  }

  #forget(): void {
    this.#stopTimer(true)
    const wasDue = this.#due > 0
    this.#due = 0
    if (this.#token !== null) this.#session.storage?.ledger.note({ t: 'seen' })
    this.#token = null
    if (wasDue) this.#session.poke()
  }
}

function newToken(): string {
  return `mesh-${randomBytes(4).toString('hex')}`
}
