/** The conversation that the client is in, and its transcript: kept for the sidecar that is started after this one. */
import { join } from 'node:path'
import { MeshError } from '../../errors.ts'
import { readJson, writeAtomic } from '../../host/files.ts'
import type { Env } from '../../host/home.ts'
import type { ProcessIdentity } from '../../wire/envelope.schema.ts'
import type { Conversation, SessionOptions, StartSource } from '../types.ts'
import { type ClientRecord, clientRecord, type HookEvent, type RegistryEntry } from './hooks/event.schema.ts'
import { peek } from './hooks/spool.ts'
import { hasHooks } from './mcp-parent.ts'
import { movedAt } from './spawn/background.ts'
import { registeredConversation, transcriptPath } from './status/hookless.ts'
import { readEntry } from './status/registry.ts'

const RECORD_BYTES = 64 * 1024

export class CurrentConversation {
  readonly #options: SessionOptions
  readonly #process: ProcessIdentity
  #conversation: Conversation
  #transcript: string | null
  /** An earlier sidecar of this client wrote it down. */
  readonly isContinued: boolean

  /** Throws `not_alive` when the directory is of an earlier client with this pid. */
  constructor(options: SessionOptions, process: ProcessIdentity) {
    const { env, sessionDir } = options
    this.#options = options
    this.#process = process
    const earlier = readClient(sessionDir)
    if (earlier && earlier.process.start !== process.start)
      throw new MeshError('not_alive', `process ${process.pid} is no longer the client`)
    this.isContinued = earlier !== null
    const first = peek(join(sessionDir, 'spool'), 'SessionStart')?.event
    const entry = earlier || first || hasHooks(sessionDir) ? null : readEntry(env, process.pid)
    const begun = entry ? registeredConversation(entry, null, env) : conversationOf(first, env)
    this.#conversation = earlier?.conversation ?? begun
    this.#transcript = earlier?.transcript ?? first?.transcript_path ?? (entry && transcriptPath(begun, env))
  }

  get conversation(): Conversation {
    return this.#conversation
  }

  get transcript(): string | null {
    return this.#transcript
  }

  /** Takes the conversation that a SessionStart hook names. */
  start(event: HookEvent): Conversation {
    this.#conversation = conversationOf(event, this.#options.env)
    this.save()
    return this.#conversation
  }

  /** Returns the transcript of another conversation that the client's registry names; null if it names this one. */
  compare(entry: RegistryEntry): string | null {
    const { env } = this.#options
    if (!entry.sessionId || entry.sessionId === this.#conversation.sessionId) return null
    this.#conversation = registeredConversation(entry, this.#conversation, env)
    this.save()
    return transcriptPath(this.#conversation, env)
  }

  /** Returns whether the conversation goes on in another file than before. */
  switchTranscript(path: string | undefined): path is string {
    if (!path || path === this.#transcript) return false
    this.#transcript = path
    this.save()
    return true
  }

  save(): void {
    const record: ClientRecord = {
      process: this.#process,
      conversation: this.#conversation,
      transcript: this.#transcript,
    }
    try {
      writeAtomic(join(this.#options.sessionDir, 'client.json'), JSON.stringify(record, null, 2))
    } catch (error) {
      this.#options.log('warn', 'client.json not written', { error: String(error) })
    }
  }
}

function readClient(sessionDir: string): ClientRecord | null {
  return clientRecord.safeParse(readJson(join(sessionDir, 'client.json'), RECORD_BYTES)).data ?? null
}

/** Returns the conversation of a SessionStart event; without one, that of the hook's environment. */
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
