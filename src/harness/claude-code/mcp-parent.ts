/** Recognizes a Claude Code session in the process that started an MCP server, and whether hooks start its sidecar. */
import { existsSync } from 'node:fs'
import { basename, join } from 'node:path'
import { writeAtomic } from '../../host/files.ts'
import { type Env, type Home, sessionDir } from '../../host/home.ts'
import { SCRIPT_NAME } from './hooks/files.ts'
import { configDir } from './status/registry.ts'
import { TOOLS_FILE } from './status/voice.ts'

/**
 * Returns true when process `pid` is the client. The environment alone does not show that: other clients inherit it
 * when they are started from a session's shell. Registry entry and inbox socket exist before the client starts its
 * servers (2.1.329), and both have its pid in their names.
 */
export function isClaudeCode(env: Env, home: Home, pid: number): boolean {
  if (env.CLAUDECODE !== '1') return false
  const socket = basename(env.CLAUDE_CODE_MESSAGING_SOCKET ?? '')
  if (socket === `${pid}.sock` || existsSync(claudeCodeDir(home, pid))) return true
  return existsSync(join(configDir(env), 'sessions', `${pid}.json`))
}

/** Returns the directory of the session that is process `pid`. */
export function claudeCodeDir(home: Home, pid: number): string {
  return sessionDir(home, `cc-${pid}`)
}

/**
 * Returns true once a hook of mesh's has run in the session of this directory: only the hook script makes that folder
 * in it.
 */
export function hasHooks(sessionDir: string): boolean {
  return existsSync(join(sessionDir, 'start'))
}

/** Returns true once a hook has started a sidecar for this session, or when one may be about to. */
export function mayHaveHooks(home: Home, sessionDir: string): boolean {
  return hasHooks(sessionDir) || existsSync(join(home.hooks, SCRIPT_NAME))
}

/** Notes that this process gives the session's model mesh's tools. Without the note it is only said to be mute. */
export function markTools(sessionDir: string): void {
  try {
    writeAtomic(join(sessionDir, TOOLS_FILE), String(process.pid))
  } catch {
    // The session is over, or its disk is full.
  }
}
