/** Reads evidence of queuing and reading out of transcript lines: by the line's type, since other lines repeat the text. Pure. */
import type { EvidenceState } from '../../types.ts'
import { type TranscriptLine, transcriptLine } from '../hooks/event.schema.ts'

/** What follows the number of held messages: the reason, and then what to do about it. */
const HELD_WHY = /\(\d+ held\)\. ([^;.]{1,120})/
/** Longer lines are tool output or files; none of ours comes near. */
const LINE_CHARS = 1024 * 1024

export interface Evidence {
  token: string
  state: Exclude<EvidenceState, 'received' | 'answered' | 'forgotten'>
  evidence: string
  /** A hook gave it; at a turn's very end the client lets that happen only so many times in a row. */
  hook?: string
}

/** What one line shows about the tokens of our hand-overs. */
export function readLine(line: string, tokens: readonly string[]): Evidence[] {
  const present = line.length > LINE_CHARS ? [] : tokens.filter((token) => line.includes(token))
  if (present.length === 0) return []
  const meaning = meaningOf(parse(line))
  if (!meaning) return []
  const { text, ...shown } = meaning
  return present.filter((token) => text.includes(token)).map((token) => ({ token, ...shown }))
}

/** True for words or a tool call of the session's own model: it has read what is above. An API error is none. */
export function isAnswer(line: string): boolean {
  if (line.length > LINE_CHARS || !line.includes('"assistant"')) return false
  const parsed = parse(line)
  return parsed?.type === 'assistant' && !parsed.isSidechain && !parsed.isApiErrorMessage
}

const INTERRUPTED = '[Request interrupted by user'

/** When a person stopped the turn, `Date.now()`, if that is what the line says: an interruption's only lasting trace. */
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
  /** Where the token has to be. */
  text: string
}

/** User lines that no person typed: a frame of the inbox socket, and the wake by a hook (2.1.197 and 2.1.329). */
const origins: Record<string, string | undefined> = { peer: 'peer message', 'task-notification': 'wake by a hook' }

/** Line types of 2.1.329, CLAUDE_CODE_PROBES P2: what is queued may still be lost, what was taken in is read. */
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
    if (kind === 'queued_command') return meaning('surfaced', 'queued command', line.attachment)
    return null
  }
  if (line.type === 'system' && line.subtype === 'informational') return noticeOf(String(line.content), meaning)
  if (line.type !== 'user') return null
  const how = origins[line.origin?.kind ?? '']
  return how ? meaning('surfaced', how, line.message?.content) : null
}

/**
 * Notices to the person at the session. A held message is not yet with the model, and nothing is written when it is
 * denied or expires; released, it is queued like any other. A prompt that another hook blocks was queued before.
 */
function noticeOf(notice: string, meaning: (state: Evidence['state'], evidence: string, from: unknown) => Meaning) {
  if (notice.startsWith('Held peer message'))
    return meaning('held', `held by the client: ${HELD_WHY.exec(notice)?.[1] ?? 'no reason given'}`, notice)
  if (notice.startsWith('UserPromptSubmit operation blocked by hook'))
    return meaning('refused', 'another hook blocked it', notice)
  return null
}
