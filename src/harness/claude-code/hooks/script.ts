/** The hook script as `mesh install` writes it: `claude-code.sh` with the values of this machine. Pure. */
import { basename } from 'node:path'
import { runEnvPath } from '../../../host/home.ts'
import { plainFlags } from '../../../host/process/node-flags.ts'
import { limits } from '../../../wire/limits.ts'
import template from './claude-code.sh'
import { quoteWord } from './entries.ts'
import { LEFT_FILE, SCRIPT_NAME, WAKE_EXIT, WATCH_PATHS_FILE, WATCHED_FILE } from './files.ts'

/** Limits the first prompt's wait for the sidecar's answer to 3 s: 60 steps of 4 ms and then 20 ms each. */
const ANSWER_STEPS = 195

export interface ScriptPaths {
  /** The mesh home when installed; an absolute MESH_HOME overrides it at run time: the client changes directories. */
  home: string
  node: string
  sidecar: string
}

/** Returns the text of the script: `claude-code.sh EVENT CLIENT_PID [plugin]`, the event's JSON on standard input. */
export function hookScript(paths: ScriptPaths): string {
  const values: Record<string, string> = {
    HOME: quoteWord(paths.home),
    NODE: quoteWord(paths.node),
    SIDECAR: quoteWord(paths.sidecar),
    FLAGS: plainFlags.join(' '),
    EVENT_BYTES: String(limits.hookEventBytes),
    SPOOL_KIB: String(limits.spoolBytes / 1024),
    ANSWER_STEPS: String(ANSWER_STEPS),
    RUN_ENV: basename(runEnvPath('.')),
    WATCHED: WATCHED_FILE,
    SCRIPT: SCRIPT_NAME,
    WATCH_PATHS: WATCH_PATHS_FILE,
    LEFT: LEFT_FILE,
    WAKE_EXIT: String(WAKE_EXIT),
  }
  return template.replace(/@([A-Z_]+)@/g, (_, name: string) => values[name]!)
}
