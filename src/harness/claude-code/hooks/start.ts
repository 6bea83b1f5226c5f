/** The start of a conversation: what its hook says of it, and the answer that the hook waits for. */
import { mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { writeAtomic } from '../../../host/files.ts'
import type { Env } from '../../../host/home.ts'
import type { Conversation, StartSource } from '../../types.ts'
import { CONTEXT_CHARS, MailFile } from '../doors/mail-file.ts'
import { movedAt } from '../spawn/background.ts'
import type { HookEvent } from './event.schema.ts'
import { LEFT_FILE, WATCHED_FILE } from './files.ts'

/** The conversation of a SessionStart event; without one, of the hook's environment. */
export function conversationOf(event: HookEvent | null | undefined, env: Env): Conversation {
  const source = startSource(event)
  const moved = source === 'fork' ? movedAt(env) : null
  return {
    sessionId: event?.session_id ?? env.CLAUDE_CODE_SESSION_ID ?? 'unknown',
    source,
    cwd: event?.cwd ?? env.CLAUDE_PROJECT_DIR ?? process.cwd(),
    ...(moved ? { movedAt: moved } : {}),
  }
}

function startSource(event: HookEvent | null | undefined): StartSource | null {
  if (!event) return null
  const { source } = event
  return source === 'resume' || source === 'clear' || source === 'compact' || source === 'fork' ? source : 'startup'
}

/**
 * Answers the SessionStart hook `id`, which prints what it finds, also without a text: the client then watches the file
 * of the watch door. Returns the path, where nothing is once the hook has it. Throws if the disk refuses.
 */
export function answerStart(sessionDir: string, id: string, text: string): string {
  const hookSpecificOutput = {
    hookEventName: 'SessionStart',
    ...(text === '' ? {} : { additionalContext: text.slice(0, CONTEXT_CHARS) }),
    watchPaths: [join(sessionDir, WATCHED_FILE)],
  }
  const dir = join(sessionDir, 'start')
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  // A hook that no longer waited left its answer.
  for (const name of readdirSync(dir)) rmSync(join(dir, name), { force: true })
  const path = join(dir, id)
  writeAtomic(path, `${JSON.stringify({ hookSpecificOutput })}\n`)
  return path
}

/** A text that the next UserPromptSubmit hook gives the model; null takes it back, `instead` puts it only in place of one that no hook took. */
export function leaveText(sessionDir: string, text: string | null, instead = false): void {
  const path = join(sessionDir, LEFT_FILE)
  if (instead && !new MailFile(sessionDir, LEFT_FILE).takeBack()) return
  if (text === null) rmSync(path, { force: true })
  else writeAtomic(path, JSON.stringify(text.slice(0, CONTEXT_CHARS)))
}
