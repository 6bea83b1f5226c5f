/** Reads evidence of queuing and reading out of transcript lines: by the line's type, since other lines repeat the text. Pure. */
import { type TranscriptLine, transcriptLine } from './hook-event.schema.ts'

/** Longer lines are tool output or files; none of ours comes near. */
const LINE_CHARS = 1024 * 1024

export interface Evidence {
  token: string
  state: 'handed' | 'surfaced'
  evidence: string
}

/** What one line shows about the tokens of our hand-overs. */
export function readLine(line: string, tokens: readonly string[]): Evidence[] {
  const present = line.length > LINE_CHARS ? [] : tokens.filter((token) => line.includes(token))
  if (present.length === 0) return []
  const meaning = meaningOf(parse(line))
  if (!meaning) return []
  const { state, evidence, text } = meaning
  return present.filter((token) => text.includes(token)).map((token) => ({ token, state, evidence }))
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

interface Meaning {
  state: Evidence['state']
  evidence: string
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
    if (kind === 'hook_additional_context') return meaning('surfaced', 'hook context', line.attachment)
    if (kind === 'queued_command') return meaning('surfaced', 'queued command', line.attachment)
    return null
  }
  if (line.type !== 'user') return null
  const how = origins[line.origin?.kind ?? '']
  return how ? meaning('surfaced', how, line.message?.content) : null
}
