/**
 * Judges how an agent's session or subagent ended, by what was seen of it. One pure function over evidence: cut off is
 * `terminated`, only suspected is `completed` with `suspect`. A false alarm is worse than a missed one: each costs its
 * owner a turn, and the trust in the next.
 */
import { limits } from '../../wire/limits.ts'
import type { Ending } from '../../wire/run.schema.ts'
import type { SessionEnd } from '../../wire/session-end.ts'
import { visible } from '../render.ts'
import { announcement } from './announcement.ts'
import { pointing } from './pointing.ts'
import { asked, cancelled, type Judged, type StopRequest, terminated, type Verdict } from './process-end.ts'

/**
 * Its way to the end. `own`: by itself, as a session does that was started for one prompt, and a subagent. `left`:
 * its user left it. `signalled`: a signal or a closed terminal ended it, and it had time to say so. `killed`: it was gone
 * without a word. `parent`: a subagent whose session ended. `stopped`: a subagent that its session, or a person, stopped.
 */
export type AgentEnd = 'own' | 'left' | 'signalled' | 'killed' | 'parent' | 'stopped'

/** The kind of end that a session's own end means for its run. */
export function agentEndOf({ code }: SessionEnd): AgentEnd {
  if (code === 'killed' || code === 'signalled') return code
  if (code === 'daemon') return 'signalled'
  return code === 'finished' ? 'own' : 'left'
}

/** An error that cut the agent off, by the client's account. */
export interface ModelError {
  /** A word: `max_tokens`, `refusal`, `turn limit`, else the client's or the service's kind, like `529 server_error`. */
  kind: string
  message: string
}

/** The end of an agent's own record of itself. */
export interface AgentRecord {
  /**
   * The last entry: words of the model, a tool call without its result, a result that the model was not asked about
   * any more, a prompt that it did not answer, a person's interruption, or nothing at all.
   */
  last: 'text' | 'tool-call' | 'tool-result' | 'prompt' | 'interrupted' | 'nothing'
  /** Why the model's last response ended, in the service's words; null where the record does not say. */
  stopReason: string | null
  /** The last words of the model, also when something came after them. */
  text: string
  /** Set if nothing but an error came of the last request. */
  error: ModelError | null
  usage: { inputTokens: number; outputTokens: number; cost?: number } | null
  /** What the model said before its last words, if that was more than an announcement. */
  earlier?: string
  /** The file of the record. */
  file?: string
}

/**
 * Reads an agent's own record of itself; null if there is none that can be read. `since`: what is older is of an earlier
 * process of the conversation (ISO 8601).
 */
export type ReadRecord = (path: string, options: { subagent: boolean; since?: string }) => AgentRecord | null

export interface AgentEvidence {
  runKind: 'session' | 'subagent'
  end: AgentEnd
  /** `mesh done`, said by the agent itself. */
  done: { failed: boolean; result: string | null } | null
  /** The request to mesh to end it, if there was one. */
  stop: StopRequest | null
  /** Its time (milliseconds, as asked for) had run out before it ended. */
  timedOutMs: number | null
  /** The exit of its process, where that was seen. */
  exit: { code: number | null; signal: string | null } | null
  /** The sign that the kernel killed it for want of memory. */
  outOfMemory: string | null
  /** The client's own word for the end (`completed`, `failed`); null if it gave none. */
  clientSays: string | null
  /** An error that the client reported as the end. */
  error: ModelError | null
  /** The final message as the client reported it; null if it reported none, which is not the same as an empty one. */
  finalText: string | null
  /** Null if there is none, or none that can be read. */
  record: AgentRecord | null
  durationMs: number | null
}

/** Evidence of nothing: what a caller knows goes over it. */
export const noEvidence: Omit<AgentEvidence, 'runKind' | 'end'> = {
  done: null,
  stop: null,
  timedOutMs: null,
  exit: null,
  outOfMemory: null,
  clientSays: null,
  error: null,
  finalText: null,
  record: null,
  durationMs: null,
}

interface AgentVerdict extends Verdict {
  suspect?: string
  /** The text that its last words should have been. */
  earlier?: string
}

