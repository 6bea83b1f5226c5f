/** Reads how a session that mesh started ended: from the last line of its output, and from its transcript. */
import type { AgentRecord, ModelError } from '../../../core/runs/agent-end.ts'
import type { Env } from '../../../host/home.ts'
import type { SpawnedSession } from '../../types.ts'
import { transcriptPath } from '../status/hookless.ts'
import { readAgentRecord } from '../transcript/end-record.ts'
import type { PrintResult } from './print-event.schema.ts'
import { PrintStream } from './print-stream.ts'

/** The client's words when four responses in a row were cut (2.1.329); it gives no kind. */
const CUT = /exceeded the \d+ output token maximum/

/** Limits how many refused tools are named. */
const REFUSED = 5

export class SpawnedClaudeCode implements SpawnedSession {
  readonly #stream = new PrintStream()
  readonly #env: Env
  readonly #session: string | undefined

  constructor(env: Env, session: string | undefined) {
    this.#env = env
    this.#session = session
  }

  read(chunk: Buffer): string {
    return this.#stream.read(chunk)
  }

  end(): string {
    return this.#stream.end()
  }

  evidence(transcript: string | null): ReturnType<SpawnedSession['evidence']> {
    const { result } = this.#stream
    const path = transcript ?? this.#path()
    const record = path === null ? null : readAgentRecord(path, { subagent: false })
    if (!result) return { clientSays: null, error: null, finalText: null, record }
    const usage = usageOf(result)
    if (result.is_error || result.subtype !== 'success') {
      return {
        clientSays: 'failed',
        error: record?.error ?? errorOf(result),
        finalText: null,
        record: withUsage(record, usage),
      }
    }
    const text = result.result ?? ''
    const own: AgentRecord = { last: 'text', stopReason: result.stop_reason ?? null, text, error: null, usage: null }
    return {
      clientSays: `completed${refused(result)}`,
      error: null,
      finalText: text,
      record: withUsage(record ?? own, usage),
    }
  }

  #path(): string | null {
    const begun = this.#stream.conversation
    const sessionId = begun?.sessionId ?? this.#session
    return sessionId === undefined
      ? null
      : transcriptPath({ sessionId, source: null, cwd: begun?.cwd ?? '' }, this.#env)
  }
}

/** Returns the usage of the whole session; its transcript may only have that of the end. */
function usageOf({ usage, total_cost_usd: cost }: PrintResult): AgentRecord['usage'] {
  if (!usage) return null
  const { input_tokens, cache_creation_input_tokens, cache_read_input_tokens, output_tokens } = usage
  const inputTokens = input_tokens + cache_creation_input_tokens + cache_read_input_tokens
  return { inputTokens, outputTokens: output_tokens, ...(cost === undefined ? {} : { cost }) }
}

function withUsage(record: AgentRecord | null, usage: AgentRecord['usage']): AgentRecord | null {
  return record && usage ? { ...record, usage } : record
}

/** Names the tools that a completed session was not allowed to use. */
function refused({ permission_denials: denials }: PrintResult): string {
  const names = [...new Set(denials.map(({ tool_name }) => tool_name))].slice(0, REFUSED)
  return names.length === 0 ? '' : `, with calls refused for want of permission: ${names.join(', ')}`
}

function errorOf({ subtype, result = '', api_error_status, terminal_reason }: PrintResult): ModelError {
  if (subtype !== 'success') return { kind: subtype, message: result }
  if (CUT.test(result)) return { kind: 'max_tokens', message: result }
  return { kind: String(api_error_status ?? terminal_reason ?? 'unknown'), message: result }
}
