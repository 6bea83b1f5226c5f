/** Looks at the engine without starting it or asking for anything but its greeting. */
import { type EngineUser, knownEngineUser, nameOf } from '../../engine/nkey.ts'
import { type Answer, probeEngine } from '../../engine/probe.ts'
import { type EngineRecord, isStopped, readRecord, strayRecord } from '../../engine/record.ts'
import { MeshError } from '../../errors.ts'
import type { Home } from '../../host/home.ts'
import { processState } from '../../host/process/process.ts'

export interface EngineLook {
  record: EngineRecord | null
  /** State of the recorded process. `unknown`: it was on another host or in another process space. */
  state: 'alive' | 'paused' | 'dead' | 'unknown' | 'none'
  /** A server of ours that the record does not name. */
  stray: EngineRecord | null
  /** After `mesh down`. */
  stopped: boolean
  user: EngineUser | null
  /** The reason why there is no user although there is a key file. */
  badKey: MeshError | null
  /** The answer on the recorded port; null without a record or a key. */
  answer: Answer | null
}

export async function lookAtEngine(home: Home): Promise<EngineLook> {
  const record = readRecord(home)
  const { user, badKey } = readUser(home)
  const answer = record && user ? await probeEngine(record.port, nameOf(user), user) : null
  const state = record ? processState(record) : 'none'
  return { record, state, stray: strayRecord(home), stopped: isStopped(home), user, badKey, answer }
}

function readUser(home: Home): { user: EngineUser | null; badKey: MeshError | null } {
  try {
    return { user: knownEngineUser(home), badKey: null }
  } catch (error) {
    return { user: null, badKey: MeshError.from(error) }
  }
}

/** It runs, or is not to be seen from this process space, answers and takes our key. */
export function serves({ state, answer }: EngineLook): boolean {
  return (state === 'alive' || state === 'unknown') && answer === 'ours'
}
