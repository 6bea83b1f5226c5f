/** A sidecar to call, brought back when it is away: an operator's is started, a session's restarts by itself. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { OnceOp, Op, Request, Response } from '../api/ops.schema.ts'
import type { Env, Home } from '../host/home.ts'
import { shutOff } from '../host/sandbox.ts'
import { type CallOptions, call, Skew, Unreachable } from './client.ts'
import { readRecord, type Target } from './find.ts'

/** Number of sidecars that one call may outlive. */
const REVIVALS = 5
const STOP_MS = 3000
const BACKOFF_MS = 100
/** One that is busy, stopped or without its engine lends nothing. */
const LENT_MS = 1000

/** The operations table marks these; importing the table would cost each command 20 ms. */
const once: Readonly<Record<OnceOp, true>> = { rename: true, forget: true, stop: true }

export interface Context {
  env: Env
  home: Home
  /** Called before an operator's sidecar is started; throws if it must not be. */
  beforeStart?(): Promise<void>
  /** Another one that runs already, for a call that every sidecar of the project answers alike. Used if it answers soon. */
  lent?: Target | undefined
  /** Answers a listing where there is nothing to list, instead of an operator's sidecar that would be started for it. */
  nothing?(op: Op, body: object): Response<Op> | undefined
  /** Brings a session's sidecar back. Default: the loop around it does; that is waited for. */
  revive?(): Promise<void>
}

export class Sidecar {
  target: Target
  readonly #context: Context
  #replaced = false
  #isTried = false

  constructor(target: Target, context: Context) {
    this.target = target
    this.#context = context
  }

  /** Calls an operation. What may be repeated is repeated when the sidecar went away meanwhile. */
  async call<O extends Op>(op: O, body: Request<O>, options: CallOptions = {}): Promise<Response<O>> {
    const { lent } = this.#context
    if (lent && this.target !== lent && !this.#isTried) {
      this.#isTried = true
      const answer = await call(lent.socket, 'health', {}, { timeoutMs: LENT_MS }).catch(() => null)
      if (answer?.connected) this.target = lent
    }
    const startedAt = performance.now()
    for (let attempt = 0; ; attempt++) {
      try {
        return await call(this.target.socket, op, remaining(body, performance.now() - startedAt), options)
      } catch (error) {
        const none = await this.#nothing(error, op, body)
        if (none !== undefined) return none
        if (attempt >= REVIVALS || !(await this.#recover(error, op, options.signal))) throw error
        // One that is ending may still accept a connection.
        if (attempt > 0) await sleep(attempt * BACKOFF_MS)
      }
    }
  }

  /** An operator's sidecar is found by its name: after a rename the one of the new name takes the former one's place. */
  async follow(name: string): Promise<void> {
    const { operator, socket } = this.target
    if (!operator) return
    const { awaitSilence } = await import('./spawn.ts')
    const { operatorTarget } = await import('./find.ts')
    // As long as it is there its name is taken.
    if (!(await awaitSilence(socket, STOP_MS))) return
    await new Sidecar(operatorTarget(this.#context.home, { ...operator, name }), this.#context).call('whoami', {})
  }

  async #nothing<O extends Op>(error: unknown, op: O, body: Request<O>): Promise<Response<O> | undefined> {
    const { env, home, beforeStart, nothing } = this.#context
    const none = error instanceof Unreachable && !error.sent ? nothing?.(op, body) : undefined
    if (none === undefined || (await shutOff(env, home.root))) return undefined
    // A mesh that is down, or cannot be fetched, is said to be.
    await beforeStart?.()
    return none as Response<O>
  }

  /** True if the call may be made again. */
  async #recover(error: unknown, op: Op, signal?: AbortSignal): Promise<boolean> {
    signal?.throwIfAborted()
    if (error instanceof Unreachable) {
      if (error.sent && Object.hasOwn(once, op)) return false
      await this.#revive()
      return true
    }
    // It refused before it did anything.
    return error instanceof Skew && error.isOlder && (await this.#replace())
  }

  /**
   * An older sidecar makes way for one of this version; false if that is not ours to do. A session's comes back by its
   * hook's loop, from the path that it was started from: of this version only if that is this program's own, where an
   * upgrade replaced the file.
   */
  async #replace(): Promise<boolean> {
    if (this.#replaced) return false
    this.#replaced = true
    const { sidecarPath } = await import('./spawn.ts')
    const { dir, operator } = this.target
    const record = readRecord(dir)
    if (!record?.sidecar || !(operator || record.program === sidecarPath)) return false
    const { endProcess, sendSignal } = await import('../host/process/process.ts')
    // A signal to end would end the session of `-p`: its sidecar takes it for the client's.
    return operator ? endProcess(record.sidecar, STOP_MS) : sendSignal(record.sidecar, 'SIGKILL')
  }

  async #revive(): Promise<void> {
    const { operator } = this.target
    const { startOperator, awaitRestart } = await import('./spawn.ts')
    const { env, home } = this.#context
    const shut = await shutOff(env, home.root)
    if (shut) throw shut
    if (operator) {
      await this.#context.beforeStart?.()
      await startOperator({ ...this.target, operator }, env, home)
    } else if (this.#context.revive) {
      await this.#context.revive()
    } else {
      await awaitRestart(this.target, home)
    }
  }
}

/** Returns the same request with the rest of its time. */
function remaining<B extends object>(body: B, elapsedMs: number): B {
  if (!('timeoutMs' in body) || typeof body.timeoutMs !== 'number') return body
  return { ...body, timeoutMs: Math.max(0, Math.round(body.timeoutMs - elapsedMs)) }
}
