/** `mesh down`: end the operators' sidecars, then the engine. Sessions keep theirs; what they send is queued. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { call } from '../../client/client.ts'
import { stopEngine } from '../../engine/engine.ts'
import { type Home, socketPath } from '../../host/home.ts'
import { lockOwner } from '../../host/lock.ts'
import { processState } from '../../host/process.ts'
import type { ProcessIdentity } from '../../wire/envelope.schema.ts'
import type { Context } from '../context.ts'

/** How long a sidecar may take for each step: asked, then told by SIGTERM, then killed. */
const STEP_MS = 3000
const POLL_MS = 20

export async function run({ home, out }: Context): Promise<undefined> {
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
  try {
    const names = readdirSync(home.run)
    return names.filter((name) => name.startsWith('op-')).map((name) => join(home.run, name))
  } catch {
    return []
  }
}

/** True if one ran there. Who it is comes from its lock, so that no other process is ever signalled. */
async function stopOperator(dir: string): Promise<boolean> {
  const owner = lockOwner(join(dir, 'lock'))
  if (!owner) return false
  await call(socketPath(dir), 'stop', {}, { timeoutMs: STEP_MS }).catch(() => {})
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    if (await hasEnded(owner)) return true
    process.kill(owner.pid, signal)
  }
  await hasEnded(owner)
  return true
}

async function hasEnded(owner: ProcessIdentity): Promise<boolean> {
  const deadline = performance.now() + STEP_MS
  while (processState(owner) !== 'dead') {
    if (performance.now() > deadline) return false
    await new Promise((resolve) => setTimeout(resolve, POLL_MS))
  }
  return true
}
