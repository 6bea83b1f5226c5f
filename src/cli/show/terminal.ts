/** Makes a run's output fit for a terminal. Pure. */
import { StringDecoder } from 'node:string_decoder'
import { visible } from '../../core/render.ts'

/** Colours and weights (SGR, ECMA-48 8.3.117): they move nothing and answer nothing. */
const COLOUR = /(\x1b\[[\d;:]*m)/
/** Matches a sequence at the end that the next part may complete. */
const BEGUN = /(?:\x1b(?:\[[\d;:]{0,64})?|\r)$/

/**
 * Bytes as they come, as text that keeps its colours and can do nothing else to a terminal: no title, no clipboard, no
 * cursor. A carriage return, which would hide what is before it, is a new line.
 */
export class ForTerminal {
  readonly #decoder = new StringDecoder('utf8')
  #left = ''

  next(part: Uint8Array): string {
    const text = this.#left + this.#decoder.write(Buffer.from(part))
    const end = text.search(BEGUN)
    this.#left = end < 0 ? '' : text.slice(end)
    return show(end < 0 ? text : text.slice(0, end))
  }

  /** Returns the rest, and the terminal's own colours again. */
  end(): string {
    return `${show(this.#left + this.#decoder.end())}\x1b[0m`
  }
}

function show(text: string): string {
  const pieces = text.split(COLOUR)
  return pieces.map((piece, i) => (i % 2 === 1 ? piece : visible(piece.replace(/\r\n?/g, '\n')))).join('')
}
