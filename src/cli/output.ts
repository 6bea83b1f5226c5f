/** Prints a command's results: plain lines for people, or JSON. Everything else goes to standard error. */
import { MeshError } from '../errors.ts'

export interface Output {
  readonly json: boolean
  /** Prints a line; resolves once the reader's end has it. */
  line(text: string): Promise<void>
  /** Prints one JSON value on one line. */
  value(value: unknown): Promise<void>
  /** Says something to the person at the terminal, on standard error. */
  note(text: string): void
}

export function createOutput(json: boolean): Output {
  return {
    json,
    line: (text) => write(`${text}\n`),
    value: (value) => write(`${JSON.stringify(value)}\n`),
    note: (text) => void process.stderr.write(`mesh: ${oneLine(text)}\n`),
  }
}

function write(text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    // A reader that went away is reported twice; once is enough.
    if (process.stdout.listenerCount('error') === 0) process.stdout.on('error', () => {})
    process.stdout.write(text, (error) => (error ? reject(outputError(error)) : resolve()))
  })
}

/** Points an error that has no hint of its own to the command's help. */
export function withHelpOf(command: string, error: unknown): unknown {
  if (!(error instanceof MeshError) || error.code !== 'bad_request') return error
  if (error.hint !== new MeshError('bad_request', '').hint) return error
  return new MeshError('bad_request', error.message, { cause: error.cause, hint: `see: mesh ${command} --help` })
}

/** A full disk behind `> FILE` is no bug of ours. What was not shown counts as unread. */
function outputError(error: NodeJS.ErrnoException): Error {
  if (error.code === 'EPIPE') return error
  const message = `standard output cannot be written (${error.code})`
  return new MeshError('store_full', message, { cause: error, hint: 'what was asked for may be done already' })
}

/** Reports an error and returns the exit code. A reader that went away (`| head`) is no error of ours. */
export function fail(thrown: unknown, json: boolean): number {
  if ((thrown as NodeJS.ErrnoException | null)?.code === 'EPIPE') return 0
  const error = MeshError.from(thrown)
  const body = error.toBody()
  const text = json ? JSON.stringify({ error: body }) : `mesh: ${oneLine(`${body.message} (${body.hint})`)}`
  process.stderr.write(`${text}\n`)
  if (process.env.MESH_DEBUG) process.stderr.write(`${error.stack}\n${String((error.cause as Error)?.stack ?? '')}\n`)
  return error.exit
}

/** An error or a note is one line, whatever a file or a peer put into it. */
function oneLine(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]+/g, ' ')
}
