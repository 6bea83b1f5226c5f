/**
 * Asks sidecars that run already. For what has to be quick and must change nothing: neither a sidecar nor the engine is
 * started, and what does not answer in time is left out.
 */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Op, Request, Response } from '../api/ops.schema.ts'
import { call } from '../client/client.ts'
import { readRecord, type Target } from '../client/find.ts'
import { type Home, socketPath } from '../host/home.ts'

/** Asks one sidecar; null when it does not answer. */
export type Ask = <O extends Op>(op: O, body: Request<O>) => Promise<Response<O> | null>

/**
 * Returns a way to ask the session's own sidecar or, if that does not run, another one of the project on this machine;
 * null when none answers within `timeoutMs`.
 */
export async function findLiving(home: Home, target: Target, timeoutMs: number): Promise<Ask | null> {
  const deadline = performance.now() + timeoutMs
  const own = target.socket
  const others = socketsOf(home, projectOf(target)).filter((socket) => socket !== own)
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

function socketsOf(home: Home, project: string): string[] {
  return entries(home.run)
    .map((name) => join(home.run, name))
    .filter((dir) => {
      const record = readRecord(dir)
      return record?.project === project && isThere(record.sidecar?.pid ?? 0)
    })
    .map(socketPath)
}

function entries(dir: string): string[] {
  try {
    return readdirSync(dir)
  } catch {
    return []
  }
}

function isThere(pid: number): boolean {
  try {
    return pid > 0 && process.kill(pid, 0)
  } catch {
    return false
  }
}