export function judgeAgentEnd(seen: AgentEvidence): Judged {
  const { reason, evidence, suspect, earlier, ...judged } = verdict(seen)
  const result = seen.done?.result ?? wordsOf(seen)
  const usage = seen.record?.usage
  const says = seen.clientSays === null ? '' : `; the client says ${seen.clientSays}`
  const facts: Omit<Ending, 'reasonCode'> = {
    ...(suspect === undefined ? {} : { suspect: short(suspect, limits.reason) }),
    ...(earlier === undefined ? {} : { earlier: earlier.slice(0, limits.earlierChars).toWellFormed() }),
    ...(result.trim() === '' ? {} : { result: result.slice(0, limits.resultChars).toWellFormed() }),
    ...(typeof seen.exit?.code === 'number' ? { exitCode: seen.exit.code } : {}),
    ...(seen.exit?.signal ? { signal: seen.exit.signal } : {}),
    ...(usage ? { usage } : {}),
    ...(seen.durationMs === null ? {} : { durationMs: seen.durationMs }),
  }
  const words = { reason: short(reason, limits.reason), evidence: short(evidence + says, limits.evidence) }
  return { ...judged, ...words, ...facts }
}

/**
 * Returns true when the client's own word to its session about this end is wrong or missing, so that mesh adds one. A
 * client that says `failed` is believed: the event has the details.
 */
export function needsWord({ clientSays }: Pick<AgentEvidence, 'clientSays'>, judged: Judged): boolean {
  if (judged.type === 'run_cancelled') return false
  const isClean = judged.type === 'run_completed' && judged.suspect === undefined
  return clientSays === null || clientSays === 'completed' ? !isClean : false
}

function verdict(seen: AgentEvidence): AgentVerdict {
  // A record that is behind the client's report says nothing about the end.
  const record = isBehind(seen) ? null : seen.record
  return byWord(seen) ?? byForce(seen) ?? byError(seen, record) ?? byRecord(seen, record)
}

/** The agent's own word, or a request for its end, explains it, whatever way it took then. */
function byWord({ done, stop, timedOutMs }: AgentEvidence): Verdict | null {
  if (done) {
    const reason = done.failed ? 'mesh done --failed' : 'mesh done'
    const type = done.failed ? 'run_failed' : 'run_completed'
    return { type, reasonCode: 'done', reason, evidence: `it said so by ${reason}` }
  }
  if (stop) return cancelled(stop, asked(stop))
  if (timedOutMs !== null) return terminated('timeout', 'timeout', `it was given ${timedOutMs} ms`)
  return null
}

function byForce({ end, exit, outOfMemory, record }: AgentEvidence): Verdict | null {
  const signal = exit?.signal ?? null
  if (outOfMemory !== null && (signal === 'SIGKILL' || end === 'killed'))
    return terminated('out_of_memory', 'out of memory', outOfMemory)
  const last = where(record)
  if (signal !== null) return terminated('signalled', `signal ${signal}`, `its supervisor saw signal ${signal}${last}`)
  if (end === 'killed') return terminated('killed', 'killed', `it was gone without a word${last}`)
  if (end === 'signalled') return terminated('signalled', 'ended by a signal', `a signal or a closed terminal${last}`)
  if (end === 'parent') return terminated('session_ended', 'its session ended', `its session ended before it${last}`)
  const reason = 'stopped'
  if (end === reason) return { type: 'run_cancelled', reasonCode: reason, reason, evidence: 'its session stopped it' }
  return null
}

function byError({ error }: AgentEvidence, record: AgentRecord | null): Verdict | null {
  const found = record?.error ?? error
  if (!found) return null
  const evidence = found.message === '' ? 'the client reported an error' : found.message
  if (OWN_WORDS.has(found.kind)) return terminated('cut_off', found.kind, evidence)
  return terminated('api_error', `API error: ${found.kind}`, evidence)
}

/** The agent was given so many turns and no more. */
export const TURN_LIMIT = 'turn limit'

/** Ends of a response that are no end of the work; the service's own words. */
const CUT: Readonly<Record<string, string>> = {
  max_tokens: 'the response was cut at its limit',
  model_context_window_exceeded: 'the context was full',
  refusal: 'the model refused to go on',
  pause_turn: 'the service paused the turn, and it did not go on',
}
const OWN_WORDS = new Set([...Object.keys(CUT), TURN_LIMIT])

