/**
 * Follows the subagents of a session from hooks, from the client's notes to the session, and from their own transcripts
 * (2.1.329). A subagent that was cut off has no hook at its end, only the client's note. A subagent that was resumed,
 * or whose own background work is done, begins again under its id.
 */
import { createHash } from 'node:crypto'
import { type AgentRecord, TURN_LIMIT } from '../../../core/runs/agent-end.ts'
import type { Subagent } from '../../types.ts'
import type { Spooled } from '../hooks/spool.ts'
import type { SidecarEvents } from '../sidecar-events.ts'
import { modelError, readAgentRecord } from '../transcript/end-record.ts'
import { agentFiles, agentsOf, isFinished, readMeta, transcriptOf } from '../transcript/subagent-files.ts'
import { Tail } from '../transcript/tail.ts'
import { lastNotes, noteInLine, readTaskNote, type TaskNote } from '../transcript/task-note.ts'

const LOOK_MS = 50
/**
 * Waits for the subagent's description, which the client writes down up to 0.5 s after the start, and later on a loaded
 * machine.
 */
const META_MS = 5000
/** Waits for the note, which comes within 0.2 s after the hook; not at all for a subagent's own subagents. */
const NOTE_MS = 2000
/** Waits for the transcript, which is written every 0.1 s, and later on a loaded machine. */
const RECORD_MS = 3000
/** A file that did not grow for this long is complete. */
const QUIET_MS = 300
/** Limits the notes that were seen one way and may yet come the other. */
const NOTES = 64

interface Followed {
  agent: Subagent
  /** `stopped`: its turn is over, and what that means is not known yet; `unknown`: nor will it be, unless it goes on. */
  state: 'running' | 'stopped' | 'idle' | 'unknown'
  isReported: boolean
  begun: number
  /** Its hook came, so the model had its last word. */
  hasStopped: boolean
  text: string | null
  error: { kind: string; message: string } | null
  /** Something else of the session worked in the background when it stopped: it may wait for that. */
  hasOthers: boolean
  note: TaskNote | null
  timer: NodeJS.Timeout | null
}

export class Subagents {
  readonly #sidecar: SidecarEvents
  /** Reads the hooks that were dropped: they come before the note. */
  readonly #drain: () => void
  readonly #followed = new Map<string, Followed>()
  readonly #notes = new Map<string, 'line' | 'prompt'>()
  readonly #tails = new Map<string, Tail>()

  constructor(sidecar: SidecarEvents, drain: () => void) {
    this.#sidecar = sidecar
    this.#drain = drain
  }

