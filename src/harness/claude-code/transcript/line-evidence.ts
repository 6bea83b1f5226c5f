/**
 * Reads evidence of queuing and reading from transcript lines, by the line's type, since other lines repeat the text.
 * Pure.
 */
import type { EvidenceState } from '../../types.ts'
import { type TranscriptLine, transcriptLine } from '../hooks/event.schema.ts'

/** Matches the reason after the number of screened messages; what to do about it follows. */
const HELD_WHY = /\(\d+ held\)\. ([^;.]{1,120})/
/** Limits a line: longer ones are tool output or files. */
const LINE_CHARS = 1024 * 1024

export interface Evidence {
  token: string
  state: Exclude<EvidenceState, 'received' | 'answered' | 'forgotten' | 'dropped'>
  evidence: string
  /** A hook gave it; at a turn's very end the client lets that happen only so many times in a row. */
  hook?: string
}

/** Returns the evidence of one line about the tokens of hand-overs. */
export function readLine(line: string, tokens: readonly string[]): Evidence[] {
  const present = line.length > LINE_CHARS ? [] : tokens.filter((token) => line.includes(token))
  if (present.length === 0) return []
  const meaning = meaningOf(parse(line))
  if (!meaning) return []
  const { text, ...shown } = meaning
  return present.filter((token) => text.includes(token)).map((token) => ({ token, ...shown }))
}

/**
 * Returns true for words or a tool call of the session's own model: it has read everything above. An API error is none.
 */
export function isAnswer(line: string): boolean {
  if (line.length > LINE_CHARS || !line.includes('"assistant"')) return false
  const parsed = parse(line)
  return parsed?.type === 'assistant' && !parsed.isSidechain && !parsed.isApiErrorMessage
}

const INTERRUPTED = '[Request interrupted by user'

/**
 * Returns when a person stopped the turn, as of `Date.now()`, if the line says so: an interruption leaves no other
 * lasting trace.
 */
export function readInterrupt(line: string): number | null {
  if (line.length > LINE_CHARS || !line.includes(INTERRUPTED)) return null
  const parsed = parse(line)
  if (parsed?.type !== 'user' || parsed.isSidechain || parsed.origin) return null
  const content = parsed.message?.content
  const blocks: unknown[] = Array.isArray(content) ? content : [content]
  const isIt = blocks.some((block) => textOf(block).startsWith(INTERRUPTED))
  const at = Date.parse(parsed.timestamp ?? '')
  return isIt && !Number.isNaN(at) ? at : null
}

function textOf(block: unknown): string {
  if (typeof block === 'string') return block
  const text = (block as { text?: unknown } | null)?.text
  return typeof text === 'string' ? text : ''
}

function parse(line: string): TranscriptLine | null {
  try {
    return transcriptLine.safeParse(JSON.parse(line)).data ?? null
  } catch {
    return null
  }
}

interface Meaning extends Omit<Evidence, 'token'> {
  /** The text that has to contain the token. */
  text: string
}

/** User lines that no person typed: a frame of the inbox socket, and the wake by a hook (2.1.197 and 2.1.329). */
const origins: Record<string, string | undefined> = {
  peer: 'peer message',
  'task-notification': 'wake by a hook',
  plugin: "mesh's module",
}

/** Returns what a line means (types of 2.1.329): a queued text may still be lost, an absorbed one is read. */
function meaningOf(line: TranscriptLine | null): Meaning | null {
  if (!line || line.isSidechain) return null
  const meaning = (state: Evidence['state'], evidence: string, from: unknown): Meaning => {
    return { state, evidence: `transcript: ${evidence}`, text: JSON.stringify(from) ?? '' }
  }
  if (line.type === 'queue-operation') {
    if (line.operation === 'enqueue') return meaning('handed', 'enqueue', line.content)
    return line.reason === 'absorbed_mid_turn' ? meaning('surfaced', 'absorbed mid-turn', line.content) : null
  }
  if (line.type === 'attachment') {
    const kind = line.attachment?.type
    if (kind === 'hook_additional_context') {
      const shown = meaning('surfaced', 'hook context', line.attachment)
      return { ...shown, hook: String(line.attachment?.hookEvent) }
    }
    // Without `sentAs` it is a copy that no request has carried (2.1.332).
    if (kind === 'plugin_note' && line.attachment?.sentAs)
      return meaning('surfaced', 'note of a module', line.attachment)
    if (kind === 'queued_command') return meaning('surfaced', 'queued command', line.attachment)
    return null
  }
  if (line.type === 'system' && line.subtype === 'informational') return noticeOf(String(line.content), meaning)
  if (line.type !== 'user') return null
  const how = origins[line.origin?.kind ?? '']
  return how ? meaning('surfaced', how, line.message?.content) : null
}

/**
 * Reads a notice to the person at the session. A screened message is not yet with the model, and nothing is written
 * when it is denied or expires; once allowed, it is queued like any other. A prompt that another hook blocks was queued
 * before.
 */
function noticeOf(notice: string, meaning: (state: Evidence['state'], evidence: string, from: unknown) => Meaning) {
  if (notice.startsWith('Held peer message'))
    return meaning('held', `held by the client: ${HELD_WHY.exec(notice)?.[1] ?? 'no reason given'}`, notice)
  if (notice.startsWith('UserPromptSubmit operation blocked by hook'))
    return meaning('refused', 'another hook blocked it', notice)
  return null
}
