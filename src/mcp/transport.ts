/** Standard input and output, with what is to be done once an answer has left, and when the client is gone. */
import { StdioServerTransport } from '@modelcontextprotocol/server/stdio'

type Outgoing = Parameters<StdioServerTransport['send']>[0]
type RequestId = string | number

/** A message's text of 8 MiB fits, with most of its JSON escapes. A longer line ends the connection. */
const LINE_BYTES = 20 * 1024 * 1024

export class Transport extends StdioServerTransport {
  readonly #afterAnswer = new Map<RequestId, () => void>()
  #resolveEnded = () => {}
  /** Resolves when the client has closed our standard input, or can no longer be written to. */
  readonly ended = new Promise<void>((resolve) => {
    this.#resolveEnded = resolve
  })

  constructor() {
    super(process.stdin, process.stdout, { maxBufferSize: LINE_BYTES })
  }

  /** Calls `act` once the answer to this request is written. Not called when the request was cancelled. */
  afterAnswer(id: RequestId, act: () => void): void {
    this.#afterAnswer.set(id, act)
  }

  /** The request was cancelled: there will be no answer. */
  noAnswer(id: RequestId): void {
    this.#afterAnswer.delete(id)
  }

  override async send(message: Outgoing): Promise<void> {
    await super.send(message)
    if ('method' in message || message.id === undefined) return
    const act = this.#afterAnswer.get(message.id)
    this.#afterAnswer.delete(message.id)
    if ('result' in message) act?.()
  }

  override async close(): Promise<void> {
    await super.close()
    this.#resolveEnded()
  }
}
