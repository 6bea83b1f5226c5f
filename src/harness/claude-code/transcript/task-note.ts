/** Reads the client's notes on the end of a subagent: texts that go into the session's queue, and to its model. */
import { TURN_LIMIT } from '../../../core/runs/agent-end.ts'
import { queueLine } from '../hooks/event.schema.ts'
import { eachLine } from './lines.ts'

/** Limits how far back a transcript is searched for notes. */
const LOOK_BYTES = 8 * 1024 * 1024

export interface TaskNote {
  /** The subagent's id, as in its hooks. */
  agent: string
  /** It goes on by itself once its own shells and subagents are done. */
  isWaiting: boolean
  /** The client's word: `completed`, `failed`, or its own for anything else. */
  says: string
  /** It was made to stop. */
  isStopped: boolean
  error: { kind: string; message: string } | null
  /** The last words that the session is given; null if none. */
  text: string | null
}

/** Anchored: a model's words follow, which could be anything. */
const NOTE =
  /^\s*<task-notification>\s*<task-id>([\w-]{1,64})<\/task-id>[\s\S]{0,4000}?<status>(\w{1,32})<\/status>\s*<summary>([^<]*)/
const WAITING = 'is waiting on its own background work'
const LIMIT = /\bstopped at its \d+-turn limit\b/
const STOPPED = new Set(['killed', 'stopped'])

/** Returns null for any other text. Wordings of 2.1.329; an unknown status is passed on as it stands. */
export function readTaskNote(text: string): TaskNote | null {
  const [, agent, status, summary] = NOTE.exec(text) ?? []
  if (!agent || !status || summary === undefined) return null
  const limit = LIMIT.exec(summary)?.[0]
  const failed = status === 'failed' ? { kind: 'unknown', message: summary } : null
  const error = limit ? { kind: TURN_LIMIT, message: summary } : failed
  const isWaiting = summary.includes(WAITING)
  return { agent, isWaiting, says: limit ?? status, isStopped: STOPPED.has(status), error, text: resultIn(text) }
}

function resultIn(text: string): string | null {
  const [open, close] = ['<result>', '</result>']
  const from = text.indexOf(open)
  const to = text.lastIndexOf(close)
  return from < 0 || to < from ? null : text.slice(from + open.length, to).trim() || null
}

/**
 * Returns the note in a line of the session's transcript: it is there as soon as it is queued, also while a tool runs.
 */
export function noteInLine(line: string): string | null {
  if (!line.includes('queue-operation') || !line.includes('<task-notification>')) return null
  try {
    const read = queueLine.safeParse(JSON.parse(line)).data
    return read?.operation === 'enqueue' ? read.content : null
  } catch {
    return null
  }
}

/** Returns the last note of each subagent at the end of a session's transcript. */
export function lastNotes(transcript: string): Map<string, TaskNote> {
  const notes = new Map<string, TaskNote>()
  try {
    eachLine(transcript, LOOK_BYTES, (line) => {
      const note = readTaskNote(noteInLine(line) ?? '')
      if (note) notes.set(note.agent, note)
    })
  } catch {
    // no transcript, no notes
  }
  return notes
}
