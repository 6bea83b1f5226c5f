/** `mesh down`: end the operators' sidecars, then the engine. Sessions keep theirs; what they send is queued. */

import { readdirSync } from 'node:fs'
import { basename, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { call } from '../../../client/client.ts'
import { checkStoppable, stopEngine } from '../../../engine/engine.ts'
import { type Home, socketPath } from '../../../host/home.ts'
import { forgetLock, lockOwner } from '../../../host/lock.ts'
import { isAbsent, isOfOtherSpace, processState } from '../../../host/process/process.ts'
import type { ProcessIdentity } from '../../../wire/envelope.schema.ts'
import type { Context } from '../../command.ts'

/** Limit of each step that ends a sidecar: a request, SIGTERM, SIGKILL. */
const STEP_MS = 3000
const POLL_MS = 20

export async function run({ home, out }: Context): Promise<undefined> {
  await checkStoppable(home)
  forgetLocks(home)
  // While the engine is up, so that the operators' ends are announced.
  const first = await stopOperators(home)
  const stopped = await stopEngine(home)
  // Those that a waiting command brought back before the mark was set.
  const sidecars = first + (await stopOperators(home))
  if (out.json) await out.value({ stopped, sidecars })
  else await out.line(stopped ? 'mesh is down' : 'mesh was not running')
}

async function stopOperators(home: Home): Promise<number> {
  const dirs = operatorDirs(home)
  const ended = await Promise.all(dirs.map(stopOperator))
  return ended.filter(Boolean).length
}

function operatorDirs(home: Home): string[] {
  return entries(home.run).filter((path) => basename(path).startsWith('op-'))
}

/** The way out after the machine got a new name: locks that no process of this machine has. */
function forgetLocks(home: Home): void {
  const names = entries(home.projects).flatMap((project) => entries(join(project, 'names')))
  const locks = [...entries(home.run), ...names, home.engine].map((dir) => join(dir, 'lock'))
  for (const lock of [...locks, join(home.run, 'witness.lock')]) {
    try {
      forgetLock(lock)
    } catch (error) {
      // Its directory may go meanwhile.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
  }
}

function entries(dir: string): string[] {
  try {
    return readdirSync(dir).map((name) => join(dir, name))
  } catch {
    return []
  }
}

/** True if one ran there. Who it is comes from its lock, so that no other process is ever signalled. */
async function stopOperator(dir: string): Promise<boolean> {
  const path = join(dir, 'lock')
  const owner = lockOwner(path)
  if (!owner) return false
  await call(socketPath(dir), 'stop', {}, { timeoutMs: STEP_MS }).catch(() => {})
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    if (await hasEnded(owner, path)) return true
    if (!sendSignal(owner, signal)) return isAbsent(owner)
  }
  await hasEnded(owner, path)
  return true
}

/** True if it was sent: only to who is certainly meant, for the pid of another host's process may be anybody's here. */
function sendSignal(owner: ProcessIdentity, signal: NodeJS.Signals): boolean {
  const state = processState(owner)
  if (state !== 'alive' && state !== 'paused') return false
  try {
    process.kill(owner.pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
  return true
}

/** One of another process space is not to be seen: its lock goes with it. */
async function hasEnded(owner: ProcessIdentity, path: string): Promise<boolean> {
  const deadline = performance.now() + STEP_MS
  while (isOfOtherSpace(owner) ? lockOwner(path) : !isAbsent(owner)) {
    if (performance.now() > deadline) return false
    await sleep(POLL_MS)
  }
  return true
}
