/** Calls an operation of a sidecar over its socket. It knows the operations' types, nothing of what they do. */
import type { Op, Request, Response } from '../api/ops.schema.ts'
import { apiVersion } from '../api/version.ts'
import { MeshError } from '../errors.ts'
import { isRefusal, sandboxed } from '../host/sandbox.ts'
import { Broken, post, TimedOut } from './http.ts'
import { version } from './version.ts'

/** Beginning of the message of 0.1.0 sidecars about an operation that they lack; later ones state a `detail`. */
const NO_OPERATION = 'no such operation'
/** An operation that does not wait for anything answers within this time, large bodies included. */
const ANSWER_MS = 60_000

export interface CallOptions {
  signal?: AbortSignal
  /** Give up after this long. Default: a minute. 0: never. */
  timeoutMs?: number
}

/** No sidecar answered. `sent` tells whether the request may have been acted upon. */
export class Unreachable extends MeshError {
  readonly sent: boolean

  constructor(message: string, sent: boolean, cause?: unknown) {
    super('sidecar_down', message, { cause })
    this.sent = sent
  }
}

/** Calls `op` at `socket`. Throws `Unreachable`, `version_skew`, `timeout`, or the error that the sidecar answered. */
export async function call<O extends Op>(
  socket: string,
  op: O,
  body: Request<O>,
  options: CallOptions = {},
): Promise<Response<O>> {
  const { status, headers, text } = await exchange(socket, op, JSON.stringify(body), options)
  const theirs = { version: headers.get('mesh-version') ?? '?', api: Number(headers.get('mesh-api') ?? apiVersion) }
  if (theirs.api !== apiVersion) throw new Skew(theirs)
  const value = parse(text)
  if (status === 200) return value as Response<O>
  const error = (value as { error?: { message?: unknown; detail?: unknown } } | null)?.error
  const hasNoOperation = error?.detail === 'no_operation' || String(error?.message).startsWith(NO_OPERATION)
  if (hasNoOperation) throw new Skew(theirs, op)
  throw MeshError.fromBody(error ?? { message: `the sidecar answered ${status}` })
}

async function exchange(socket: string, op: Op, json: string, { signal, timeoutMs = ANSWER_MS }: CallOptions) {
  const headers = { 'mesh-version': version, 'mesh-api': String(apiVersion) }
  try {
    const answer = await post(socket, `/v0/${op}`, json, { signal, timeoutMs, headers })
    return { ...answer, text: answer.body.toString('utf8') }
  } catch (error) {
    if (error instanceof TimedOut) throw new MeshError('timeout', `the sidecar did not answer ${op} in ${timeoutMs} ms`)
    throw error instanceof Broken ? unreachable(error, op, socket) : error
  }
}

function unreachable(error: Broken, op: Op, socket: string): MeshError {
  if (error.cause instanceof MeshError) return error.cause
  const code = (error.cause as NodeJS.ErrnoException | undefined)?.code
  // The directory is our own.
  if (isRefusal(error.cause, socket))
    return sandboxed(process.env, `connecting to the session’s sidecar (${socket})`, error)
  if (code === 'EACCES') return new MeshError('denied', `the sidecar’s socket ${socket} is shut to you`)
  const what = error.sent ? `the sidecar went away during ${op}` : 'no sidecar serves this session'
  return new Unreachable(what, error.sent, error)
}

/** The sidecar is of another version, and cannot be talked to or cannot do what was asked. */
export class Skew extends MeshError {
  /** The sidecar may be replaced by one of this version. */
  readonly isOlder: boolean

  constructor(theirs: { version: string; api: number }, op?: Op) {
    const what = op ? `, which has no ${op}` : ''
    const isOlder = theirs.api < apiVersion || op !== undefined
    const hint = isOlder
      ? 'start the session anew; if that does not help, run mesh install first'
      : 'update this command: npm install -g sessionmesh, or git pull && npm ci in its clone'
    super('version_skew', `this command is mesh ${version}, the sidecar is mesh ${theirs.version}${what}`, { hint })
    this.isOlder = isOlder
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new MeshError('internal', 'the sidecar’s answer is not JSON', { cause })
  }
}
