/** A sidecar to call, brought back when it is away: an operator's is started, a session's restarts by itself. */
import type { Op, Request, Response } from '../api/ops.schema.ts'
import { MeshError } from '../errors.ts'
import type { Env, Home } from '../host/home.ts'
import { type CallOptions, call, skew, Unreachable } from './client.ts'
import type { Target } from './find.ts'
import { compatible, version as ownVersion } from './version.ts'

/** How often one call outlives its sidecar. */
const REVIVALS = 5
/** The loop around a session's sidecar starts it again within a second or two. */
const SESSION_RESTART_MS = 3000
const STOP_MS = 3000
const BACKOFF_MS = 100

/** A second execution would answer differently, so that only a request that never left is repeated. */
const ONCE: ReadonlySet<Op> = new Set<Op>(['rename', 'forget', 'stop'])

export interface Context {
  env: Env
  home: Home
  /** Called before an operator's sidecar is started; throws if it must not be. */
  beforeStart?(): Promise<void>
  /** Brings a session's sidecar back. Default: the loop around it does; that is waited for. */
  revive?(): Promise<void>
}

export class Sidecar {
  readonly target: Target
  readonly #context: Context

  constructor(target: Target, context: Context) {
    this.target = target
    this.#context = context
  }

  /** Calls an operation. What may be repeated is repeated when the sidecar went away meanwhile. */
  async call<O extends Op>(op: O, body: Request<O>, options: CallOptions = {}): Promise<Response<O>> {
    const { version } = this.target
    if (version !== undefined && !compatible(version, ownVersion)) throw skew(version)
    const startedAt = performance.now()
    for (let attempt = 0; ; attempt++) {
      try {
        return await call(this.target.socket, op, remaining(body, performance.now() - startedAt), options)
      } catch (error) {
        if (attempt >= REVIVALS || !(await this.#recover(error, op, options.signal))) throw error
        // One that is ending may still accept a connection.
        if (attempt > 0) await new Promise((resolve) => setTimeout(resolve, attempt * BACKOFF_MS))
      }
    }
  }

  /** True if the call may be made again. */
  async #recover(error: unknown, op: Op, signal?: AbortSignal): Promise<boolean> {
    signal?.throwIfAborted()
    if (error instanceof Unreachable) {
      if (error.sent && ONCE.has(op)) return false
      await this.#revive()
      return true
    }
    if (!(error instanceof MeshError) || error.code !== 'version_skew' || !this.target.operator) return false
    await this.#replace()
    return !ONCE.has(op)
  }

  /** An operator's sidecar of another version makes way for one of this version. */
  async #replace(): Promise<void> {
    const { awaitSilence } = await import('./spawn.ts')
    await call(this.target.socket, 'stop', {}, { timeoutMs: STOP_MS }).catch(() => {})
    await awaitSilence(this.target.socket, STOP_MS)
  }

  async #revive(): Promise<void> {
    const { operator, socket } = this.target
    const { startOperator, awaitSocket } = await import('./spawn.ts')
    if (operator) {
      await this.#context.beforeStart?.()
      await startOperator({ ...this.target, operator }, this.#context.env, this.#context.home)
    } else if (this.#context.revive) {
      await this.#context.revive()
    } else if (!(await awaitSocket(socket, SESSION_RESTART_MS))) {
      throw new MeshError('sidecar_down', 'this session’s sidecar is down and did not come back')
    }
  }
}

/** The same request with what is left of its time. */
function remaining<B extends object>(body: B, elapsedMs: number): B {
  if (!('timeoutMs' in body) || typeof body.timeoutMs !== 'number') return body
  return { ...body, timeoutMs: Math.max(0, Math.round(body.timeoutMs - elapsedMs)) }
}
