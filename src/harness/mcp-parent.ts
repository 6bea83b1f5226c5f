/**
 * Finds the session of the client that started an MCP server. A client that is known by more than its server is named
 * here.
 */
import { type Env, type Home, sessionDir } from '../host/home.ts'
import {
  claudeCodeDir,
  hasHooks as hasRunHooks,
  isClaudeCode,
  markTools as mark,
  mayHaveHooks as mayRun,
} from './claude-code/mcp-parent.ts'
import type { SessionKind } from './sessions.ts'

export interface ParentSession {
  /** The sidecar's first argument. `mcp`: nothing but the server is known of the client. */
  kind: Exclude<SessionKind, 'operator'>
  /** The session directory. */
  dir: string
}

/** Returns the session that this MCP server belongs to. `client` is the process that started it. */
export function parentSession(env: Env, home: Home, client: number): ParentSession {
  if (isClaudeCode(env, home, client)) return { kind: 'claude-code', dir: claudeCodeDir(home, client) }
  // Our own pid: one client may have several servers, each a connection and a session of its own.
  return { kind: 'mcp', dir: sessionDir(home, `mcp-${process.pid}`) }
}

/** Returns whether a hook of mesh's has run in the session: its model has read the start text, or will. */
export function hasHooks({ kind, dir }: ParentSession): boolean {
  return kind === 'claude-code' && hasRunHooks(dir)
}

/** Returns whether a hook has started a sidecar for the session, or may be about to. */
export function mayHaveHooks({ kind, dir }: ParentSession, home: Home): boolean {
  return kind === 'claude-code' && mayRun(home, dir)
}

/** Notes in the session's directory that its model has mesh's tools for as long as this process lives. */
export function markTools({ kind, dir }: ParentSession): void {
  if (kind === 'claude-code') mark(dir)
}
