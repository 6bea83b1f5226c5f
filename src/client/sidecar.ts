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

/** A second execution would answer differently, so that only a request that never left is repeated. */
const ONCE: ReadonlySet<Op> = new Set<Op>(['rename', 'forget', 'stop'])

export interface Context {
  env: Env
  home: Home
  /** Called before an operator's sidecar is started; throws if it must not be. */
  beforeStart(): Promise<void>
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
    await this.#settleVersion()
    const startedAt = performance.now()
    for (let revivals = 0; ; revivals++) {
      try {
        return await call(this.target.socket, op, remaining(body, performance.now() - startedAt), options)
      } catch (error) {
        const again = error instanceof Unreachable && revivals < REVIVALS && !(error.sent && ONCE.has(op))
        if (!again) throw error
        await this.#revive(options.signal)
      }
    }
  }

  /** Before anything is asked of it: an operator's sidecar of another version is replaced, a session's is refused. */
  async #settleVersion(): Promise<void> {
    const { version, operator, socket } = this.target
    if (version === undefined || compatible(version, ownVersion)) return
    this.target.version = undefined
    if (!operator) throw skew(version)
    await call(socket, 'stop', {}, { timeoutMs: STOP_MS }).catch(() => {})
    const { awaitSilence } = await import('./spawn.ts')
    await awaitSilence(socket, STOP_MS)
  }

  async #revive(signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted()
    const { operator, socket } = this.target
    const { startOperator, awaitSocket } = await import('./spawn.ts')
    if (operator) {
      await this.#context.beforeStart()
      await startOperator({ ...this.target, operator }, this.#context.env, this.#context.home)
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
