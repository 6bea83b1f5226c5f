/** Opens the session that a sidecar serves, by the kind of its client. A client that is added is named here. */
import { checkName } from '../wire/names.ts'
import { createClaudeCode } from './claude-code/session.ts'
import { createMcpSession } from './mcp.ts'
import { createShell } from './shell.ts'
import type { Harness, SessionOptions } from './types.ts'

export { askedName, startedIn } from './claude-code/spawn/background.ts'
export { stopBackground } from './claude-code/spawn/background-launch.ts'
export { readAgentRecord } from './claude-code/transcript/end-record.ts'

/** The values of the sidecar's first argument. */
export const sessionKinds = ['claude-code', 'mcp', 'operator'] as const
export type SessionKind = (typeof sessionKinds)[number]

/**
 * Opens the session that this process belongs to. Throws `not_alive` when it is over already, `bad_request` when the
 * directory is not that of such a session.
 */
export function openSession(kind: SessionKind, options: SessionOptions): Harness {
  const { env, sessionDir, cwd } = options
  if (kind === 'claude-code') return createClaudeCode(options)
  if (kind === 'mcp') return createMcpSession(sessionDir, cwd)
  return createShell(checkName(env.MESH_NAME ?? ''), cwd)
}
