/** The directory of a run of this machine: its spec, and a journal of the events to publish. */
import { readdirSync, rmSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import * as z from 'zod/mini'
import { type RunSpec, runSpec } from '../api/supervisor.schema.ts'
import type { StopRequest } from '../core/runs/process-end.ts'
import { tailOf } from '../core/runs/process-end.ts'
import { readEnd, readJson, readText, writeAtomic } from '../host/files.ts'
import { type Home, runDir, socketPath } from '../host/home.ts'
import { phaseOf } from '../wire/codec.ts'
import type { ProcessIdentity } from '../wire/envelope.schema.ts'
import { limits } from '../wire/limits.ts'
import { isRunId } from '../wire/names.ts'
import type { RunEvent } from '../wire/run.schema.ts'

const SPEC_BYTES = 2 * 1024 * 1024
const JOURNAL_BYTES = 256 * 1024 * 1024

/** A line of a run's journal. */
export type RunStep =
  /** The process is there, but has not begun: it begins once this is on disk. */
  | { t: 'started'; child: ProcessIdentity; supervisor: ProcessIdentity; at: string }
  /** To be published, in this order. */
  | { t: 'event'; event: RunEvent }
  /** The engine has everything up to this number. */
  | { t: 'told'; seq: number }
  /** Another process published the end, at this number: nothing more is to be published. */
  | { t: 'superseded'; seq: number }

const doneWord = z.object({ failed: z.boolean(), result: z.nullable(z.string()), at: z.string() })
const stopRequest = z.object({ by: z.string(), signal: z.string(), at: z.string() })

export const files = {
  spec: (dir: string) => join(dir, 'spec.json'),
  journal: (dir: string) => join(dir, 'journal.jsonl'),
  lock: (dir: string) => join(dir, 'lock'),
  stop: (dir: string) => join(dir, 'stop.json'),
  done: (dir: string) => join(dir, 'done.json'),
  log: (dir: string) => join(dir, 'supervisor.log'),
  output: (dir: string, stream: 'stdout' | 'stderr') => join(dir, stream),
  /** What a session's client writes to standard output; its supervisor takes the words from it. */
  events: (dir: string) => join(dir, 'events'),
  socket: socketPath,
  /** With a session whose id was not known before: its id, written by itself. */
  claim: (dir: string) => join(dir, 'session'),
  /** Written once the people were notified of its end, since no session was there. */
  people: (dir: string) => join(dir, 'people'),
  /** The path of the client's own record of a session's conversation. */
  transcript: (dir: string) => join(dir, 'transcript'),
  /** The run that a session was spawned as, by the client's id of its conversation. */
  spawned: (runs: string, session: string) => join(runs, `session-${session}`),
} as const

/** True for the run of an unsupervised session or a subagent: a sidecar publishes its events, not a supervisor. */
export function isBySidecar(spec: RunSpec | null): boolean {
  return spec?.teller === 'sidecar'
}

export function writeSpec(dir: string, spec: RunSpec): void {
  writeAtomic(files.spec(dir), JSON.stringify(spec, null, 2), { sync: true })
  if (spec.session) writeAtomic(files.spawned(dirname(dir), spec.session), spec.run)
}

/** Reads a run's spec; null if it is not there, or not readable. */
export function readSpec(dir: string): RunSpec | null {
  const parsed = runSpec.safeParse(readJson(files.spec(dir), SPEC_BYTES))
  return parsed.success ? parsed.data : null
}

/** Notes the request for a run's end. A later request does not take the first one's place. */
export function writeStop(dir: string, request: StopRequest): StopRequest {
  const earlier = readStop(dir)
  if (earlier) return earlier
  writeAtomic(files.stop(dir), JSON.stringify(request), { sync: true })
  return request
}

export function readStop(dir: string): StopRequest | null {
  const parsed = stopRequest.safeParse(readJson(files.stop(dir), SPEC_BYTES))
  return parsed.success ? parsed.data : null
}

/** Keeps a session's own word that it is done; a later one takes its place. */
export function writeDone(dir: string, word: z.output<typeof doneWord>): void {
  writeAtomic(files.done(dir), JSON.stringify(word), { sync: true })
}

export function readDone(dir: string): z.output<typeof doneWord> | null {
  const parsed = doneWord.safeParse(readJson(files.done(dir), SPEC_BYTES))
  return parsed.success ? parsed.data : null
}

/** The last words on standard error as its log has them; empty without a log. */
export function loggedTail(dir: string): string {
  const path = files.output(dir, 'stderr')
  const end = endOf(path)
  // Of a log that began anew a moment ago the last words are in the old one.
  const words = end.length > limits.stderrTailBytes ? end : Buffer.concat([endOf(`${path}.1`), end])
  return tailOf(words, limits.stderrTailBytes)
}

function endOf(path: string): Buffer {
  try {
    return readEnd(path, limits.stderrTailBytes + 1)
  } catch {
    return Buffer.alloc(0)
  }
}

/** The steps of a run's journal, read without touching it: its supervisor may be writing. */
export function readSteps(dir: string): RunStep[] {
  const lines = (readText(files.journal(dir), JOURNAL_BYTES) ?? '').split('\n')
  return lines.flatMap((line) => {
    try {
      return line === '' ? [] : [JSON.parse(line) as RunStep]
    } catch {
      return []
    }
  })
}

/** True when the run's end was published, by any process: nothing is left to do for it. */
export function isPublished(dir: string): boolean {
  let published = 0
  let end = Number.POSITIVE_INFINITY
  for (const step of readSteps(dir)) {
    if (step.t === 'superseded') return true
    if (step.t === 'told') published = step.seq
    if (step.t === 'event' && phaseOf(step.event.type) === 'end') end = step.event.seq
  }
  return published >= end
}

/** True when it is on disk that the run ended, published or not. */
export function isOverHere(dir: string): boolean {
  return readSteps(dir).some(
    (step) => step.t === 'superseded' || (step.t === 'event' && phaseOf(step.event.type) === 'end'),
  )
}

/** Ids of the runs that have a directory here. */
export function runIds(home: Home): string[] {
  try {
    return readdirSync(home.runs).filter(isRunId)
  } catch {
    return []
  }
}

/** Returns when a run's directory last changed, in milliseconds. */
export function changedAt(home: Home, id: string): number {
  const dir = runDir(home, id)
  return Math.max(mtime(dir), mtime(files.journal(dir)))
}

export function removeRun(home: Home, id: string): void {
  const session = readSpec(runDir(home, id))?.session
  if (session) rmSync(files.spawned(home.runs, session), { force: true })
  rmSync(socketPath(runDir(home, id)), { force: true })
  rmSync(runDir(home, id), { recursive: true, force: true })
}

function mtime(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0
}
