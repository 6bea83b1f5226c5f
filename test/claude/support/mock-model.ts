/**
 * A scripted stand-in for the Messages API on 127.0.0.1: the real client asks it what the model says. It keeps every
 * request, since what reached the model is what the suite's assertions rest on.
 *
 * A prompt that holds `play NAME` starts script NAME. How many answers the conversation holds since that prompt tells
 * the step, so that parallel and resumed conversations need no state here.
 */
import { randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** What was written before a connection is cut gets there first. */
const CUT_MS = 50

export interface ToolCall {
  name: string
  input: Record<string, unknown>
}

/** What the model answers: words, tool calls, or an API error. */
export interface Reply {
  say?: string
  call?: ToolCall[]
  /** HTTP status of an API error. */
  fail?: number
  /** Why the response ended, instead of the natural reason; null: the stream does not say. */
  stop?: string | null
  /** The connection is cut before the response's end. */
  cut?: boolean
  /** With a number near its context window the client compacts by itself. */
  inputTokens?: number
}

/** A step may wait: the answer is sent when the function is done. */
export type Step = Reply | ((request: ModelRequest) => Reply | Promise<Reply>)

interface Block {
  type: string
  text?: string
  content?: unknown
}

interface Message {
  role: string
  content: string | Block[]
}

export interface ModelRequest {
  n: number
  /** When it arrived, `Date.now()`. */
  at: number
  sessionId: string
  /** Set inside a subagent. */
  agentId: string | undefined
  /** Titles, summaries and the like: no tools are offered. */
  auxiliary: boolean
  messages: Message[]
  /** All that the model reads in this request, system prompt included. */
  text: string
  /** What came after the model's last answer. */
  fresh: string
}

export interface Model {
  readonly url: string
  readonly requests: readonly ModelRequest[]
  script(name: string, steps: Step[]): void
  /** Requests of the main conversation whose text holds `needle`. */
  saw(needle: string): ModelRequest[]
  close(): Promise<void>
}

/** A Bash tool call. */
export function bash(command: string): ToolCall {
  return { name: 'Bash', input: { command, description: 'a test step' } }
}

export async function startModel(): Promise<Model> {
  const scripts = new Map<string, Step[]>()
  const requests: ModelRequest[] = []
  const server = createServer((incoming, response) => {
    serve(incoming, response).catch(() => response.destroy())
  })

  async function serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const at = Date.now()
    const path = (incoming.url ?? '').split('?')[0]
    const body = await readBody(incoming)
    if (incoming.method !== 'POST' || path !== '/v1/messages') return answerOther(path, response)
    const request = toRequest(requests.length + 1, at, incoming, body)
    requests.push(request)
    const step = chooseStep(scripts, request)
    const reply = typeof step === 'function' ? await step(request) : step
    if (reply.fail) return sendJson(response, reply.fail, apiError('api_error', 'scripted error'))
    const message = toMessage(reply, String(body.model))
    if (reply.cut) cutStream(response, message)
    else if (body.stream === true) stream(response, message)
    else sendJson(response, 200, message)
  }

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    script: (name, steps) => void scripts.set(name, steps),
    saw: (needle) => requests.filter((request) => !request.auxiliary && request.text.includes(needle)),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

async function readBody(incoming: IncomingMessage): Promise<Record<string, unknown>> {
  const chunks: Buffer[] = []
  for await (const chunk of incoming) chunks.push(chunk as Buffer)
  try {
    return JSON.parse(Buffer.concat(chunks).toString()) as Record<string, unknown>
  } catch {
    return {}
  }
}

function toRequest(n: number, at: number, incoming: IncomingMessage, body: Record<string, unknown>): ModelRequest {
  const messages = (body.messages ?? []) as Message[]
  const tools = body.tools as unknown[] | undefined
  const lastAnswer = messages.findLastIndex((message) => message.role === 'assistant')
  return {
    n,
    at,
    sessionId: String(incoming.headers['x-claude-code-session-id'] ?? ''),
    agentId: incoming.headers['x-claude-code-agent-id'] as string | undefined,
    auxiliary: !tools?.length,
    messages,
    text: [textOf(body.system), ...messages.map((message) => textOf(message.content))].join('\n'),
    fresh: messages
      .slice(lastAnswer + 1)
      .map((message) => textOf(message.content))
      .join('\n'),
  }
}

function textOf(content: unknown): string {
  if (typeof content === 'string') return content
  if (!Array.isArray(content)) return ''
  return (content as Block[]).map((block) => block.text ?? textOf(block.content)).join('\n')
}

function chooseStep(scripts: Map<string, Step[]>, request: ModelRequest): Step {
  const otherwise = { say: 'noted' }
  if (request.auxiliary) return otherwise
  for (let i = request.messages.length - 1; i >= 0; i--) {
    const message = request.messages[i]!
    if (message.role !== 'user') continue
    const prompt = Array.isArray(message.content)
      ? message.content.filter((block) => block.type === 'text')
      : message.content
    // After an API error the client sends the prompts before and after it in one message.
    const name = [...textOf(prompt).matchAll(/\bplay ([a-z0-9-]+)/g)].at(-1)?.[1]
    const steps = name === undefined ? undefined : scripts.get(name)
    if (!steps) continue
    const answers = request.messages.slice(i + 1).filter(({ role }) => role === 'assistant').length
    return steps[answers] ?? otherwise
  }
  return otherwise
}

function answerOther(path: string | undefined, response: ServerResponse): void {
  if (path === '/v1/messages/count_tokens') sendJson(response, 200, { input_tokens: 100 })
  else if (path === '/v1/models') sendJson(response, 200, { data: [], has_more: false })
  else sendJson(response, 404, apiError('not_found_error', 'not scripted'))
}

function apiError(type: string, message: string) {
  return { type: 'error', error: { type, message } }
}

function toMessage(reply: Reply, model: string) {
  const calls = (reply.call ?? []).map(({ name, input }) => ({ type: 'tool_use', id: newId('toolu'), name, input }))
  const words = reply.say === undefined && calls.length > 0 ? [] : [{ type: 'text', text: reply.say ?? 'noted' }]
  return {
    id: newId('msg'),
    type: 'message',
    role: 'assistant',
    model,
    content: [...words, ...calls],
    stop_reason: reply.stop !== undefined ? reply.stop : calls.length > 0 ? 'tool_use' : 'end_turn',
    stop_sequence: null,
    usage: {
      input_tokens: reply.inputTokens ?? 100,
      output_tokens: 10,
      cache_read_input_tokens: 0,
      cache_creation_input_tokens: 0,
    },
  }
}

function newId(prefix: string): string {
  return `${prefix}_${randomBytes(12).toString('hex')}`
}

/** The events of https://docs.anthropic.com/en/api/messages-streaming for a finished message. */
function stream(response: ServerResponse, message: ReturnType<typeof toMessage>): void {
  streamContent(response, message)
  const send = sender(response)
  send('message_delta', { delta: { stop_reason: message.stop_reason, stop_sequence: null }, usage: message.usage })
  send('message_stop', {})
  response.end()
}

function cutStream(response: ServerResponse, message: ReturnType<typeof toMessage>): void {
  streamContent(response, message)
  setTimeout(() => response.destroy(), CUT_MS)
}

function sender(response: ServerResponse) {
  return (type: string, fields: object) =>
    response.write(`event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`)
}

function streamContent(response: ServerResponse, message: ReturnType<typeof toMessage>): void {
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  const send = sender(response)
  send('message_start', { message: { ...message, content: [], stop_reason: null } })
  for (const [index, block] of message.content.entries()) {
    const [start, delta] =
      'input' in block
        ? [
            { ...block, input: {} },
            { type: 'input_json_delta', partial_json: JSON.stringify(block.input) },
          ]
        : [
            { type: 'text', text: '' },
            { type: 'text_delta', text: block.text },
          ]
    send('content_block_start', { index, content_block: start })
    send('content_block_delta', { index, delta })
    send('content_block_stop', { index })
  }
}

function sendJson(response: ServerResponse, status: number, value: object): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value))
}
