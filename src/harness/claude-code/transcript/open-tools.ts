/** Follows the tool calls of a session's own model that have no result yet, from the lines of its transcript. */
import { BoundedMap } from '../../../core/bounded-map.ts'
import { toolLine } from '../hooks/event.schema.ts'

/** Limits the calls that are remembered: one response of a model has a few. */
const CALLS = 64
/** Limits a line: longer ones are files and the output of tools. */
const LINE_CHARS = 1024 * 1024
/** A result names its call. In a text the quotes would be escaped. */
const RESULT = /(?<!\\)"tool_use_id":"([\w-]{1,128})"/g

export interface OpenTool {
  name: string
  input: Record<string, unknown>
  /** ISO 8601, by the client's clock. */
  at: string
}

export class OpenTools {
  #open = new BoundedMap<string, OpenTool>(CALLS)

  /** Those without a result, the oldest first. */
  get list(): OpenTool[] {
    return [...this.#open.values()]
  }

  /** Takes a line. Returns whether the list is another one now. */
  take(line: string): boolean {
    if (line.length > LINE_CHARS) return false
    if (line.includes('"tool_use"')) return this.#begin(line)
    if (this.#open.size === 0 || !line.includes('"tool_use_id"')) return false
    const ended = [...line.matchAll(RESULT)].filter(([, id]) => this.#open.delete(id!))
    return ended.length > 0
  }

  clear(): void {
    this.#open.clear()
  }

  #begin(line: string): boolean {
    const parsed = parse(line)
    if (parsed?.type !== 'assistant' || parsed.isSidechain) return false
    const calls = parsed.message.content.flatMap((block) => (block?.type === 'tool_use' ? [block] : []))
    for (const { id, name, input } of calls)
      if (id && name) this.#open.set(id, { name, input: input ?? {}, at: parsed.timestamp })
    return calls.length > 0
  }
}

function parse(line: string) {
  try {
    return toolLine.safeParse(JSON.parse(line)).data ?? null
  } catch {
    return null
  }
}
