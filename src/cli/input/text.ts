/** The text of a message: words after `--`, or standard input. Bounded while it is read; strictly UTF-8. */
import { readFileSync } from 'node:fs'
import { MeshError } from '../../errors.ts'
import { limits } from '../../wire/limits.ts'

/** Reads standard input to its end. Throws `too_large` as soon as the limit is passed, `bad_request` for other than UTF-8. */
export async function readInput(input: NodeJS.ReadableStream): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of input as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > limits.bodyBytes) throw tooLarge('standard input')
    chunks.push(chunk)
  }
  return decode(Buffer.concat(chunks), 'standard input')
}

/** Joins the words of a command line. */
export function joinWords(words: readonly string[]): string {
  const text = words.join(' ')
  if (Buffer.byteLength(text) > limits.bodyBytes) throw tooLarge('the text')
  if (text.includes('\ufffd')) checkArguments()
  return text
}

function decode(bytes: Buffer, what: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch (cause) {
    throw new MeshError('bad_request', `${what} is not valid UTF-8`, {
      cause,
      hint: 'send text; put other data in a file and send its path',
    })
  }
}

/** Node reads bad bytes in an argument as U+FFFD. Where the system shows the bytes, a real one passes. */
function checkArguments(): void {
  let raw: Buffer
  try {
    raw = readFileSync('/proc/self/cmdline')
  } catch {
    return
  }
  decode(raw, 'the text')
}

function tooLarge(what: string): MeshError {
  return new MeshError('too_large', `${what} is larger than ${limits.bodyBytes} bytes`, {
    hint: 'put it into a file and send its path',
  })
}
