/** Calls an operation of a sidecar over its socket. It knows the operations' types, nothing of what they do. */
import { dirname } from 'node:path'
import type { Op, Request, Response } from '../api/ops.schema.ts'
import { MeshError } from '../errors.ts'
import { checkOwnDir } from '../host/files.ts'
import { Broken, post, TimedOut } from './http.ts'
import { compatible, version } from './version.ts'

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
  const theirs = headers.get('mesh-version')
  if (theirs !== undefined && !compatible(theirs, version)) throw skew(theirs)
  const value = parse(text)
  if (status === 200) return value as Response<O>
  throw MeshError.fromBody((value as { error?: object } | null)?.error ?? { message: `the sidecar answered ${status}` })
}

async function exchange(socket: string, op: Op, json: string, { signal, timeoutMs = ANSWER_MS }: CallOptions) {
  // Also a path that all users can make, when the mesh home's is too long for a socket.
  checkOwnDir(dirname(socket))
  try {
    const answer = await post(socket, `/v0/${op}`, json, { signal, timeoutMs, headers: { 'mesh-version': version } })
    return { ...answer, text: answer.body.toString('utf8') }
  } catch (error) {
    if (error instanceof TimedOut) throw new MeshError('timeout', `the sidecar did not answer ${op} in ${timeoutMs} ms`)
    throw error instanceof Broken ? unreachable(error, op) : error
  }
}

function unreachable(error: Broken, op: Op): MeshError {
  const code = (error.cause as NodeJS.ErrnoException | undefined)?.code
  if (code === 'EACCES' || code === 'EPERM')
    return new MeshError('denied', 'the sidecar’s socket belongs to another user')
  const what = error.sent ? `the sidecar went away during ${op}` : 'no sidecar serves this session'
  return new Unreachable(what, error.sent, error)
}

/** The error for a sidecar of version `theirs`. */
export function skew(theirs: string): MeshError {
  return new MeshError('version_skew', `this command is mesh ${version}, the sidecar is mesh ${theirs}`)
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new MeshError('internal', 'the sidecar’s answer is not JSON', { cause })
  }
}