  /** Takes a hook inside a subagent. */
  onHook({ name, event }: Spooled): void {
    if (!event?.agent_id || !event.transcript_path) return
    const id = event.agent_id
    if (name === 'SubagentStart') this.#onStart(id, event.transcript_path, event.agent_type)
    const followed = this.#followed.get(id)
    if (!followed || (name !== 'SubagentStop' && name !== 'StopFailure')) return
    const words = event.last_assistant_message ?? null
    followed.hasStopped = name === 'SubagentStop'
    followed.text = name === 'SubagentStop' ? words : null
    followed.error = name === 'StopFailure' ? modelError(event.error ?? 'unknown', words ?? '') : null
    followed.hasOthers = (event.background_tasks ?? []).some((task) => this.#mayBelongTo(id, task))
    followed.state = 'stopped'
    this.#wait(followed, NOTE_MS, () => this.#onNoNote(followed))
  }

  /** Takes a prompt of the session. */
  onPrompt(prompt: string): void {
    this.#onNote(prompt, 'prompt')
  }

  /** Follows the session's conversation into another file. */
  onTranscript(path: string): void {
    if (this.#followed.size > 0) this.#follow(path)
  }

  /** Goes on where an earlier sidecar of this session left off. */
  recover(transcript: string): void {
    const notes = lastNotes(transcript)
    for (const { id, path } of agentsOf(transcript)) {
      const followed = this.#add(id, path, undefined)
      followed.isReported = this.#started(followed.agent, true)
      if (!followed.isReported) this.#forget(followed)
      else if (notes.has(id) && isOver(path)) this.#take(followed, notes.get(id)!)
      else if (isFinished(path)) this.#wait(followed, NOTE_MS, () => this.#settle(followed))
    }
    if (this.#followed.size > 0) this.#follow(transcript)
  }

  /** Called on a slow beat: a watcher may miss something, and a subagent of a subagent that is cut off has no note. */
  beat(): void {
    this.#read()
    for (const followed of this.#followed.values()) {
      const isOld = performance.now() - followed.begun > NOTE_MS
      if (followed.state !== 'running' || followed.agent.parent === null || !isOld) continue
      if (!followed.note && isFinished(followed.agent.transcript)) this.#onNoNote(followed)
    }
  }

  /** Ends all of them with their session. */
  over(): void {
    this.#read()
    for (const followed of [...this.#followed.values()]) {
      const isOwn = followed.note !== null || followed.state === 'stopped' || followed.state === 'unknown'
      this.#end(followed, isOwn ? null : 'parent')
    }
  }

  stop(): void {
    for (const { timer } of this.#followed.values()) if (timer) clearTimeout(timer)
    for (const tail of this.#tails.values()) tail.stop()
    this.#tails.clear()
  }

  #onStart(id: string, transcript: string, type: string | undefined): void {
    // A note on its last end may be there, and not seen yet.
    if (this.#followed.get(id)?.state === 'stopped') this.#read()
    const known = this.#followed.get(id)
    if (known?.state === 'running' && !known.note) return
    // Its last end was still being looked at.
    if (known?.note && !known.note.isWaiting) this.#end(known, null)
    const path = transcriptOf(transcript, id)
    if (path === null) return
    const followed = this.#followed.get(id) ?? this.#add(id, path, type)
    Object.assign(followed, {
      state: 'running',
      hasStopped: false,
      text: null,
      error: null,
      note: null,
      begun: performance.now(),
    })
    this.#follow(transcript)
    if (followed.isReported) {
      this.#wait(followed, 0, () => {})
      this.#started(followed.agent, false)
    } else this.#introduce(followed, performance.now() + META_MS)
  }

  /**
   * Returns whether background work may be this subagent's: the client lists all that works in the background of the
   * session, without its owner.
   */
  #mayBelongTo(id: string, task: unknown): boolean {
    const { id: other, type } = (task ?? {}) as { id?: unknown; type?: unknown }
    const known = type === 'subagent' ? this.#followed.get(String(other)) : undefined
    return other !== id && (!known?.isReported || known.agent.parent === id)
  }

  /** Waits for the client's name for it. */
  #introduce(followed: Followed, until: number): void {
    const { agent } = followed
    const meta = readMeta(agent.transcript)
    if (meta || performance.now() >= until) this.#reportStart(followed)
    else this.#wait(followed, LOOK_MS, () => this.#introduce(followed, until))
  }

  #reportStart(followed: Followed): void {
    if (followed.isReported) return
    const { agent } = followed
    const { title = agent.title, parent = null } = readMeta(agent.transcript) ?? {}
    followed.agent = { ...agent, title, parent }
    followed.isReported = this.#started(followed.agent, false)
    if (!followed.isReported) this.#forget(followed)
  }

  /** Returns whether the subagent is to be followed. */
  #started(agent: Subagent, again: boolean): boolean {
    return this.#sidecar.open?.subagentStarted?.(agent, again) ?? false
  }

  #onNote(text: string, from: 'line' | 'prompt'): void {
    const note = readTaskNote(text)
    if (!note) return
    // Each note comes both ways, in either order, with anything between.
    const key = createHash('sha256').update(text.trim()).digest('base64')
    const seen = this.#notes.get(key)
    this.#notes.delete(key)
    if (seen !== undefined && seen !== from) return
    this.#notes.set(key, from)
    for (const [oldest] of this.#notes) if (this.#notes.size > NOTES) this.#notes.delete(oldest)
    if (from === 'line') this.#drain()
    const followed = this.#followed.get(note.agent)
    if (followed) this.#take(followed, note)
  }

  #take(followed: Followed, note: TaskNote): void {
    this.#reportStart(followed)
    if (note.isWaiting) this.#rest(followed, 'idle')
    else {
      followed.note = note
      this.#settle(followed)
    }
  }

  #onNoNote(followed: Followed): void {
    this.#reportStart(followed)
    if (followed.hasOthers) this.#rest(followed, 'unknown')
    else this.#settle(followed)
  }

