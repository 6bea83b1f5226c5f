/** Background sessions (`claude --bg`, `/background`), which the client's own daemon runs. */
import { join } from 'node:path'
import { readJson } from '../../host/files.ts'
import type { Env } from '../../host/home.ts'
import { commandLine } from '../../host/process.ts'
import { jobState } from './hook-event.schema.ts'

const STATE_BYTES = 256 * 1024

/**
 * The conversation that `/background` moved here: that command ends the session in its terminal and goes on with a fork
 * of it. Null for any other fork, which is a session of its own.
 *
 * Seen on 2.1.329, undocumented: the job's `state.json` says `interactiveLineage`, which `claude --bg --fork-session`
 * does not, and the client's command line is `… --fork-session --resume /…/<session id>.jsonl …`.
 */
export function movedFrom(env: Env, pid: number): string | null {
  const dir = env.CLAUDE_JOB_DIR
  if (!dir) return null
  const state = jobState.safeParse(readJson(join(dir, 'state.json'), STATE_BYTES)).data
  return state?.interactiveLineage ? resumed(commandLine(pid)) : null
}

/** The session id of a command line that forks the conversation of a file. */
export function resumed(command: string): string | null {
  const [before, after] = command.split(' --resume ')
  if (!before?.includes(' --fork-session') || after === undefined) return null
  return /\/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.jsonl(?: |$)/.exec(after)?.[1] ?? null
}
