/** How a process ended, judged by what its supervisor saw. One pure function over evidence. */
import { limits } from '../../wire/limits.ts'
import type { Ending, TerminalType } from '../../wire/run.schema.ts'
import { visible } from '../render.ts'

/** Somebody asked mesh to end the run. */
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
  /** What shows that the kernel killed it for want of memory. */
  outOfMemory: string | null
  /** Processes of its group that were still there, and were ended. */
  leftInGroup: boolean
  /** Null when it ran before it was watched. */
  durationMs: number | null
  /** The last bytes on standard error, as text. */
  stderrTail: string
}

/** 128 + n is how shells tell that signal n ended their last command. */
const KILLED = 137

export type Judged = Ending & { type: TerminalType }

/** The end of a process whose supervisor saw it. */
export function judgeExit(seen: ExitEvidence): Judged {
  const { code, signal, durationMs } = seen
  const facts = {
    ...(code === null ? {} : { exitCode: code }),
    ...(signal === null ? {} : { signal }),
    ...(durationMs === null ? {} : { durationMs }),
    ...(seen.stderrTail === '' ? {} : { stderrTail: seen.stderrTail }),
  }
  const { type, reason, evidence } = verdict(seen)
  const left = seen.leftInGroup ? '; processes of its group were left and were ended' : ''
  return { type, reason: short(reason, limits.reason), evidence: short(evidence + left, limits.evidence), ...facts }
}

function verdict(seen: ExitEvidence): { type: TerminalType; reason: string; evidence: string } {
  const { stop, timedOutMs, outOfMemory, forwarded, signal } = seen
  const isKnown = seen.code !== null || signal !== null
  const how = !isKnown ? 'that it was gone, not how' : seen.code === null ? `signal ${signal}` : `exit ${seen.code}`
  const saw = `its supervisor saw ${how}`
  // Who asked for the end explains it, whatever way the process took then. One that did its work all the same completed.
  if (seen.code === 0 && !stop && timedOutMs === null) return { type: 'run_completed', reason: 'exit 0', evidence: saw }
  if (stop) {
    const asked = `${stop.by} asked for ${stop.signal} at ${stop.at}`
    return { type: 'run_cancelled', reason: `cancelled by ${stop.by}`, evidence: `${asked}; ${saw}` }
  }
  if (timedOutMs !== null) {
    return { type: 'run_terminated', reason: 'timeout', evidence: `it was given ${timedOutMs} ms; ${saw}` }
  }
  if (outOfMemory !== null && (signal === 'SIGKILL' || seen.code === KILLED)) {
    return { type: 'run_terminated', reason: 'out of memory', evidence: `${outOfMemory}; ${saw}` }
  }
  // What may have been cut off is not called completed.
  if (!isKnown)
    return { type: 'run_terminated', reason: 'ended, exit code unknown', evidence: `${saw}: it did not start it` }
  if (signal !== null) {
    const by = forwarded?.signal === signal ? ` sent by ${forwarded.from}` : ''
    return { type: 'run_terminated', reason: `signal ${signal}${by}`, evidence: saw }
  }
  return { type: 'run_failed', reason: how, evidence: saw }
}

/** The end of a process that nobody saw end: its supervisor was gone. */
export function judgeLost(stop: StopRequest | null, evidence: string, stderrTail: string): Judged {
  const told = stderrTail === '' ? {} : { stderrTail }
  const words = { evidence: short(`${evidence}; its exit code is not known`, limits.evidence), ...told }
  // Asked for and gone: what killed it is known though nobody saw it.
  if (stop) return { type: 'run_cancelled', reason: short(`cancelled by ${stop.by}`, limits.reason), ...words }
  return { type: 'run_terminated', reason: 'supervisor lost', ...words }
}

/** What nobody saw end because the whole machine did. */
export function withHost(lost: Judged, evidence: string): Judged {
  // Its own word, its record or whoever asked for its end explain it better.
  if (lost.reason !== 'supervisor lost' && lost.reason !== 'killed') return lost
  return { ...lost, reason: 'host lost', evidence: short(`${evidence}; ${lost.evidence ?? ''}`, limits.evidence) }
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

/** What is not UTF-8 becomes U+FFFD, which has three bytes: so many that it would not fit are cut. */
function decode(bytes: Uint8Array): string {
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes).slice(-limits.stderrTailBytes).toWellFormed()
}
