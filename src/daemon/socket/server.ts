/**
 * Serves the local API as HTTP on a Unix socket that only its owner may open. Checks, parses, dispatches, maps errors.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { Marks } from '../../api/op.ts'
import { type Op, ops, type Parsed, type Response } from '../../api/ops.schema.ts'
import { apiVersion } from '../../api/version.ts'
import { MeshError } from '../../errors.ts'
import { connectPrivately, listenPrivately } from '../../host/listen.ts'
import type { Logger } from '../../host/log.ts'
import { parseJson } from '../../wire/codec.ts'
import { limits } from '../../wire/limits.ts'
import type { Answer, Call } from './call.ts'
import { faultOf } from './fault.ts'

const PATH_PREFIX = '/v0/'
const SMALL_REQUEST_BYTES = 64 * 1024

export interface ApiServer {
  /** Milliseconds since the last call ended; 0 while one is under way. */
  readonly idleMs: number
  close(): Promise<void>
}

/**
 * Listens on `path`, a socket of mode 0600 in a directory of mode 0700. Throws `name_taken` if another process listens
 * there.
 */
export async function serve(path: string, version: string, answerTo: Answer, log: Logger): Promise<ApiServer> {
  if (await isServed(path)) throw new MeshError('name_taken', 'another sidecar serves this session')
  let open = 0
  let lastCallAt = performance.now()
  const server = createServer((request, response) => {
    open++
    response.once('close', () => {
      open--
      lastCallAt = performance.now()
    })
    response.setHeader('mesh-version', version)
    response.setHeader('mesh-api', apiVersion)
    void answer(request, response, version, answerTo, log)
  })
  // A wait is a long poll of any length.
  server.requestTimeout = 0
  server.keepAliveTimeout = 1000
  await listenPrivately(server, path)
  return {
    get idleMs() {
      return open > 0 ? 0 : performance.now() - lastCallAt
    },
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** Returns whether a process listens on the socket. Sockets stay in the file system after their process. */
function isServed(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connectPrivately(path)
    probe.once('connect', () => {
      probe.destroy()
      resolve(true)
    })
    probe.once('error', () => resolve(false))
  })
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  version: string,
  answerTo: Answer,
  log: Logger,
): Promise<void> {
  const gone = new AbortController()
  response.once('close', () => gone.abort())
  const listeners: ((delivered: boolean) => void)[] = []
  const call: Call = { signal: gone.signal, onAnswered: (done) => listeners.push(done) }
  const settle = (delivered: boolean) => {
    for (const listener of listeners.splice(0)) afterAnswer(listener, delivered, log)
  }
  try {
    checkVersion(request, version)
    const op = opOf(request)
    const body = await readBody(request, marksOf(op).isLarge ? limits.requestBytes : SMALL_REQUEST_BYTES)
    const result = await dispatch(op, body, answerTo, call)
    settle(await reply(response, 200, result))
  } catch (error) {
    const known = MeshError.from(error)
    if (known.code === 'internal')
      log.error({ error: known.message, stack: known.stack, cause: String(known.cause) }, 'call failed')
    settle(false)
    await reply(response, known.http, { error: known.toBody() })
  }
}

/** Calls a listener after the answer. Its errors are logged only, since the caller has its answer. */
function afterAnswer(listener: (delivered: boolean) => void, delivered: boolean, log: Logger): void {
  try {
    listener(delivered)
  } catch (error) {
    log.error({ error: MeshError.from(error).toBody() }, 'not done after a call')
  }
}

/** Refuses a caller of another version before anything is done. A caller without a version (`curl`) is accepted. */
function checkVersion(request: IncomingMessage, version: string): void {
  const theirs = request.headers['mesh-api']
  if (theirs === undefined || theirs === String(apiVersion)) return
  throw new MeshError('version_skew', `this sidecar is mesh ${version} and does not understand the caller`)
}

function opOf(request: IncomingMessage): Op {
  // A page in a browser cannot open a Unix socket; a request through a proxy is refused too.
  if (request.headers.origin !== undefined) throw new MeshError('denied', 'this socket does not answer web pages')
  const path = request.url ?? ''
  const op = path.startsWith(PATH_PREFIX) ? path.slice(PATH_PREFIX.length) : ''
  if (request.method !== 'POST' || !Object.hasOwn(ops, op)) {
    const message = `no such operation: ${request.method} ${path.slice(0, 80)}`
    throw new MeshError('bad_request', message, { detail: 'no_operation' })
  }
  return op as Op
}

function marksOf(op: Op): Marks {
  return ops[op]
}

async function readBody(request: IncomingMessage, max: number): Promise<unknown> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > max) throw new MeshError('too_large', `the request is over ${max} bytes`)
    chunks.push(chunk)
  }
  const value = parseJson(Buffer.concat(chunks))
  if (value === undefined) throw new MeshError('bad_request', 'the request is not JSON')
  return value
}

async function dispatch<O extends Op>(op: O, body: unknown, answerTo: Answer, call: Call): Promise<Response<O>> {
  const parsed = ops[op].request.safeParse(body)
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!
    const code = issue.code === 'too_big' ? 'too_large' : 'bad_request'
    throw new MeshError(code, `${op}: ${issue.path.join('.') || 'request'}: ${faultOf(issue, body)}`)
  }
  return answerTo(op, parsed.data as Parsed<O>, call)
}

function reply(response: ServerResponse, status: number, value: unknown): Promise<boolean> {
  if (response.destroyed) return Promise.resolve(false)
  const bytes = Buffer.from(JSON.stringify(value))
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': bytes.length })
  return new Promise((resolve) => {
    response.once('close', () => resolve(response.writableFinished))
    response.end(bytes)
  })
}
