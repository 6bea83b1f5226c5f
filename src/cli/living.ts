/**
 * Asks sidecars that run already. For what has to be quick and must change nothing: neither a sidecar nor the engine is
 * started, and what does not answer in time is left out.
 */
import type { Op, Request, Response } from '../api/ops.schema.ts'
import { call } from '../client/client.ts'
import type { Target } from '../client/find.ts'
import { livingTargets } from '../client/living.ts'
import type { Home } from '../host/home.ts'

/** Asks one sidecar; null when it does not answer. */
export type Ask = <O extends Op>(op: O, body: Request<O>) => Promise<Response<O> | null>

/**
 * Returns a way to ask the session's own sidecar or, if that does not run, another one of the project on this machine;
 * null when none answers within `timeoutMs`.
 */
export async function findLiving(home: Home, target: Target, timeoutMs: number): Promise<Ask | null> {
  const deadline = performance.now() + timeoutMs
  const own = target.socket
  const others = livingTargets(home, projectOf(target)).flatMap(({ socket }) => (socket === own ? [] : socket))
  for (const socket of [own, ...others]) {
    const leftMs = deadline - performance.now()
    if (leftMs < 1) return null
    const ask: Ask = (op, body) => call(socket, op, body, { timeoutMs: leftMs }).catch(() => null)
    if (await ask('whoami', {})) return ask
  }
  return null
}

/** The project that a target is in. */
export function projectOf({ operator, project }: Target): string {
  return operator?.project ?? project ?? ''
}
