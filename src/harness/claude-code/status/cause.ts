/** Names what a session does or waits for, from what the client shows of itself. Pure. */
import { causeName, causeText } from '../../../wire/cause.ts'
import type { Cause, SessionStatus } from '../../../wire/envelope.schema.ts'
import type { OpenTool } from '../transcript/open-tools.ts'
import { isKnown } from './decide.ts'

/** A tool that runs for less is not shown: each change of what is shown is a heartbeat more. */
const TOOL_MS = 1000
/** The tool with which the model asks its user. */
const QUESTION = 'AskUserQuestion'
/** Fields of a tool's input that say most of it, the first of them that there is. */
const TELLING = ['command', 'file_path', 'notebook_path', 'url', 'pattern', 'query', 'description', 'prompt'] as const

export interface CauseEvidence {
  /** The status that the client's registry shows, its reason in the client's words, and since when (ISO 8601). */
  word: string | null
  waitingFor: string | undefined
  wordSince: string
  /** The call that a PermissionRequest hook named. */
  permission: OpenTool | null
  /** Calls without a result, the oldest first. */
  tools: readonly OpenTool[]
  /** When a compaction began; null if none is under way. */
  compactingSince: string | null
  /** The error that the last turn ended with. */
  failure: { error: string; message: string; at: string } | null
}

export interface CauseDecision {
  cause: Cause | null
  /** The time after which to decide again. */
  againMs: number | null
}

/** `now` is a time of the client's clock. */
export function decideCause(status: SessionStatus, evidence: CauseEvidence, now: number): CauseDecision {
  if (status === 'waiting') return { cause: waiting(evidence), againMs: null }
  if (status === 'busy') return busy(evidence, now)
  return { cause: status === 'idle' ? idle(evidence) : null, againMs: null }
}

function waiting({ permission, tools, waitingFor, wordSince: since }: CauseEvidence): Cause {
  const question = [permission, ...tools].find((call) => call?.name === QUESTION)
  if (question) return { kind: 'question', since, text: causeText(questionsIn(question.input)) }
  const isPermission = permission !== null || waitingFor === undefined || waitingFor.startsWith('permission')
  const call = permission ?? (isPermission ? tools[0] : undefined)
  if (call) return { kind: 'permission', since, tool: causeName(call.name), input: inputText(call.input) }
  return { kind: 'dialog', since, text: causeText(waitingFor ?? '') }
}

function busy({ tools, compactingSince }: CauseEvidence, now: number): CauseDecision {
  if (compactingSince !== null) return { cause: { kind: 'compacting', since: compactingSince }, againMs: null }
  const [call] = tools
  if (!call) return { cause: null, againMs: null }
  const left = Date.parse(call.at) + TOOL_MS - now
  if (left > 0) return { cause: null, againMs: Math.min(left, TOOL_MS) }
  const cause = { kind: 'tool', since: call.at, name: causeName(call.name), input: inputText(call.input) }
  return { cause, againMs: null }
}

function idle({ failure, word, wordSince: since }: CauseEvidence): Cause | null {
  if (failure) {
    const { error, message, at } = failure
    return { kind: 'error', since: at, error: causeName(error), text: causeText(message) }
  }
  if (word === 'shell') return { kind: 'shell', since }
  return word === null || isKnown(word) ? null : { kind: 'unknown', since, text: causeText(word) }
}

function questionsIn({ questions }: OpenTool['input']): string {
  const list: unknown[] = Array.isArray(questions) ? questions : []
  return list.map((one) => String((one as { question?: unknown } | null)?.question ?? '')).join(' / ')
}

function inputText(input: OpenTool['input']): string {
  const field = TELLING.map((name) => input[name]).find((value) => typeof value === 'string')
  return causeText(typeof field === 'string' ? field : JSON.stringify(input))
}
