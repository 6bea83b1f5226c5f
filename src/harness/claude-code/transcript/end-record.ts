/**
 * Reads how a conversation or a subagent ended from its transcript alone, so that a witness can judge it when client
 * and sidecar are gone. Shapes of 2.1.329 (test/fixtures/claude-code/ended).
 */
import type { AgentRecord, ModelError } from '../../../core/runs/agent-end.ts'
import { announcement } from '../../../core/runs/announcement.ts'
import { pointing } from '../../../core/runs/pointing.ts'
import { limits } from '../../../wire/limits.ts'
import { type EndLine, endLine } from '../hooks/event.schema.ts'
import { eachLine } from './lines.ts'
import { isSubagents } from './subagent-files.ts'

/** Limits how far back a transcript is read: far more than a conversation grows by between two compactions. */
const RECORD_BYTES = 32 * 1024 * 1024
/** A text that is so many times longer than a later one is the report. */
const FAR_LONGER = 4
const INTERRUPTED = '[Request interrupted by user'
/** Texts that the client itself puts into a conversation in the user's place without asking the model anything. */
const NO_PROMPT = /^\s*<(?:command-name|command-message|local-command-|bash-input|bash-std|system-reminder>)/
/** The service's kinds where the client has other words. */
const KINDS: Readonly<Record<string, string>> = { max_output_tokens: 'max_tokens' }

interface ReadOptions {
  /** The transcript is a subagent's own. By default its name says. */
  subagent?: boolean
  /** Ignores older lines, which are of an earlier process of the conversation (ISO 8601). */
  since?: string
}

/**
 * Returns the end of a conversation, from its transcript; null if there is none that can be read. Usage sums up what
 * the file still contains, input including cache reads; null if that is not all, or nothing. The client writes about 0.1 s
 * late, so the record of a killed client may lack its last step.
 */
export function readAgentRecord(path: string, options: ReadOptions = {}): AgentRecord | null {
  const reader = new RecordReader({ subagent: isSubagents(path), ...options })
  try {
    const isWhole = eachLine(path, RECORD_BYTES, (line) => reader.read(line))
    return { ...reader.record(isWhole), file: path }
  } catch {
    return null
  }
}

class RecordReader {
  readonly #options: ReadOptions & { subagent: boolean }
  #last: AgentRecord['last'] = 'nothing'
  #stopReason: string | null = null
  #words: string[] = []
  #wordsOf: string | undefined
  /** What was said before those words. */
  #earlier = ''
  #error: ModelError | null = null
  readonly #answered = new Set<string>()
  #call: string | undefined
  /** Lines of one response share its id and repeat its usage. */
  readonly #usage = new Map<string, { inputTokens: number; outputTokens: number }>()
  #cost: AgentRecord['usage'] = null

  constructor(options: ReadOptions & { subagent: boolean }) {
    this.#options = options
  }

