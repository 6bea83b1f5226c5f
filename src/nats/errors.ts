/** NATS errors → MeshError, in one function: nothing above this folder knows a NATS error class. */
import { JetStreamApiError } from '@nats-io/jetstream'
import { AuthorizationError, NoRespondersError, PermissionViolationError, RequestError, TimeoutError } from 'nats'
import { MeshError } from '../errors.ts'

/** `wrong last sequence`: a compare-and-set lost (nats-server errors.json). */
const WRONG_LAST_SEQUENCE = new Set([10071, 10164])
/** `insufficient resources`, `maximum messages exceeded`, `maximum bytes exceeded`, `no storage resources`, ... */
const STORE_FULL = new Set([10023, 10028, 10047, 10077, 10122, 10123])
const NOT_FOUND = new Set([10014, 10037, 10059])

/** True when a compare-and-set found another revision than expected. */
export function isConflict(error: unknown): boolean {
  return error instanceof JetStreamApiError && WRONG_LAST_SEQUENCE.has(error.code)
}

export function isNotFound(error: unknown): boolean {
  return error instanceof JetStreamApiError && NOT_FOUND.has(error.code)
}

/** The engine's message in mesh's terms; the original is kept as `cause`. */
export function toMeshError(error: unknown): MeshError {
  if (error instanceof MeshError) return error
  const message = error instanceof Error ? error.message : String(error)
  if (error instanceof JetStreamApiError) {
    if (WRONG_LAST_SEQUENCE.has(error.code)) return new MeshError('conflict', 'somebody was faster', { cause: error })
    if (STORE_FULL.has(error.code) || /insufficient|exceeded|no space/i.test(message)) {
      return new MeshError('store_full', `the engine's store is full: ${message}`, { cause: error })
    }
    if (NOT_FOUND.has(error.code)) return new MeshError('not_found', message, { cause: error })
  }
  if (error instanceof TimeoutError || (error instanceof Error && error.name === 'TimeoutError')) {
    return new MeshError('timeout', 'the engine did not answer in time', { cause: error })
  }
  if (error instanceof AuthorizationError || error instanceof PermissionViolationError) {
    return new MeshError('denied', `the engine refused: ${message}`, { cause: error })
  }
  if (/max_payload/i.test(message))
    return new MeshError('too_large', `the engine refused: ${message}`, { cause: error })
  if (/^(consumer|stream) (deleted|not found)/i.test(message))
    return new MeshError('not_found', message, { cause: error })
  const unreachable = error instanceof NoRespondersError || error instanceof RequestError
  if (unreachable || /no responders|not enabled|CLOSED|DRAINING|DISCONNECT|ECONN|connecti(on|ng)/i.test(message)) {
    return new MeshError('mesh_down', 'the engine cannot be reached', { cause: error })
  }
  return new MeshError('internal', message, { cause: error })
}
