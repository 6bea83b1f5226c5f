/** Reads the client's registry and folders for a session without mesh's hooks, whose MCP server started the sidecar. */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Env } from '../../../host/home.ts'
import type { Conversation } from '../../types.ts'
import type { RegistryEntry } from '../hooks/event.schema.ts'
import { configDir } from './registry.ts'

/** Returns the conversation that the client's registry names. The registry does not show how it began. */
export function registeredConversation({ sessionId, cwd }: RegistryEntry, before: Conversation | null, env: Env) {
  const own = { sessionId: env.CLAUDE_CODE_SESSION_ID ?? 'unknown', cwd: env.CLAUDE_PROJECT_DIR ?? process.cwd() }
  const source = before === null ? ('startup' as const) : ('clear' as const)
  return { sessionId: sessionId ?? own.sessionId, source, cwd: cwd ?? before?.cwd ?? own.cwd }
}

/**
 * Returns the path of a conversation's transcript. The client names the folder after the directory that the
 * conversation began in, every character but letters and digits as `-` (2.1.329): so a file of that id is looked for
 * first.
 */
export function transcriptPath({ sessionId, cwd }: Conversation, env: Env): string {
  const projects = join(configDir(env), 'projects')
  const file = `${sessionId}.jsonl`
  const folder = folders(projects).find((name) => existsSync(join(projects, name, file)))
  return join(projects, folder ?? cwd.replace(/[^A-Za-z0-9]/g, '-'), file)
}

function folders(projects: string): string[] {
  try {
    return readdirSync(projects)
  } catch {
    return []
  }
}
