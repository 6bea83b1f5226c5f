/** Counts what of a model's requests is ours, and what the client puts around it. */
import type { ModelRequest } from './mock-model.ts'

/** As the benchmark counts: English prose and commands are about four characters per token. */
const CHARS_PER_TOKEN = 4
const START = /You are "[^"\n]*" on mesh,[\s\S]*?not your user's instruction\./g
const HANDOVER = /<(mesh-[0-9a-f]{8})>[\s\S]*?<\/\1>/g

/** The client puts all hooks' texts into one block with its own: each with a label, and a separator between them. */
const LABEL = /[A-Z]\w+ hook additional context: $/
const SEPARATOR = '\n\n'

export interface Piece {
  kind: 'start' | 'hand-over'
  text: string
  /** Characters that the client put around it: a label, or of a message from its socket the rest of the block. */
  wrapper: number
}

export interface Seen {
  pieces: Piece[]
  /** What is new and not ours, as the client put it. */
  rest: string
}

export const tokens = (chars: number) => Math.ceil(chars / CHARS_PER_TOKEN)

/** Follows one conversation, request by request. */
export class Counter {
  #known = new Map<string, number>()
  #messages = 0

  /** What this request holds that the one before did not; all of it after a compaction. */
  see(request: ModelRequest): Seen {
    if (request.messages.length < this.#messages) this.#known.clear()
    this.#messages = request.messages.length
    const now = new Map<string, number>()
    const fresh: string[] = []
    for (const { role, content } of request.messages) {
      if (role === 'assistant') continue
      for (const block of blocksOf(content)) {
        const count = (now.get(block) ?? 0) + 1
        now.set(block, count)
        if (count > (this.#known.get(block) ?? 0)) fresh.push(block)
      }
    }
    this.#known = now
    const seen = fresh.map(piecesOf)
    return { pieces: seen.flatMap(({ pieces }) => pieces), rest: seen.map(({ rest }) => rest).join('\n') }
  }
}

function blocksOf(content: unknown): string[] {
  if (typeof content === 'string') return [content]
  if (!Array.isArray(content)) return []
  return (content as { text?: string; content?: unknown }[]).flatMap((block) => block.text ?? blocksOf(block.content))
}

function piecesOf(block: string): Seen {
  const find = (kind: Piece['kind'], pattern: RegExp) =>
    [...block.matchAll(pattern)].map(({ 0: text, index }) => ({ kind, text, before: block.slice(0, index) }))
  const found = [...find('start', START), ...find('hand-over', HANDOVER)]
  const ours = found.reduce((sum, { text }) => sum + text.length, 0)
  const pieces = found.map(({ kind, text, before }, i) => {
    const label = LABEL.exec(before)?.[0].length
    const others = i === 0 ? block.length - ours : 0
    return { kind, text, wrapper: label === undefined ? others : label + SEPARATOR.length }
  })
  return { pieces, rest: block.replaceAll(START, '').replaceAll(HANDOVER, '') }
}
