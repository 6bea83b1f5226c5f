/**
 * Judges the recorded engine from where this process is: it may live in a process space that is not to be seen from here,
 * behind a port that is not to be reached from here. Only of one that is over another may be started.
 */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { MeshError } from '../errors.ts'
import { isHeld } from '../host/hold.ts'
import type { Home } from '../host/home.ts'
import { foreignOwner, SPACE_HINT } from '../host/lock.ts'
import { bootId, hostName, isOfOtherSpace, processState } from '../host/process/process.ts'
import { beatsElsewhere } from './beat.ts'
import { knownEngineUser, nameOf } from './nkey.ts'
import { serves } from './port.ts'
import { dataDir, type EngineRecord, isStopped, storeLock } from './record.ts'

/**
 * `runs`: its process lives. `serves`: its process cannot be seen, but it answers. `held`: another process space has the
 * store, or will have it again: its sessions start their engine anew. `unsure`: nobody here can say. `over`: it has ended.
 */
export type Standing = 'runs' | 'serves' | 'held' | 'unsure' | 'over'

export async function standingOf(home: Home, record: EngineRecord): Promise<Standing> {
  const state = processState(record)
  if (state === 'alive' || state === 'paused') return 'runs'
  if (record.boot !== bootId() && beatsElsewhere(home)) return 'held'
  // An identity with a space is exact. One of an earlier release says dead of what it cannot see.
  if (state === 'dead' && record.space !== undefined) return 'over'
  const user = knownEngineUser(home)
  if (user && (await serves(record.port, nameOf(user), user.prove))) return 'serves'
  if (state === 'dead') return 'over'
  if (!isOfOtherSpace(record) || record.held !== true) return 'unsure'
  return isHeld(storeLock(home)) || (!isStopped(home) && hasSessionsElsewhere(home)) ? 'held' : 'over'
}

function hasSessionsElsewhere(home: Home): boolean {
  return sessionLocks(home).some((path) => {
    const owner = foreignOwner(path)
    return owner !== null && (isOfOtherSpace(owner) || owner.host === hostName())
  })
}

function sessionLocks(home: Home): string[] {
  try {
    return readdirSync(home.run).map((name) => join(home.run, name, 'lock'))
  } catch {
    return []
  }
}

/** The error where the engine is, or may be, another process space's or another host's, and does not answer here. */
export function elsewhere(home: Home, { pid, host, boot }: EngineRecord, standing: 'held' | 'unsure'): MeshError {
  if (standing === 'held' && boot !== bootId()) return onOtherMachine(pid)
  if (standing === 'held') return heldElsewhere(`its engine, process ${pid}, cannot be reached from here`)
  const what = `process ${pid} of host ${host} was the last to open the store ${dataDir(home)}`
  return new MeshError('mesh_down', `${what}, and two engines on one store would damage it`, {
    hint: `if that host is gone or was renamed: mesh down, then mesh up`,
  })
}

export function heldElsewhere(why: string): MeshError {
  return new MeshError('mesh_down', `another process space holds this mesh home: ${why}`, { hint: SPACE_HINT })
}

function onOtherMachine(pid: number): MeshError {
  return new MeshError('mesh_down', `another machine holds this mesh home: its engine is process ${pid} there`, {
    hint: 'use mesh from there, or end its sessions and wait half a minute',
  })
}
