/** Judges how a process ended, by what its supervisor saw. One pure function over evidence. */
import { limits } from '../../wire/limits.ts'
import type { Ending, TerminalType } from '../../wire/run.schema.ts'
import { visible } from '../render.ts'
import type { RunReasonCode } from './reason-code.ts'

/** A request to mesh to end the run. */
export interface StopRequest {
  by: string
  signal: string
  at: string
}

export interface ExitEvidence {
  /** Null when a signal ended it. Both null: it ended, and the system did not say how. */
  code: number | null
  signal: string | null
  /** Its time (milliseconds, as asked for) had run out before it ended. */
  timedOutMs: number | null
  stop: StopRequest | null
  /** A signal that mesh passed on to it, and from whom. */
  forwarded: { signal: string; from: string } | null
  /** The sign that the kernel killed it for want of memory. */
  outOfMemory: string | null
  /** Processes of its group that were still there, and were ended. */
  leftInGroup: boolean
  /** Null when it ran before it was watched. */
  durationMs: number | null
  /** The last bytes on standard error, as text. */
  stderrTail: string
}

/** Shells exit with 128 + n when signal n ended their last command. */
const KILLED = 137

export type Judged = Omit<Ending, 'reasonCode'> & { type: TerminalType; reasonCode: RunReasonCode }

export interface Verdict {
  type: TerminalType
  reasonCode: RunReasonCode
  reason: string
  evidence: string
}

/** Judges the end of a process that its supervisor saw. */
export function judgeExit(seen: ExitEvidence): Judged {
  const { code, signal, durationMs } = seen
  const facts = {
    ...(code === null ? {} : { exitCode: code }),
    ...(signal === null ? {} : { signal }),
    ...(durationMs === null ? {} : { durationMs }),
    ...(seen.stderrTail === '' ? {} : { stderrTail: seen.stderrTail }),
  }
  const { evidence, reason, ...judged } = verdict(seen)
  const left = seen.leftInGroup ? '; processes of its group were left and were ended' : ''
  const words = { reason: short(reason, limits.reason), evidence: short(evidence + left, limits.evidence) }
  return { ...judged, ...words, ...facts }
}

function verdict(seen: ExitEvidence): Verdict {
  const { stop, timedOutMs, outOfMemory, forwarded, signal } = seen
  const isKnown = seen.code !== null || signal !== null
  const how = !isKnown ? 'that it was gone, not how' : seen.code === null ? `signal ${signal}` : `exit ${seen.code}`
  const saw = `its supervisor saw ${how}`
  // A request for the end explains it, whatever way the process took then. One that did its work all the same completed.
  if (seen.code === 0 && !stop && timedOutMs === null)
    return { type: 'run_completed', reasonCode: 'exited', reason: how, evidence: saw }
  if (stop) return cancelled(stop, `${asked(stop)}; ${saw}`)
  if (timedOutMs !== null) return terminated('timeout', 'timeout', `it was given ${timedOutMs} ms; ${saw}`)
  if (outOfMemory !== null && (signal === 'SIGKILL' || seen.code === KILLED)) {
    return terminated('out_of_memory', 'out of memory', `${outOfMemory}; ${saw}`)
  }
  // What may have been cut off is not called completed.
  if (!isKnown) return terminated('exit_unknown', 'ended, exit code unknown', `${saw}: it did not start it`)
  if (signal !== null) {
    const by = forwarded?.signal === signal ? ` sent by ${forwarded.from}` : ''
    return terminated('signalled', `signal ${signal}${by}`, saw)
  }
  return { type: 'run_failed', reasonCode: 'exited', reason: how, evidence: saw }
}

export function terminated(reasonCode: RunReasonCode, reason: string, evidence: string): Verdict {
  return { type: 'run_terminated', reasonCode, reason, evidence }
}

export function asked({ by, signal, at }: StopRequest): string {
  return `${by} asked for ${signal} at ${at}`
}

export function cancelled({ by }: StopRequest, evidence: string): Verdict {
  return { type: 'run_cancelled', reasonCode: 'cancelled', reason: `cancelled by ${by}`, evidence }
}

/** Judges a process whose supervisor was gone when it ended. */
export function judgeLost(stop: StopRequest | null, evidence: string, stderrTail: string): Judged {
  const seen = short(`${evidence}; its exit code is not known`, limits.evidence)
  // Asked for and gone: the request explains the end, though it was not seen.
  const judged = stop ? cancelled(stop, seen) : terminated('supervisor_lost', 'supervisor lost', seen)
  const reason = short(judged.reason, limits.reason)
  return { ...judged, reason, ...(stderrTail === '' ? {} : { stderrTail }) }
}

/** Adds that the whole machine ended to an end that was not seen. */
export function withHost(lost: Judged, evidence: string): Judged {
  // Its own word, its record or a request for its end explains it better.
  if (lost.reasonCode !== 'supervisor_lost' && lost.reasonCode !== 'killed') return lost
  const words = short(`${evidence}; ${lost.evidence ?? ''}`, limits.evidence)
  return { ...lost, ...terminated('host_lost', 'host lost', words) }
}

function short(text: string, max: number): string {
  return visible(text).slice(0, max).toWellFormed()
}

/** The end of a text that came in pieces: its last `maxBytes` bytes, from a line's or at least a character's beginning. */
export function tailOf(bytes: Uint8Array, maxBytes: number): string {
  if (bytes.length <= maxBytes) return decode(bytes)
  let from = bytes.length - maxBytes
  const line = bytes.indexOf(0x0a, from)
  if (line >= 0 && line < bytes.length - 1) from = line + 1
  // Not from the middle of a character: continuation bytes are 10xxxxxx.
  else while (from < bytes.length && (bytes[from]! & 0xc0) === 0x80) from++
  return decode(bytes.subarray(from))
}

/** Bytes that are not UTF-8 become U+FFFD, which has three bytes: those that do not fit then are cut. */
function decode(bytes: Uint8Array): string {
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes).slice(-limits.stderrTailBytes).toWellFormed()
}