const MIDDLE = 'stopped in the middle'
const LAST: Readonly<Record<AgentRecord['last'], string>> = {
  text: 'words of the model',
  'tool-call': 'a tool call, without result and without a word after it',
  'tool-result': 'the result of a tool call, without a word of the model after it',
  prompt: 'a prompt without an answer',
  interrupted: 'an interruption by its user',
  nothing: 'nothing',
}

/** Judges an agent that ended by itself, or that its user left, by its record. */
function byRecord(seen: AgentEvidence, known: AgentRecord | null): AgentVerdict {
  const { end, exit, runKind } = seen
  const left = end === 'left'
  const last = known ? `last in its record: ${LAST[known.last]}${stopped(known)}` : 'its final message'
  if (known?.last === 'interrupted') {
    return { type: 'run_cancelled', reasonCode: 'interrupted', reason: 'interrupted by its user', evidence: last }
  }
  const inMiddle = known && (known.last === 'tool-call' || known.last === 'tool-result' || known.last === 'prompt')
  const cutAtCall = known?.last === 'text' && known.stopReason === 'tool_use'
  if (inMiddle || cutAtCall) {
    if (!left) return terminated('unfinished', MIDDLE, last)
    return {
      type: 'run_cancelled',
      reasonCode: 'left',
      reason: 'its user left in the middle of a turn',
      evidence: last,
    }
  }
  const cut = known?.stopReason ? CUT[known.stopReason] : undefined
  if (cut) return terminated('cut_off', known!.stopReason!, `${cut}; ${last}`)
  const exited = `exit ${exit?.code}`
  if (exit?.code) return { type: 'run_failed', reasonCode: 'exited', reason: exited, evidence: `${exited}; ${last}` }
  // A user who left had read what it said last.
  if (left) return { type: 'run_completed', reasonCode: 'left', reason: 'its user left', evidence: last }
  const done: Verdict = { type: 'run_completed', reasonCode: 'finished', reason: 'finished', evidence: last }
  const words = wordsOf(seen)
  // A session that was asked nothing owes no words.
  const owes = runKind === 'subagent' || (known !== null && known.last !== 'nothing')
  if (words.trim() === '') return owes ? { ...done, ...elsewhere(seen, 'no final message') } : done
  const pointed = pointing(words)
  if (pointed !== null)
    return { ...done, ...elsewhere(seen, `its last words only point to others${fileOf(known)}: ${pointed}`) }
  const announced = announcement(words)
  return announced === null ? done : { ...done, suspect: `its last words announce work: ${announced}` }
}

function fileOf(record: AgentRecord | null): string {
  const name = record?.file?.split(/[\\/]/).at(-1)
  return name === undefined ? '' : ` (in ${name})`
}

/** A suspicion, with the text that is missing if the record has it. */
function elsewhere({ record, finalText }: AgentEvidence, suspect: string): Pick<AgentVerdict, 'suspect' | 'earlier'> {
  const final = (finalText ?? '').trim()
  const text = record?.text.trim() ?? ''
  const before = text.endsWith(final) ? text.slice(0, text.length - final.length).trim() : ''
  const earlier = before === '' ? record?.earlier : before
  return earlier ? { suspect, earlier } : { suspect }
}

/** True when the record's last words are not those that the client reported: the client writes it late. */
function isBehind({ finalText, record }: AgentEvidence): boolean {
  return finalText !== null && record !== null && !record.text.includes(finalText.trim())
}

function wordsOf({ finalText, record }: AgentEvidence): string {
  return finalText ?? record?.text ?? ''
}

function where(record: AgentRecord | null): string {
  return record ? `; last in its record: ${LAST[record.last]}${stopped(record)}` : ''
}

function stopped({ stopReason }: AgentRecord): string {
  return stopReason === null ? ' (no stop reason)' : ` (stop reason ${stopReason})`
}

function short(text: string, max: number): string {
  return visible(text).slice(0, max).toWellFormed()
}
