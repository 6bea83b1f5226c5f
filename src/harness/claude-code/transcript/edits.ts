/** Follows the transcripts of a session and its subagents for the files that they edit: no process runs for a tool call. */
import { existsSync, type FSWatcher, readdirSync, statSync, watch } from 'node:fs'
import { join } from 'node:path'
import { BoundedMap } from '../../../core/bounded-map.ts'
import { editLine } from '../hooks/event.schema.ts'
import { Tail } from './tail.ts'

/** Older lines are no news: a forked conversation begins with the lines of another. */
const NEWS_MS = 60_000
/** Limits the subagents whose transcripts are followed; of one that comes back later, only new lines count. */
const SUBAGENTS = 64

/**
 * Returns the file that a tool call edited, from its result; null for any other line, and for a call that failed. Edit,
 * Write and NotebookEdit of 2.1.197 and 2.1.329. Changes by a shell command cannot be seen.
 */
export function readEdit(line: string, now: number): string | null {
  if (!line.includes('"toolUseResult"') || !/"(?:structuredPatch|edit_mode)"/.test(line)) return null
  const parsed = parse(line)
  const result = parsed?.toolUseResult
  if (!parsed || !result || now - Date.parse(parsed.timestamp ?? '') > NEWS_MS) return null
  return 'filePath' in result ? result.filePath : result.error ? null : result.notebook_path
}

function parse(line: string) {
  try {
    return editLine.safeParse(JSON.parse(line)).data ?? null
  } catch {
    return null
  }
}

export class EditWatch {
  readonly #onEdit: (path: string) => void
  readonly #onOwnLine: (line: string) => void
  #transcript: string | null
  #tail: Tail | null = null
  /** The transcript was missing at the last look: it will be all new. */
  #isNew = false
  #subagents = new BoundedMap<string, Tail>(SUBAGENTS)
  #watcher: FSWatcher | null = null

  /** `onLine` gets each line of the session's own transcript. */
  constructor(transcript: string | null, onEdit: (path: string) => void, onLine: (line: string) => void = () => {}) {
    this.#transcript = transcript
    this.#onEdit = onEdit
    this.#onOwnLine = onLine
  }

  /**
   * Reads appended lines, and looks for files that were missing. Called as turns begin and end, and on a slow beat
   * meanwhile.
   */
  read(): void {
    if (!this.#transcript) return
    if (this.#tail) this.#tail.read()
    else if (!existsSync(this.#transcript)) this.#isNew = true
    else {
      this.#tail = new Tail(this.#transcript, (line) => this.#onMain(line), this.#isNew ? 0 : undefined)
      this.#tail.start()
    }
    if (!this.#watcher) this.#watchSubagents(join(this.#transcript.replace(/\.jsonl$/, ''), 'subagents'))
  }

  switchTranscript(path: string): void {
    this.stop()
    this.#transcript = path
    this.#isNew = false
    this.read()
  }

  stop(): void {
    this.#tail?.stop()
    this.#tail = null
    this.#watcher?.close()
    this.#watcher = null
    this.#subagents.clear()
  }

  #watchSubagents(dir: string): void {
    if (!existsSync(dir)) return
    try {
      this.#watcher = watch(dir, (_, name) => this.#onSubagent(dir, name ?? ''))
      this.#watcher.on('error', () => {
        this.#watcher?.close()
        this.#watcher = null
      })
    } catch {
      // Watches are scarce on some machines: tried again with the next beat.
      return
    }
    const isRecent = (name: string) => Date.now() - statSync(join(dir, name)).mtimeMs < NEWS_MS
    for (const name of readdirSync(dir).filter(isRecent)) this.#onSubagent(dir, name)
  }

  #onSubagent(dir: string, name: string): void {
    if (!/^agent-[\w-]+\.jsonl$/.test(name)) return
    const tail = this.#subagents.get(name) ?? new Tail(join(dir, name), (line) => this.#onLine(line), 0)
    this.#subagents.set(name, tail)
    tail.read()
  }

  #onMain(line: string): void {
    this.#onLine(line)
    this.#onOwnLine(line)
  }

  #onLine(line: string): void {
    const path = readEdit(line, Date.now())
    if (path !== null) this.#onEdit(path)
  }
}
