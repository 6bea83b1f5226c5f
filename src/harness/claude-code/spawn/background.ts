/** Background sessions (`claude --bg`, `/background`), which the client's own daemon runs. */
import { join } from 'node:path'
import { readJson } from '../../../host/files.ts'
import type { Env } from '../../../host/home.ts'
import type { StartedIn } from '../../../wire/lineage.ts'
import { jobState } from '../hooks/event.schema.ts'

const STATE_BYTES = 256 * 1024

/** Returns whether the client's daemon runs the session. */
export function isBackground(env: Env): boolean {
  return Boolean(env.CLAUDE_JOB_DIR)
}

/**
 * Returns when `/background` moved a session here (ISO 8601): that command ends the session in its terminal and goes on
 * with a fork of it. Null for any other fork, which is a session of its own.
 *
 * Seen on 2.1.329, undocumented: the job's `state.json` says `interactiveLineage`, which `claude --bg --fork-session`
 * does not. Nothing names the session that moved. It ends 0.1 s after the job's `createdAt`; this one begins 0.8 s
 * later.
 */
export function movedAt(env: Env): string | null {
  const dir = env.CLAUDE_JOB_DIR
  if (!dir) return null
  const state = jobState.safeParse(readJson(join(dir, 'state.json'), STATE_BYTES)).data
  return state?.interactiveLineage ? (state.createdAt ?? null) : null
}

/**
 * Returns the run that this very session was started in, if any. A background session has the environment of another.
 */
export function startedIn(env: Env): StartedIn {
  const { MESH_RUN_ID, MESH_LINEAGE } = env
  return env.CLAUDE_JOB_DIR ? {} : { MESH_RUN_ID, MESH_LINEAGE }
}

/**
 * Returns the name that was asked for this very session. A background session has the environment of the process that
 * started the client's daemon (2.1.329, also when `claude --bg` is called with another): a name in it was meant for
 * that one.
 */
export function askedName(env: Env): string | undefined {
  return env.CLAUDE_JOB_DIR ? undefined : env.MESH_NAME || undefined
}