  #rest(followed: Followed, state: 'idle' | 'unknown'): void {
    this.#wait(followed, 0, () => {})
    followed.state = state
    this.#sidecar.open?.subagentIdle?.(followed.agent.id)
  }

  /** Waits until the transcript has its last line. */
  #settle(followed: Followed, until = performance.now() + RECORD_MS): void {
    const { path, size, changedMs } = agentFiles(followed.agent.transcript)
    const record = size === 0 ? null : readAgentRecord(path)
    if (performance.now() < until && !hasAll(followed, record, changedMs)) {
      this.#wait(followed, LOOK_MS, () => this.#settle(followed, until))
    } else this.#end(followed, null)
  }

  #end(followed: Followed, end: 'parent' | null): void {
    const { agent, note, text, error } = followed
    this.#reportStart(followed)
    this.#forget(followed)
    if (!followed.isReported) return
    this.#sidecar.open?.subagentEnded?.(agent.id, {
      end: end ?? (note?.isStopped ? 'stopped' : 'own'),
      clientSays: note?.says ?? null,
      error: error ?? note?.error ?? null,
      finalText: error ? null : (text ?? note?.text ?? null),
      record: readAgentRecord(agent.transcript),
    })
  }

  #add(id: string, transcript: string, type: string | undefined): Followed {
    const { title = type ?? 'subagent', parent = null } = readMeta(transcript) ?? {}
    const followed: Followed = {
      agent: { id, title, parent, transcript },
      ...{ state: 'running', isReported: false, begun: performance.now(), hasStopped: false, hasOthers: false },
      ...{ text: null, error: null, note: null, timer: null },
    }
    this.#followed.set(id, followed)
    return followed
  }

  #forget(followed: Followed): void {
    if (followed.timer) clearTimeout(followed.timer)
    followed.timer = null
    this.#followed.delete(followed.agent.id)
    if (this.#followed.size === 0) this.stop()
  }

  #wait(followed: Followed, ms: number, then: () => void): void {
    if (followed.timer) clearTimeout(followed.timer)
    followed.timer = ms === 0 ? null : setTimeout(then, ms)
  }

  #read(): void {
    for (const tail of [...this.#tails.values()]) tail.read()
  }

  #follow(transcript: string): void {
    if (this.#tails.has(transcript)) return
    const tail = new Tail(transcript, (line) => {
      const note = noteInLine(line)
      if (note !== null) this.#onNote(note, 'line')
    })
    this.#tails.set(transcript, tail)
    tail.start()
  }
}

/** Returns true for one that finished or was made to stop. */
function isOver(transcript: string): boolean {
  return isFinished(transcript) || readAgentRecord(transcript)?.last === 'interrupted'
}

/** Returns true when the record has caught up with hook and note, and nothing more is to come. */
function hasAll(
  { agent, hasStopped, text, error, note }: Followed,
  record: AgentRecord | null,
  changedMs: number,
): boolean {
  if (note?.isStopped) return true
  if (!record) return false
  if (error ?? note?.error) return record.error !== null || note?.error?.kind === TURN_LIMIT
  const words = text ?? note?.text ?? null
  if (words !== null && !record.text.includes(words.trim())) return false
  if (record.last === 'text' && (hasStopped || words !== null)) return true
  // The hook comes only after the model's last word.
  if (hasStopped) return false
  return changedMs > QUIET_MS && isFinished(agent.transcript)
}
