/** Reads the output of `claude -p`: lines for people to read, and the result that it ends with. */
import { StringDecoder } from 'node:string_decoder'
import { visible } from '../../../core/render.ts'
import { type PrintEvent, type PrintResult, printEvent, printResult } from './print-event.schema.ts'

/** Limits a line, since the final message is on one. Longer text is passed on as it is. */
const LINE_CHARS = 8 * 1024 * 1024
/** Limits a tool call in the output, and its result. */
const CALL_CHARS = 300

export class PrintStream {
  result: PrintResult | null = null
  /** The conversation's id and where it began. */
  conversation: { sessionId: string; cwd: string } | null = null
  readonly #decoder = new StringDecoder('utf8')
  #parts: string[] = []
  #length = 0

  /**
   * Takes a piece of the client's output and returns the part that people read. Text that is no event of the client's
   * comes back as it is.
   */
  read(chunk: Buffer): string {
    const [first, ...rest] = this.#decoder.write(chunk).split('\n')
    this.#parts.push(first!)
    this.#length += first!.length
    let shown = ''
    for (const text of rest) {
      shown += this.#line(this.#take())
      this.#parts = [text]
      this.#length = text.length
    }
    return this.#length > LINE_CHARS ? shown + this.#take() : shown
  }

  /** Returns the rest, written without an end of line. */
  end(): string {
    const rest = this.#take()
    return rest === '' ? '' : this.#line(rest)
  }

  #take(): string {
    const text = this.#parts.join('')
    this.#parts = []
    this.#length = 0
    return text
  }

  #line(text: string): string {
    const value = parse(text)
    const event = printEvent.safeParse(value).data
    if (!event) return text === '' ? '' : `${text}\n`
    if (event.type === 'system' && event.subtype === 'init' && event.session_id !== undefined) {
      this.conversation ??= { sessionId: event.session_id, cwd: event.cwd ?? '' }
    }
    this.result = printResult.safeParse(value).data ?? this.result
    const lines = event.type === 'result' ? [] : linesOf(event)
    return lines.map((line) => `${visible(line)}\n`).join('')
  }
}

function parse(text: string): unknown {
  if (!text.startsWith('{')) return undefined
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Returns words of the model and its tool calls, without a subagent's. */
function linesOf({ message, parent_tool_use_id: above }: PrintEvent): string[] {
  if (!message || above || typeof message.content === 'string') return []
  return message.content.flatMap((block) => {
    if (block.type === 'text' && typeof block.text === 'string') return [block.text]
    if (block.type === 'tool_use') return [`> ${String(block.name)} ${short(block.input)}`]
    return block.type === 'tool_result' ? [`< ${short(textOf(block.content))}`] : []
  })
}

function textOf(content: unknown): unknown {
  if (!Array.isArray(content)) return content
  return content.map((part) => (typeof part?.text === 'string' ? part.text : `(${String(part?.type)})`)).join(' ')
}

function short(value: unknown): string {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? '')
  return text.length > CALL_CHARS ? `${text.slice(0, CALL_CHARS)}…` : text
}
