/** Follows sessions that mesh started, for their supervisors. A client that can be started is named here. */
import type { Env } from '../host/home.ts'
import { SpawnedClaudeCode } from './claude-code/spawn/spawned.ts'
import type { SpawnedSession } from './types.ts'

export { launchBackground } from './claude-code/spawn/background-launch.ts'

/** Follows a session from its output. `session`: the id of its conversation, where mesh chose one. */
export function followSpawned(env: Env, session: string | undefined): SpawnedSession {
  return new SpawnedClaudeCode(env, session)
}
