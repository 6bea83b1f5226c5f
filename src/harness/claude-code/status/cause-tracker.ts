/** Gathers what shows the cause of a session's state: registry, hooks and open tool calls. */
import type { SessionStatus } from '../../../wire/envelope.schema.ts'
import type { SessionOptions, TurnEnd } from '../../types.ts'
import type { RegistryEntry } from '../hooks/event.schema.ts'
import type { Spooled } from '../hooks/spool.ts'
import { OpenTools } from '../transcript/open-tools.ts'
import { type CauseDecision, type CauseEvidence, decideCause } from './cause.ts'
import { isAtPrompt, isKnown } from './decide.ts'
import { typedCompact } from './typed-compact.ts'

/** Limits the unknown words that are remembered, and their length. */
const WORDS = 8
const WORD_CHARS = 64

/** The client's history is written some milliseconds after the registry says `busy`. */
const HISTORY_MS = 1000
const LOOK_MS = 200
/** The command is typed just before the client says `busy`, or during a turn that makes it so. */
const TYPED_MS = 2000

type Shown = Omit<CauseEvidence, 'tools'>

export class CauseTracker {
  readonly unknownWords: string[] = []
  readonly #options: Pick<SessionOptions, 'env' | 'log'>
  readonly #tools = new OpenTools()
  #shown: Shown
  /** The conversation by the registry. */
  #sessionId: string | undefined
  /** When the last turn or conversation began, or went on after a compaction (ISO 8601). */
  #begunAt = ''

  constructor(options: Pick<SessionOptions, 'env' | 'log'>) {
    this.#options = options
    const none = { word: null, waitingFor: undefined, permission: null, compactingSince: null, failure: null }
    this.#shown = { ...none, wordSince: new Date().toISOString() }
  }

  /** `inTurn`: a turn runs. */
  decide(status: SessionStatus, inTurn: boolean): CauseDecision {
    if (status === 'idle') this.#tools.clear()
    const looks = status === 'busy' && !inTurn && this.#lookForCompaction()
    const { cause, againMs } = decideCause(status, { ...this.#shown, tools: this.#tools.list }, Date.now())
    return { cause, againMs: looks ? Math.min(againMs ?? LOOK_MS, LOOK_MS) : againMs }
  }

  /** Takes the hooks that show nothing else, also those of a subagent, for which the session waits. */
  onHook({ name, at, event }: Spooled): boolean {
    const since = new Date(at).toISOString()
    if (name === 'PreCompact') this.#know({ compactingSince: event?.agent_id === undefined ? since : null })
    else if (name === 'PermissionRequest') {
      const { tool_name: tool, tool_input: input = {} } = event ?? {}
      if (tool) this.#know({ permission: { name: tool, input, at: since } })
    } else return false
    return true
  }

  /** Takes a line of the transcript. Returns whether it shows anything new. */
  onLine(line: string): boolean {
    const isNew = this.#tools.take(line)
    const { compactingSince } = this.#shown
    // A compaction that came to nothing has no hook of its own.
    if (isNew && compactingSince && this.#tools.list.some(({ at }) => at > compactingSince))
      this.#know({ compactingSince: null })
    return isNew
  }

  /** A prompt's hook ran, or a conversation begins or goes on after a compaction. */
  turnBegins(): void {
    this.#begunAt = new Date().toISOString()
    this.#know({ failure: null, permission: null, compactingSince: null })
  }

  turnEnded(at: number, error: TurnEnd['error']): void {
    const failure = error && { error: error.kind, message: error.message, at: new Date(at).toISOString() }
    this.#know({ failure, permission: null, compactingSince: null })
    this.#tools.clear()
  }

  registered({ sessionId, status, statusUpdatedAt, waitingFor }: RegistryEntry): void {
    this.#sessionId = sessionId
    const at = Math.min(statusUpdatedAt ?? Date.now(), Date.now())
    const since = new Date(at).toISOString()
    const { permission, compactingSince, failure } = this.#shown
    this.#know({
      word: status ?? null,
      waitingFor,
      wordSince: since,
      // The hook comes just before the client says that it waits.
      permission: permission && (status === 'waiting' || permission.at > since) ? permission : null,
      compactingSince: compactingSince && isAtPrompt(status) && compactingSince < since ? null : compactingSince,
      failure: failure && status === 'busy' && failure.at < since ? null : failure,
    })
    if (status !== undefined && !isKnown(status)) this.#note(status.slice(0, WORD_CHARS))
  }

  /** Looks why the client is busy without a turn. Returns whether to look again. */
  #lookForCompaction(): boolean {
    const { compactingSince, word, wordSince } = this.#shown
    if (compactingSince !== null || word !== 'busy' || !this.#sessionId) return false
    const busySince = Date.parse(wordSince)
    const typedAt = typedCompact(this.#options.env, this.#sessionId)
    if (typedAt === null || typedAt < this.#begunAt || Date.parse(typedAt) < busySince - TYPED_MS)
      return Date.now() < busySince + HISTORY_MS
    this.#know({ compactingSince: typedAt })
    return false
  }

  #know(news: Partial<Shown>): void {
    this.#shown = { ...this.#shown, ...news }
  }

  #note(word: string): void {
    if (this.unknownWords.includes(word) || this.unknownWords.length >= WORDS) return
    this.unknownWords.push(word)
    this.#options.log('warn', 'the client is in a state that this release does not know', { word })
  }
}