  read(text: string): void {
    // A cheap look first: most bytes of a transcript are snapshots of requests and results.
    if (!/"type":\s*"(?:assistant|user|cost-state)"/.test(text)) return
    const line = parse(text)
    if (line?.type === 'cost-state') this.#onCost(line)
    if (!line || (line.isSidechain === true) !== this.#options.subagent) return
    const { since } = this.#options
    if (since !== undefined && line.timestamp !== undefined && line.timestamp < since) return
    if (line.type === 'assistant') this.#onModel(line)
    else if (line.type === 'user') this.#onUser(line)
  }

  record(isWhole: boolean): AgentRecord {
    const isAnswered = this.#last === 'tool-call' && this.#call !== undefined && this.#answered.has(this.#call)
    const last = isAnswered ? 'tool-result' : this.#last
    const usage = this.#cost ?? (isWhole ? this.#sum() : null)
    const earlier = this.#earlier === '' ? {} : { earlier: this.#earlier }
    return { last, stopReason: this.#stopReason, text: this.#words.join('\n'), error: this.#error, usage, ...earlier }
  }

  #onModel({ message, isApiErrorMessage, ...line }: EndLine): void {
    if (isApiErrorMessage) {
      this.#error = errorOf({ message, ...line })
      return
    }
    // The client's own words in the model's place.
    if (!message || message.model === '<synthetic>') return
    this.#error = null
    // Written at the end of an earlier process of the conversation.
    this.#cost = null
    this.#stopReason = message.stop_reason ?? null
    if (message.id && message.usage) this.#usage.set(message.id, totalOf(message.usage))
    for (const block of Array.isArray(message.content) ? message.content : []) {
      if (block?.type === 'tool_use') {
        this.#last = 'tool-call'
        this.#call = block.id
      } else this.#onWords(message.id, block?.type === 'text' ? (block.text ?? '') : '')
    }
  }

  #onWords(id: string | undefined, text: string): void {
    this.#last = 'text'
    if (id === undefined || id !== this.#wordsOf) this.#leave()
    this.#wordsOf = id
    if (text.trim() !== '') this.#words.push(text)
  }

  /** Other words follow. Of what was said before the longer text is kept, unless that is far back. */
  #leave(): void {
    const said = this.#words.join('\n').slice(0, limits.earlierChars)
    this.#words = []
    const says = said !== '' && pointing(said) === null && announcement(said) === null
    if (says && said.length * FAR_LONGER >= this.#earlier.length) this.#earlier = said
  }

  #onUser({ message, isMeta, isCompactSummary, origin }: EndLine): void {
    if (isCompactSummary) return
    const content = message?.content
    const blocks = Array.isArray(content) ? content : [{ type: 'text', text: String(content ?? '') }]
    for (const block of blocks) {
      if (block?.type === 'tool_result') {
        this.#step('tool-result')
        if (block.tool_use_id) this.#answered.add(block.tool_use_id)
      } else if (block?.type === 'text') this.#onPrompt(block.text ?? '', isMeta === true && !origin)
    }
  }

  #onPrompt(text: string, isMeta: boolean): void {
    if (text.startsWith(INTERRUPTED)) this.#step('interrupted')
    // Every text asks a subagent something; in a session only those with an origin do.
    else if (!NO_PROMPT.test(text) && (this.#options.subagent || !isMeta)) this.#step('prompt')
  }

  #step(last: AgentRecord['last']): void {
    this.#last = last
    this.#error = null
  }

  #onCost({ totalCostUSD: cost, modelUsage }: EndLine): void {
    if (this.#options.subagent || cost === undefined) return
    const sum = { inputTokens: 0, outputTokens: 0 }
    for (const model of Object.values(modelUsage ?? {})) {
      sum.inputTokens += model.inputTokens + model.cacheReadInputTokens + model.cacheCreationInputTokens
      sum.outputTokens += model.outputTokens
    }
    this.#cost = { ...sum, cost: Math.round(cost * 1e6) / 1e6 }
  }

  #sum(): AgentRecord['usage'] {
    if (this.#usage.size === 0) return null
    const sum = { inputTokens: 0, outputTokens: 0 }
    for (const { inputTokens, outputTokens } of this.#usage.values()) {
      sum.inputTokens += inputTokens
      sum.outputTokens += outputTokens
    }
    return sum
  }
}

/** Returns the error that ended a turn, with the service's own kind where the client passes it on. */
function errorOf({ error = 'unknown', apiErrorType, apiErrorStatus, message }: EndLine): ModelError {
  const blocks = Array.isArray(message?.content) ? message.content : []
  const text = blocks.map((block) => block?.text ?? '').join('\n')
  if (message?.stop_reason === 'refusal') return { kind: 'refusal', message: text }
  const word = error === 'unknown' && apiErrorType ? apiErrorType : error
  return modelError(apiErrorStatus ? `${apiErrorStatus} ${word}` : word, text)
}

/** Returns an error from the client's words, as a StopFailure hook has them. */
export function modelError(kind: string, message: string): ModelError {
  return { kind: KINDS[kind] ?? kind, message }
}

function totalOf(usage: NonNullable<NonNullable<EndLine['message']>['usage']>) {
  const { input_tokens = 0, cache_creation_input_tokens = 0, cache_read_input_tokens = 0, output_tokens = 0 } = usage
  return {
    inputTokens: input_tokens + (cache_creation_input_tokens ?? 0) + (cache_read_input_tokens ?? 0),
    outputTokens: output_tokens,
  }
}

function parse(text: string): EndLine | null {
  try {
    return endLine.safeParse(JSON.parse(text)).data ?? null
  } catch {
    return null
  }
}
